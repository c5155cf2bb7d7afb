package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/registry"
	throttled "github.com/pullpace/pace/test/registry"
)

func TestParseProxy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		address, except, host string
		want                  string // "" is none
		wantErr               string
	}{
		"none":              {"", "", "docker.io", "", ""},
		"for all":           {"http://proxy.test:3128", "", "docker.io", "http://proxy.test:3128", ""},
		"without a scheme":  {"proxy.test:3128", "", "docker.io", "http://proxy.test:3128", ""},
		"by https":          {"https://proxy.test", "", "docker.io", "https://proxy.test", ""},
		"not for a host":    {"http://proxy.test:3128", "harbor.test, .corp", "harbor.test", "", ""},
		"not for a domain":  {"http://proxy.test:3128", "harbor.test, .corp", "a.b.corp", "", ""},
		"not for a network": {"http://proxy.test:3128", "10.0.0.0/8", "10.1.2.3", "", ""},
		"a password":        {"http://robot:" + password + "@proxy.test", "", "", "", "must not need a password"},
		"another scheme":    {"socks5://proxy.test", "", "", "", "http://host:port"},
		"a path":            {"http://proxy.test/x", "", "", "", "http://host:port"},
		"escapes":           {"http://proxy.test\x1b[31m", "", "", "", "http://host:port"},
		"escapes elsewhere": {"http://proxy.test", "a\n.b", "", "", "control characters"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := registry.ParseProxy(tc.address, tc.except)
			if tc.wantErr != "" {
				checkError(t, err, tc.wantErr)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if p != nil {
				through, err := p(&url.URL{Scheme: "https", Host: tc.host})
				if err != nil {
					t.Fatal(err)
				}
				if through != nil {
					got = through.String()
				}
			}
			if got != tc.want {
				t.Errorf("goes through %q, want %q", got, tc.want)
			}
		})
	}
}

// tunnel is a proxy that notes all that it could learn.
type tunnel struct {
	url string

	mu   sync.Mutex
	asks []string
	read bytes.Buffer // what a client sent, inside of the tunnel too
}

func (p *tunnel) heard() ([]string, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asks), p.read.String()
}

// Write notes what passes.
func (p *tunnel) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.read.Write(b)
}

// newTunnel makes a proxy that answers CONNECT as connect does.
func newTunnel(t *testing.T, connect func(client net.Conn, p *tunnel)) *tunnel {
	t.Helper()
	p := &tunnel{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asks = append(p.asks, r.Method+" "+r.Host+" "+strings.Join(append(r.Header["Authorization"], r.Header["Proxy-Authorization"]...), " "))
		p.mu.Unlock()
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		connect(client, p)
	}))
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

// to connects every tunnel to one address.
func to(address string) func(net.Conn, *tunnel) {
	return func(client net.Conn, p *tunnel) {
		var d net.Dialer
		server, err := d.DialContext(context.Background(), "tcp", address)
		if err != nil {
			return
		}
		defer server.Close()
		if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(client, server)
			_ = client.Close()
		}()
		_, _ = io.Copy(io.MultiWriter(server, p), client)
		_ = server.Close()
		<-done
	}
}

// says answers every request for a tunnel with text and then says nothing.
func says(text string) func(net.Conn, *tunnel) {
	return func(client net.Conn, p *tunnel) {
		_, _ = io.WriteString(client, text)
		_, _ = io.Copy(p, client)
	}
}

// through makes a client that knows the way only by the proxy, and waits for as long; 0:
// as long as it does by itself.
func through(t *testing.T, p *tunnel, ca []byte, timeout time.Duration) *registry.Client {
	t.Helper()
	proxy, err := registry.ParseProxy(p.url, "")
	if err != nil {
		t.Fatal(err)
	}
	c, err := registry.New(registry.Config{
		Host: "docker.io", Username: user, Password: password, CABundle: ca, Proxy: proxy, Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantNoSecret fails if the proxy could read what is for the registry.
func wantNoSecret(t *testing.T, p *tunnel) []string {
	t.Helper()
	asks, read := p.heard()
	for _, secret := range []string{password, "cm9ib3Q6", "Authorization", "Basic", "Bearer", "HEAD /v2/"} {
		if strings.Contains(read, secret) || strings.Contains(strings.Join(asks, "\n"), secret) {
			t.Errorf("the proxy could read %q", secret)
		}
	}
	return asks
}

func TestProbesGoThroughATunnel(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, n, _ := hub(t, c)
	push(t, s, "docker.io/ratelimitpreview/test:latest")
	p := newTunnel(t, to(n.addr))
	obs, err := through(t, p, s.CA().PEM(), 0).Probe(t.Context(), "ratelimitpreview/test")
	if err != nil {
		t.Fatal(err)
	}
	if obs.Status != http.StatusOK || obs.Header.Remaining == 0 {
		t.Errorf("observed %+v", obs)
	}
	asks := wantNoSecret(t, p)
	slices.Sort(asks)
	want := []string{"CONNECT auth.docker.io:443 ", "CONNECT registry-1.docker.io:443 "}
	if diff := cmp.Diff(want, slices.Compact(asks)); diff != "" {
		t.Errorf("the proxy was asked (-want +got):\n%s", diff)
	}
}

func TestHostileProxies(t *testing.T) {
	t.Parallel()
	ca, err := throttled.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	stranger := wire(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	tests := map[string]struct {
		connect func(net.Conn, *tunnel)
		want    string
	}{
		"wants a password":            {says("HTTP/1.1 407 \x1b[31mgive me " + strings.Repeat("x", 2000) + "\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n"), "no answer"},
		"answers for the registry":    {to(stranger.addr), "no answer"},
		"speaks plainly in it":        {says("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\r\n"), "no answer"},
		"says nothing":                {says(""), "no answer"},
		"no HTTP":                     {says("\x00\x1b]0;pwned\a\r\n\r\n"), "no answer"},
		"redirects":                   {says("HTTP/1.1 302 Found\r\nLocation: http://evil.test/\r\n\r\n"), "no answer"},
		"headers without end":         {endless, "no answer"},
		"closes":                      {func(net.Conn, *tunnel) {}, "no answer"},
		"tunnel that ends at the TLS": {func(c net.Conn, _ *tunnel) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n") }, "no answer"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newTunnel(t, tc.connect)
			began := time.Now()
			_, err := through(t, p, ca.PEM(), 2*time.Second).Probe(t.Context(), "ratelimitpreview/test")
			checkError(t, err, tc.want)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
			if asks := wantNoSecret(t, p); len(asks) == 0 {
				t.Error("the proxy was not asked: the test proves nothing")
			}
		})
	}
}

// endless sends headers until the client has had enough.
func endless(client net.Conn, _ *tunnel) {
	w := bufio.NewWriter(client)
	_, err := w.WriteString("HTTP/1.1 200 OK\r\n")
	for line := "X-Bomb: " + strings.Repeat("x", 4000) + "\r\n"; err == nil; {
		_, err = w.WriteString(line)
	}
	if !errors.Is(err, net.ErrClosed) {
		return
	}
}
