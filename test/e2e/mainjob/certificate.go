//go:build linux

package mainjob

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/proof"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// certificateExpired puts an expired certificate, with its authority, into the Secret
// that the webhook serves from. Both replicas serve a fresh one within a moment and
// without a restart. While the API server does not trust the webhook pods pass, and
// are gated again when the controller has put its authority back.
func certificateExpired(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	before, err := restarted(ctx, s)
	if err != nil {
		return err
	}
	expired, err := expiredPair("pacer." + v1alpha1.Namespace + ".svc")
	if err != nil {
		return err
	}
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: v1alpha1.Namespace, Name: "pullpace-webhook"}
	if err := s.Client.Get(ctx, key, &secret); err != nil {
		return fmt.Errorf("reading the webhook's Secret: %w", err)
	}
	secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], secret.Data["ca.crt"] = expired.cert, expired.key, expired.cert
	began := time.Now()
	if err := s.Client.Update(ctx, &secret); err != nil {
		return fmt.Errorf("breaking the webhook's Secret: %w", err)
	}
	if err := awaitFresh(ctx, s, key, expired.cert); err != nil {
		return err
	}
	r.Note("fresh_after", time.Since(began).Round(10*time.Millisecond))
	if err := awaitProof(ctx, s); err != nil {
		return err
	}
	answer, err := distrust(ctx, s, expired.cert)
	if err != nil {
		return err
	}
	r.Note("untrusted", answer.Took.Round(time.Millisecond))
	if answer.Reason != proof.NotCalled || answer.Took > patience {
		return fmt.Errorf("a pod of an untrusted webhook: %s (%s), want it let through within %s", answer.Reason, answer, patience)
	}
	if err := awaitProof(ctx, s); err != nil {
		return err
	}
	if err := seenAgain(ctx, s); err != nil {
		return err
	}
	after, err := restarted(ctx, s)
	if err == nil && after != before {
		err = fmt.Errorf("the controller was started again %d times, want none", after-before)
	}
	return err
}

// awaitProof returns when a dry run comes back gated.
func awaitProof(ctx context.Context, s *stage.Stage) error {
	return stage.Poll(ctx, "a dry-run pod to come back gated", func(ctx context.Context) (bool, string, error) {
		answer := asker(s).Ask(ctx, stage.Unmetered)
		return answer.Gated(), answer.String(), nil
	})
}

// awaitFresh returns when the Secret holds another certificate and every replica
// serves that.
func awaitFresh(ctx context.Context, s *stage.Stage, key client.ObjectKey, old []byte) error {
	return stage.Poll(ctx, "every replica to serve a fresh certificate", func(ctx context.Context) (bool, string, error) {
		var secret corev1.Secret
		if err := s.Client.Get(ctx, key, &secret); err != nil {
			return false, "", err
		}
		if bytes.Equal(secret.Data[corev1.TLSCertKey], old) {
			return false, "the Secret holds the expired one", nil
		}
		block, _ := pem.Decode(secret.Data[corev1.TLSCertKey])
		if block == nil {
			return false, "the Secret holds no certificate", nil
		}
		pods, err := s.Controllers(ctx)
		if err != nil {
			return false, "", err
		}
		for _, p := range pods {
			served, err := servedBy(ctx, p.Status.PodIP)
			if err != nil {
				return false, "", err
			}
			if !bytes.Equal(served.Raw, block.Bytes) || served.NotAfter.Before(time.Now()) {
				return false, fmt.Sprintf("%s serves one that ends %s", p.Name, served.NotAfter), nil
			}
		}
		return true, "", nil
	})
}

// servedBy is the certificate that a replica presents.
func servedBy(ctx context.Context, ip string) (*x509.Certificate, error) {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} // it is looked at, not trusted
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(ip, strconv.Itoa(v1alpha1.WebhookPort)))
	if err != nil {
		return nil, fmt.Errorf("asking %s for its certificate: %w", ip, err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// pemPair is a certificate and its key.
type pemPair struct{ cert, key []byte }

// expiredPair is a certificate for a host that ended an hour ago, and is its own
// authority.
func expiredPair(host string) (pemPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pemPair{}, fmt.Errorf("making a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return pemPair{}, fmt.Errorf("making a certificate: %w", err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pemPair{}, fmt.Errorf("writing a key: %w", err)
	}
	return pemPair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}),
	}, nil
}
