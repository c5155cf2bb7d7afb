package registry_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/pullpace/pace/pacer/registry"
	throttled "github.com/pullpace/pace/test/registry"
)

const (
	user     = "robot"
	password = "hunter2-secret"
)

// clock is virtual time: Fri, 14 Aug 2026 12:00:00 GMT and what a test adds.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1786708800, 0)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// network is a wire on which every name leads to one server; it notes which
// names were dialled.
type network struct {
	addr string
	ca   *throttled.CA

	mu     sync.Mutex
	dialed []string
	seen   []string
}

func (n *network) dial(ctx context.Context, proto, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = append(n.dialed, address)
	n.mu.Unlock()
	var d net.Dialer
	return d.DialContext(ctx, proto, n.addr)
}

func (n *network) note(r *http.Request) {
	who := "nobody"
	if auth := r.Header.Get("Authorization"); auth != "" {
		who = auth
		if u, p, ok := r.BasicAuth(); ok {
			who = u + ":" + p
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, fmt.Sprintf("%s https://%s%s as %s", r.Method, r.Host, r.URL.RequestURI(), who))
}

// requests is what the server has seen, hosts what was dialled.
func (n *network) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.seen...)
}

func (n *network) hosts() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.dialed...)
}

// client makes a client on the network, of the account unless cfg says
// otherwise.
func (n *network) client(t *testing.T, cfg registry.Config) *registry.Client {
	t.Helper()
	cfg.Dial, cfg.CABundle = n.dial, n.ca.PEM()
	c, err := registry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wire serves h under every name.
func wire(t *testing.T, h http.HandlerFunc) *network {
	t.Helper()
	ca, err := throttled.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	n := &network{ca: ca}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.note(r)
		h(w, r)
	}))
	s.TLS = ca.TLSConfig()
	s.StartTLS()
	t.Cleanup(s.Close)
	n.addr = s.Listener.Addr().String()
	return n
}

// hub is Docker Hub with 100 pulls for an address and 200 for the account.
func hub(t *testing.T, c *clock) (*throttled.Server, *network, *throttled.TokenService) {
	t.Helper()
	s, err := throttled.New(throttled.Options{Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	ts, err := s.AddTokenService(throttled.DockerHubToken(map[string]string{user: password}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddHost(throttled.DockerHub(ts, 100, 200, 6*time.Hour)); err != nil {
		t.Fatal(err)
	}
	return s, serve(t, s), ts
}

// serve puts the throttled registry on a network.
func serve(t *testing.T, s *throttled.Server) *network {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &network{addr: l.Addr().String(), ca: s.CA()}
}

// push stores an image, pushIndex an index of one; both return the digest.
func push(t *testing.T, s *throttled.Server, ref string) string {
	t.Helper()
	img := randomImage(t)
	if err := remote.Write(parse(t, ref), img, remote.WithTransport(s.PushTransport())); err != nil {
		t.Fatal(err)
	}
	return digest(t, img)
}

func pushIndex(t *testing.T, s *throttled.Server, ref string) string {
	t.Helper()
	ix := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: randomImage(t),
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	if err := remote.WriteIndex(parse(t, ref), ix, remote.WithTransport(s.PushTransport())); err != nil {
		t.Fatal(err)
	}
	return digest(t, ix)
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func parse(t *testing.T, ref string) name.Reference {
	t.Helper()
	r, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// trail is what a test wants to know of the throttled registry's log.
func trail(s *throttled.Server) []string {
	var out []string
	for _, e := range s.Log().Entries(throttled.Filter{}) {
		out = append(out, fmt.Sprintf("%s %s %d as %s", e.Host, e.Kind, e.Status, e.Identity))
	}
	return out
}

// checkError fails unless err is one line, printable, without secrets, and
// contains all of want.
func checkError(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
	for _, secret := range []string{password, "cm9ib3Q6", "tok-secret"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q contains a secret", err)
		}
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("error %q is not printable", err)
	}
	if len(err.Error()) > 600 {
		t.Errorf("error has %d bytes", len(err.Error()))
	}
}
