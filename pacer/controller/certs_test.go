package controller

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func makeKeeper(c client.Client, clock *clocktesting.FakeClock) *keeper {
	k := newKeeper(Options{}.withDefaults())
	k.client, k.live, k.clock = c, c, clock
	return k
}

func makeCertCluster(t *testing.T) client.Client {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(&admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "pacer"},
		Webhooks:   []admissionregistrationv1.MutatingWebhook{{Name: "pods.pullpace.dev"}},
	}).Build()
}

// trusted checks that the API server would accept what the keeper serves.
func trusted(t *testing.T, c client.Client, k *keeper, at time.Time) {
	t.Helper()
	var config admissionregistrationv1.MutatingWebhookConfiguration
	if err := c.Get(t.Context(), client.ObjectKey{Name: "pacer"}, &config); err != nil {
		t.Fatal(err)
	}
	served, err := k.certificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatalf("certificate: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.Webhooks[0].ClientConfig.CABundle)
	_, err = served.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "pacer.pullpace-system.svc", CurrentTime: at})
	if err != nil {
		t.Errorf("the API server would refuse the certificate: %v", err)
	}
	if err := k.ready(nil); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

func TestReplicasShareACertificateAndRenewItWithoutAGap(t *testing.T) {
	t.Parallel()
	// Certificates are made for the time of this machine.
	now := time.Now()
	clock := clocktesting.NewFakeClock(now)
	c := makeCertCluster(t)
	one, two := makeKeeper(c, clock), makeKeeper(c, clock)
	if one.ready(nil) == nil {
		t.Error("ready before there is a certificate")
	}
	for _, k := range []*keeper{one, two} {
		if err := k.keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		trusted(t, c, k, now)
	}
	if one.version != two.version {
		t.Error("the replicas serve different certificates")
	}
	before := one.version
	clock.SetTime(now.Add(certLife - certRenew + time.Hour))
	if err := one.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if one.version == before {
		t.Fatal("the certificate was not renewed")
	}
	trusted(t, c, one, now.Add(time.Hour))
	trusted(t, c, two, now.Add(time.Hour)) // still serves the old one
	clock.SetTime(now)                     // by which the new one is young
	if err := two.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if two.version != one.version {
		t.Error("the other replica did not take the new certificate")
	}
}

func TestABrokenSecretIsMadeAnew(t *testing.T) {
	t.Parallel()
	c := makeCertCluster(t)
	if err := c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "pullpace-system", Name: certSecret},
		Data: map[string][]byte{"tls.crt": []byte("junk"), "ca.crt": []byte("junk")}}); err != nil {
		t.Fatal(err)
	}
	k := makeKeeper(c, clocktesting.NewFakeClock(time.Now()))
	if err := k.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	trusted(t, c, k, time.Now())
	if bytes.Contains([]byte(k.version), []byte("junk")) {
		t.Error("junk is served")
	}
}

// TestAnExpiredCertificateIsReplaced has somebody put an expired certificate, with its
// authority, into the Secret: it is never served, a fresh one is at once, and the API
// server trusts that.
func TestAnExpiredCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := makeCertCluster(t)
	old := makeKeeper(c, clocktesting.NewFakeClock(now))
	if err := old.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	k := makeKeeper(c, clocktesting.NewFakeClock(now.Add(certLife+time.Hour)))
	if err := k.keep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k.version == old.version {
		t.Error("the expired certificate is served")
	}
	trusted(t, c, k, now)
}

// TestTheKeeperSeesItsSecretChange is told by an informer, long before it would look
// by itself.
func TestTheKeeperSeesItsSecretChange(t *testing.T) {
	t.Parallel()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	informers := &informertest.FakeInformers{Scheme: scheme}
	k := makeKeeper(makeCertCluster(t), clocktesting.NewFakeClock(time.Now()))
	k.cache = informers
	changed, stop, err := k.watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	informer, err := informers.FakeInformerFor(t.Context(), &corev1.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	signalled := func() bool {
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	other := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "pullpace-system", Name: "hub-login"}}
	informer.Add(other)
	if signalled() {
		t.Error("another Secret is taken for the certificate's")
	}
	own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "pullpace-system", Name: certSecret}}
	informer.Update(own, own)
	informer.Update(own, own)
	if !signalled() || signalled() {
		t.Error("want one signal for changes that come together")
	}
	informer.Delete(own)
	if !signalled() {
		t.Error("the end of the Secret goes unseen")
	}
}

func TestWithoutAWebhookConfigurationAReplicaIsNotReady(t *testing.T) {
	t.Parallel()
	c := makeCertCluster(t)
	if err := c.Delete(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "pacer"}}); err != nil {
		t.Fatal(err)
	}
	k := makeKeeper(c, clocktesting.NewFakeClock(time.Now()))
	if k.keep(t.Context()) == nil || k.ready(nil) == nil {
		t.Error("ready although no pod would be sent to the webhook")
	}
}
