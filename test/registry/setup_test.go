package registry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/pullpace/pace/test/registry"
	"github.com/pullpace/pace/test/registry/limit"
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

func newServer(t *testing.T, o registry.Options) *registry.Server {
	t.Helper()
	s, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func addHost(t *testing.T, s *registry.Server, c registry.HostConfig) *registry.Host {
	t.Helper()
	h, err := s.AddHost(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func addTokens(t *testing.T, s *registry.Server, c registry.TokenConfig) *registry.TokenService {
	t.Helper()
	ts, err := s.AddTokenService(c)
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// perHour is a rolling log of n units per hour.
func perHour(n int64) limit.Spec {
	return limit.Spec{Kind: limit.RollingLog, Limit: n, Window: time.Hour}
}

// openHost is a host without login whose only limiter is l.
func openHost(t *testing.T, c *clock, l ...registry.Limiter) (*registry.Server, *registry.Host) {
	t.Helper()
	s := newServer(t, registry.Options{Clock: c.Now})
	return s, addHost(t, s, registry.HostConfig{Name: "registry.test", Limiters: l, Dialect: "DockerHub"})
}

// push stores an image of one layer of 64 bytes and returns it.
func push(t *testing.T, s *registry.Server, ref string) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference(t, ref), img, remote.WithTransport(s.PushTransport())); err != nil {
		t.Fatal(err)
	}
	return img
}

// pushIndex stores an index of one image for linux/amd64 and returns both digests.
func pushIndex(t *testing.T, s *registry.Server, ref string) (index, platform string) {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	ix := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img,
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	if err := remote.WriteIndex(reference(t, ref), ix, remote.WithTransport(s.PushTransport())); err != nil {
		t.Fatal(err)
	}
	return digest(t, ix), digest(t, img)
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func reference(t *testing.T, s string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// once are the options of a client of the given source that never retries.
func once(s *registry.Server, source string, auth authn.Authenticator) []remote.Option {
	return []remote.Option{remote.WithTransport(s.Transport(source)), remote.WithAuth(auth),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}), remote.WithRetryStatusCodes()}
}

// response is an answer without its connection.
type response struct {
	status int
	header http.Header
	body   string
}

// do sends one request; the header may be nil.
func do(t *testing.T, c *http.Client, method, url string, header http.Header) response {
	t.Helper()
	res, err := try(t, c, method, url, header)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func try(t *testing.T, c *http.Client, method, url string, header http.Header) (response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	res, err := c.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, string(body)}, err
}

func decode(t *testing.T, r io.Reader, into any) {
	t.Helper()
	if err := json.NewDecoder(r).Decode(into); err != nil {
		t.Fatal(err)
	}
}
