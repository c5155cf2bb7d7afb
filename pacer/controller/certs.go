package controller

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	toolscache "k8s.io/client-go/tools/cache"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// certSecret is the Secret that all replicas serve from.
const certSecret = "pullpace-webhook"

// caKey is the Secret's key with the authorities to trust: the present one, and
// the one before it for a while.
const caKey = "ca.crt"

// A certificate of client-go lives a year; it is renewed when a third is left.
const (
	certLife  = 365 * 24 * time.Hour
	certRenew = certLife / 3
	// certEvery is how often it is looked at besides every change of its Secret.
	certEvery = 10 * time.Second
)

// keeper keeps the webhook's certificate: in a Secret that the replicas share, in
// memory for the server, and its authority in the webhook's configuration. The
// authority is put in place before the certificate is served, so that a renewal
// needs no restart and lets no request fail.
type keeper struct {
	client client.Client
	// live reads past the cache what is not cached.
	live  client.Reader
	clock clock.PassiveClock
	// cache tells of changes of the Secret; nil: nobody does.
	cache   cache.Informers
	secret  client.ObjectKey
	webhook string
	// host is the first name of the certificate, others follow; ips besides.
	host  string
	names []string
	ips   []net.IP

	mu      sync.RWMutex
	served  *tls.Certificate
	version string
	placed  bool
}

// NeedLeaderElection says that every replica serves.
func (k *keeper) NeedLeaderElection() bool { return false }

// Start keeps the certificate until ctx ends. It implements manager.Runnable.
func (k *keeper) Start(ctx context.Context) error {
	changed, stop, err := k.watch(ctx)
	if err != nil {
		return err
	}
	defer stop()
	tick := time.NewTicker(certEvery)
	defer tick.Stop()
	for {
		if err := k.keep(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "webhook certificate not in place; pods are not held meanwhile")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
	}
}

// watch returns a channel that is readable when the Secret changed.
func (k *keeper) watch(ctx context.Context) (changed <-chan struct{}, stop func(), err error) {
	signal := make(chan struct{}, 1)
	if k.cache == nil {
		return signal, func() {}, nil
	}
	informer, err := k.cache.GetInformer(ctx, &corev1.Secret{})
	if err != nil {
		return nil, nil, fmt.Errorf("watching Secret %s: %w", k.secret, err)
	}
	note := func(object any) {
		if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = last.Obj
		}
		if s, ok := object.(*corev1.Secret); !ok || s.Name != k.secret.Name || s.Namespace != k.secret.Namespace {
			return
		}
		select {
		case signal <- struct{}{}:
		default:
		}
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: note, UpdateFunc: func(_, after any) { note(after) }, DeleteFunc: note,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("watching Secret %s: %w", k.secret, err)
	}
	return signal, func() { _ = informer.RemoveEventHandler(registration) }, nil
}

// certificate is what the server presents.
func (k *keeper) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.served == nil {
		return nil, errNotYet("no certificate yet")
	}
	return k.served, nil
}

// ready reports whether the certificate is there and its authority in place.
func (k *keeper) ready(*http.Request) error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	switch {
	case k.served == nil:
		return errNotYet("the webhook has no certificate yet")
	case !k.placed:
		return errNotYet("the webhook configuration does not trust the certificate yet")
	}
	return nil
}

// keep brings Secret, configuration and server in line once.
func (k *keeper) keep(ctx context.Context) error {
	secret, err := k.ensureSecret(ctx)
	if err != nil {
		return err
	}
	err = k.place(ctx, secret.Data[caKey])
	k.mu.Lock()
	k.placed = err == nil
	k.mu.Unlock()
	if err != nil {
		return err
	}
	return k.serve(secret)
}

// ensureSecret returns the Secret with a certificate that lives long enough.
func (k *keeper) ensureSecret(ctx context.Context) (*corev1.Secret, error) {
	var secret corev1.Secret
	err := k.client.Get(ctx, k.secret, &secret)
	switch {
	case apierrors.IsNotFound(err):
		secret = corev1.Secret{Type: corev1.SecretTypeTLS}
		secret.Namespace, secret.Name = k.secret.Namespace, k.secret.Name
	case err != nil:
		return nil, fmt.Errorf("reading Secret %s: %w", k.secret, err)
	case k.valid(&secret) == nil:
		return &secret, nil
	}
	next := secret.DeepCopy()
	if err := k.issue(next); err != nil {
		return nil, err
	}
	if next.ResourceVersion == "" {
		err = k.client.Create(ctx, next, client.FieldOwner(v1alpha1.FieldManager))
	} else {
		err = k.client.Update(ctx, next, client.FieldOwner(v1alpha1.FieldManager))
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		// Another replica was first; what it made is there to read.
		if err := k.live.Get(ctx, k.secret, next); err != nil {
			return nil, fmt.Errorf("reading Secret %s: %w", k.secret, err)
		}
		return next, k.valid(next)
	}
	if err != nil {
		return nil, fmt.Errorf("writing Secret %s: %w", k.secret, err)
	}
	return next, nil
}

// valid says what is wrong with the certificate of a Secret.
func (k *keeper) valid(s *corev1.Secret) error {
	pair, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	leaf := pair.Leaf
	if left := leaf.NotAfter.Sub(k.clock.Now()); left < certRenew {
		return fmt.Errorf("the certificate ends in %s", left)
	}
	for _, name := range append([]string{k.host}, k.names...) {
		if err := leaf.VerifyHostname(name); err != nil {
			return err
		}
	}
	for _, ip := range k.ips {
		if err := leaf.VerifyHostname(ip.String()); err != nil {
			return err
		}
	}
	if len(s.Data[caKey]) == 0 {
		return errors.New("no authority")
	}
	return nil
}

// issue puts a new certificate into a Secret and keeps the authority of the old.
func (k *keeper) issue(s *corev1.Secret) error {
	chain, key, err := certutil.GenerateSelfSignedCertKeyWithOptions(certutil.SelfSignedCertKeyOptions{
		Host: k.host, AlternateIPs: k.ips, AlternateDNS: k.names, MaxAge: certLife,
	})
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	certs, err := certutil.ParseCertsPEM(chain)
	if err != nil || len(certs) < 2 {
		return fmt.Errorf("making a certificate: no authority in its chain: %w", err)
	}
	authorities := certs[1:]
	if old, err := certutil.ParseCertsPEM(s.Data[caKey]); err == nil {
		authorities = append(authorities, k.alive(old[:1])...)
	}
	bundle, err := certutil.EncodeCertificates(authorities...)
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey], s.Data[caKey] = chain, key, bundle
	return nil
}

// alive are the certificates that are still valid.
func (k *keeper) alive(certs []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range certs {
		if c.NotAfter.After(k.clock.Now()) {
			out = append(out, c)
		}
	}
	return out
}

// place puts the authorities into every webhook of our configuration.
func (k *keeper) place(ctx context.Context, bundle []byte) error {
	var config admissionregistrationv1.MutatingWebhookConfiguration
	if err := k.live.Get(ctx, client.ObjectKey{Name: k.webhook}, &config); err != nil {
		return fmt.Errorf("reading MutatingWebhookConfiguration %q: %w", k.webhook, err)
	}
	next := config.DeepCopy()
	for i := range next.Webhooks {
		next.Webhooks[i].ClientConfig.CABundle = bundle
	}
	same := true
	for i := range config.Webhooks {
		same = same && bytes.Equal(config.Webhooks[i].ClientConfig.CABundle, bundle)
	}
	if same {
		return nil
	}
	patch := client.MergeFromWithOptions(&config, client.MergeFromWithOptimisticLock{})
	if err := k.client.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return fmt.Errorf("trusting the certificate in MutatingWebhookConfiguration %q: %w", k.webhook, err)
	}
	return nil
}

// serve hands the certificate of a Secret to the server.
func (k *keeper) serve(s *corev1.Secret) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.served != nil && k.version == string(s.Data[corev1.TLSCertKey]) {
		return nil
	}
	pair, err := tls.X509KeyPair(s.Data[corev1.TLSCertKey], s.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	k.served, k.version = &pair, string(s.Data[corev1.TLSCertKey])
	return nil
}
