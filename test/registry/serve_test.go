package registry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/pullpace/pace/test/registry"
)

// listen serves on a local port until the test ends.
func listen(t *testing.T, s *registry.Server, serve func(context.Context, net.Listener) error) net.Addr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr()
}

func clientAt(t *testing.T, s *registry.Server, addr net.Addr, source string) *http.Client {
	t.Helper()
	c, err := s.ClientAt(addr, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestTLSForEveryNameAndSourcesByAddress(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		s := newServer(t, registry.Options{HTTP2: http2, DefaultHost: "registry-1.docker.io"})
		ts := addTokens(t, s, registry.DockerHubToken(nil))
		addHost(t, s, registry.DockerHub(ts, 1, 1, time.Hour))
		pushIndex(t, s, "docker.io/library/app:1")
		addr := listen(t, s, s.Serve)
		// Through the names registry-1.docker.io and auth.docker.io and, without a server name, through the address.
		for source, ref := range map[string]string{"127.0.0.2": "docker.io/library/app:1", "127.0.0.3": addr.String() + "/library/app:1"} {
			c := clientAt(t, s, addr, source)
			if _, err := remote.Image(reference(t, ref), remote.WithTransport(c.Transport), remote.WithAuth(authn.Anonymous)); err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
		}
		want := []registry.Tally{
			{Identity: registry.Anonymous("127.0.0.2"), Requests: 4, Charged: 1},
			{Identity: registry.Anonymous("127.0.0.3"), Requests: 4, Charged: 1},
		}
		if diff := cmp.Diff(want, s.Log().ByIdentity(registry.Filter{})); diff != "" {
			t.Errorf("http2 %t: by identity (-want +got):\n%s", http2, diff)
		}
	}
}

func TestSourceHeaderIsTrustedOnlyOnDemand(t *testing.T) {
	t.Parallel()
	for trust, want := range map[bool]string{false: "192.0.2.7", true: "198.51.100.1"} {
		s := newServer(t, registry.Options{TrustSourceHeader: trust})
		addHost(t, s, registry.HostConfig{Name: "registry.test"})
		do(t, s.Client("192.0.2.7"), "GET", "https://registry.test/v2/", http.Header{"X-Test-Source": {"198.51.100.1"}})
		if got := s.Log().Entries(registry.Filter{})[0].Identity.Address; got != want {
			t.Errorf("trusted %t: the source is %s, want %s", trust, got, want)
		}
	}
}

func TestResetOverTCP(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	h := addHost(t, s, registry.HostConfig{Name: "registry.test"})
	for scheme, serve := range map[string]func(context.Context, net.Listener) error{"https": s.Serve, "http": s.ServePlain} {
		c := clientAt(t, s, listen(t, s, serve), "")
		h.Inject(registry.Fault{Drop: registry.DropReset, Times: 2}) // Go's client tries a GET again on a connection used before
		if _, err := try(t, c, "GET", scheme+"://registry.test/v2/", nil); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: error %v, want ECONNRESET", scheme, err)
		}
		h.ClearFaults()
		if got := do(t, c, "GET", scheme+"://registry.test/v2/", nil).status; got != 200 {
			t.Errorf("%s: %d after the fault, want 200", scheme, got)
		}
	}
}

func TestServeEndsRequestsThatHang(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	h := addHost(t, s, registry.HostConfig{Name: "registry.test"})
	h.Inject(registry.Fault{Drop: registry.DropTimeout})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served, asked := make(chan error, 1), make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	c := clientAt(t, s, ln.Addr(), "")
	go func() {
		_, err := c.Get("https://registry.test/v2/")
		asked <- err
	}()
	if _, err := s.Log().Wait(t.Context(), 1, registry.Filter{Kind: registry.Ping}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v, want nil", err)
	}
	if err := <-asked; err == nil {
		t.Error("a request that hung was answered")
	}
}

func TestConcurrentClientsGetExactlyTheLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	h := addHost(t, s, registry.HostConfig{Name: "registry.test", Dialect: "DockerHub", Limiters: []registry.Limiter{{Spec: perHour(25)}}})
	push(t, s, "registry.test/team/app:1")
	c := clientAt(t, s, listen(t, s, s.Serve), "")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 5 {
				if i == 0 {
					h.Inject(registry.Fault{Name: "noise", Headers: registry.HeadersStuck})()
					h.SetDialect("DockerHubTwice")
				}
				if res, err := c.Get(base + "manifests/1"); err == nil {
					res.Body.Close()
				}
			}
		})
	}
	all.Wait()
	if ok, denied := s.Log().Count(registry.Filter{Status: 200}), s.Log().Throttled(registry.Filter{}); ok != 25 || denied != 15 {
		t.Errorf("%d served and %d throttled of 40, want 25 and 15", ok, denied)
	}
}

func TestCAIssuesOneLeafPerName(t *testing.T) {
	t.Parallel()
	ca, err := registry.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"registry.test", "192.0.2.1", "::1"} {
		a, err := ca.Leaf(host)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := ca.Leaf(host); a != b {
			t.Errorf("%s: two leaves", host)
		}
		if err := leafOf(t, a).VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
}

func leafOf(t *testing.T, c *tls.Certificate) *x509.Certificate {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}
