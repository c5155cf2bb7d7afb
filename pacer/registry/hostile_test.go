package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/registry"
)

// demands answers 401 with a challenge, and gives out a token where asked.
func demands(challenges ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"token": "tok-secret", "expires_in": 300}`)
		case r.Header.Get("Authorization") == "":
			for _, ch := range challenges {
				w.Header().Add("WWW-Authenticate", ch)
			}
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
}

const (
	bareHead = "HEAD https://registry.test/v2/team/app/manifests/latest as nobody"
	query    = "?scope=repository%3Ateam%2Fapp%3Apull&service=registry.test"
)

func TestCredentialsGoOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	account := registry.Config{Host: "registry.test", Username: user, Password: password}
	login := user + ":" + password
	tests := map[string]struct {
		cfg       registry.Config
		challenge string
		dialed    []string
		seen      []string
		want      []string // of the error; none: no error
	}{
		"a realm elsewhere": {
			account, `Bearer realm="https://evil.test/token",service="registry.test"`,
			[]string{"registry.test:443"}, []string{bareHead},
			[]string{"evil.test", "spec.probe.tokenRealmHosts", "nothing was sent"},
		},
		"a realm elsewhere that is allowed": {
			registry.Config{Host: "registry.test", Username: user, Password: password, RealmHosts: []string{"Auth.test"}},
			`Bearer realm="https://auth.test/token",service="registry.test",scope="repository:team/app:pull,push"`,
			[]string{"registry.test:443", "auth.test:443", "registry.test:443"},
			[]string{bareHead, "GET https://auth.test/token" + query + " as " + login,
				"HEAD https://registry.test/v2/team/app/manifests/latest as Bearer tok-secret"},
			nil,
		},
		"a realm at another port": {
			account, `Bearer realm="https://registry.test:8443/token"`,
			[]string{"registry.test:443"}, []string{bareHead}, []string{"registry.test:8443"},
		},
		"a realm that begins with the host": {
			account, `Bearer realm="https://registry.test.evil.test/token"`,
			[]string{"registry.test:443"}, []string{bareHead}, []string{"registry.test.evil.test"},
		},
		"a realm with a user that looks like the host": {
			account, `Bearer realm="https://registry.test:443@evil.test/token"`,
			[]string{"registry.test:443"}, []string{bareHead}, []string{"not the https URL"},
		},
		"a realm without TLS": {
			account, `Bearer realm="http://registry.test/token"`,
			[]string{"registry.test:443"}, []string{bareHead}, []string{"only https"},
		},
		"a realm that is a path": {
			account, `Bearer realm="/token"`,
			[]string{"registry.test:443"}, []string{bareHead}, []string{"not the https URL"},
		},
		"a realm full of terminal escapes": {
			account, "Bearer realm=\"https://ev\u202eil.test/\u009b31m" + strings.Repeat("x", 9000) + `"`,
			[]string{"registry.test:443"}, []string{bareHead}, []string{"asks for"},
		},
		"a way to log in that nobody knows": {
			account, `Negotiate abc=`,
			[]string{"registry.test:443"}, []string{bareHead}, []string{"neither Bearer nor Basic"},
		},
		"no way to log in": {
			account, ``, []string{"registry.test:443"}, []string{bareHead}, []string{"neither Bearer nor Basic"},
		},
		"a password for an endpoint override": {
			registry.Config{Host: "registry.test", Endpoint: "https://mirror.test:8443", Username: user, Password: password},
			`Basic realm="mirror"`,
			[]string{"mirror.test:8443"}, []string{"HEAD https://mirror.test:8443/v2/team/app/manifests/latest as nobody"},
			[]string{"not sent to an endpoint override"},
		},
		"a token for an endpoint override is anonymous": {
			registry.Config{Host: "registry.test", Endpoint: "https://mirror.test", Username: user, Password: password},
			`Bearer realm="https://mirror.test/token",service="registry.test"`,
			[]string{"mirror.test:443", "mirror.test:443", "mirror.test:443"},
			[]string{"HEAD https://mirror.test/v2/team/app/manifests/latest as nobody",
				"GET https://mirror.test/token" + query + " as nobody",
				"HEAD https://mirror.test/v2/team/app/manifests/latest as Bearer tok-secret"},
			nil,
		},
		"an override's challenge to Docker Hub": {
			registry.Config{Host: "registry.test", Endpoint: "https://mirror.test", Username: user, Password: password},
			`Bearer realm="https://auth.docker.io/token"`,
			[]string{"mirror.test:443"}, []string{"HEAD https://mirror.test/v2/team/app/manifests/latest as nobody"},
			[]string{"auth.docker.io"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := wire(t, demands(tc.challenge))
			obs, err := n.client(t, tc.cfg).Probe(t.Context(), "team/app")
			if tc.want == nil && (err != nil || obs.Status != 200) {
				t.Errorf("status %d, %v", obs.Status, err)
			}
			if tc.want != nil {
				checkError(t, err, tc.want...)
				if obs.Status != 0 {
					t.Errorf("status %d with an error", obs.Status)
				}
			}
			if diff := cmp.Diff(tc.dialed, n.hosts()); diff != "" {
				t.Errorf("dialled (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.seen, n.requests()); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKnownTokenServices(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ host, realm, token string }{
		"Docker Hub": {"docker.io", "https://auth.docker.io/token", "auth.docker.io:443"},
		"GitLab.com": {"registry.gitlab.com", "https://gitlab.com/jwt/auth", "gitlab.com:443"},
		"own host":   {"registry.test:5000", "https://registry.test:5000/token", "registry.test:5000"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := wire(t, demands(fmt.Sprintf("Bearer realm=%q", tc.realm)))
			if _, err := n.client(t, registry.Config{Host: tc.host, Username: user, Password: password}).
				Probe(t.Context(), "team/app"); err != nil {
				t.Fatal(err)
			}
			if got := n.hosts(); len(got) != 3 || got[1] != tc.token {
				t.Errorf("dialled %q, want %s second", got, tc.token)
			}
		})
	}
}

func TestRedirectIsAnAnswerWithoutLimit(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		n := wire(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				demands("Basic realm=x")(w, r)
				return
			}
			w.Header().Set("Location", "https://evil.test/")
			w.Header().Set("RateLimit-Limit", "100;w=3600")
			w.Header().Set("RateLimit-Remaining", "100;w=3600")
			w.WriteHeader(status)
		})
		obs, err := n.client(t, registry.Config{Host: "registry.test", Username: user, Password: password}).
			Probe(t.Context(), "team/app")
		if err != nil || obs.Status != status || obs.Header.HasLimit {
			t.Errorf("observation %+v, %v; want status %d without a limit", obs, err, status)
		}
		if diff := cmp.Diff([]string{"registry.test:443", "registry.test:443"}, n.hosts()); diff != "" {
			t.Errorf("dialled (-want +got):\n%s", diff)
		}
	}
}

func TestRedirectOfTheTokenServiceIsNotFollowed(t *testing.T) {
	t.Parallel()
	n := wire(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.Redirect(w, r, "https://evil.test/token", http.StatusTemporaryRedirect)
			return
		}
		demands(`Bearer realm="https://registry.test/token"`)(w, r)
	})
	_, err := n.client(t, registry.Config{Host: "registry.test", Username: user, Password: password}).Probe(t.Context(), "team/app")
	checkError(t, err, "not followed")
	if diff := cmp.Diff([]string{"registry.test:443", "registry.test:443"}, n.hosts()); diff != "" {
		t.Errorf("dialled (-want +got):\n%s", diff)
	}
}

func TestAnswersOfTokenServicesAreNotTrusted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		want   string
	}{
		"no JSON":            {200, "<html>", "not that of a token service"},
		"no token":           {200, `{"token": ""}`, "no usable token"},
		"a line in a token":  {200, `{"token": "a\r\nX-Evil: 1"}`, "no usable token"},
		"a large token":      {200, `{"token": "` + strings.Repeat("a", 20<<10) + `"}`, "no usable token"},
		"a large answer":     {200, `{"token": "a"}` + strings.Repeat(" ", 64<<10), "larger than"},
		"escapes":            {500, `{"details": "\u001b]0;pwned\u0007\u202e\nERROR"}`, "status 500 (?]0;pwned??"},
		"a long message":     {500, `{"message": "` + strings.Repeat("é", 5000) + `"}`, "status 500 (é"},
		"an echoed password": {500, `{"errors": [{"message": "no ` + password + ` here"}]}`, "[redacted]"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := wire(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet {
					demands(`Bearer realm="https://registry.test/token"`)(w, r)
					return
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			})
			_, err := n.client(t, registry.Config{Host: "registry.test", Username: user, Password: password}).Probe(t.Context(), "team/app")
			if err != nil {
				err = errors.New(strings.ReplaceAll(err.Error(), "é", "e"))
			}
			checkError(t, err, strings.ReplaceAll(tc.want, "é", "e"))
			if got := len(n.requests()); got != 2 {
				t.Errorf("%d requests, want the HEAD and the one for the token", got)
			}
		})
	}
}

// TestEndlessBodies has a body that ends only when the client hangs up, which it
// must do when little more was sent than what buffers on the way hold.
func TestEndlessBodies(t *testing.T) {
	t.Parallel()
	const enough = 64 << 20
	sent := make(chan int, 1)
	n := wire(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			demands(`Bearer realm="https://registry.test/token"`)(w, r)
			return
		}
		chunk := []byte(strings.Repeat("a", 4<<10))
		total := 0
		for total < enough {
			wrote, err := w.Write(chunk)
			total += wrote
			if err != nil {
				break
			}
		}
		sent <- total
	})
	_, err := n.client(t, registry.Config{Host: "registry.test", Timeout: time.Minute}).Probe(t.Context(), "team/app")
	checkError(t, err, "larger than 65536 bytes")
	if got := <-sent; got >= enough {
		t.Errorf("the client took %d bytes", got)
	}
}

func TestHeaderBombs(t *testing.T) {
	t.Parallel()
	n := wire(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header().Set(fmt.Sprintf("X-Bomb-%d", i), strings.Repeat("b", 1<<10))
		}
	})
	obs, err := n.client(t, registry.Config{Host: "registry.test"}).Probe(t.Context(), "team/app")
	checkError(t, err, "no answer from registry.test", "exceeded 32768 bytes")
	if obs.Status != 0 || len(n.requests()) != 1 {
		t.Errorf("status %d after %d requests, want none after one", obs.Status, len(n.requests()))
	}
}

func TestMalformedAnswersDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	n := wire(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\x1b[31m "+password+" "+strings.Repeat("\x07", 500)+"\r\n\r\n")
		_ = conn.Close()
	})
	_, err := n.client(t, registry.Config{Host: "registry.test", Username: user, Password: password}).Probe(t.Context(), "team/app")
	checkError(t, err, "no answer from registry.test", "[redacted]")
	if errors.Unwrap(errors.Unwrap(errors.Unwrap(err))) != nil {
		t.Errorf("the raw text can be unwrapped from %q", err)
	}
}

func TestSilentServers(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	n := wire(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	obs, err := n.client(t, registry.Config{Host: "registry.test", Timeout: 200 * time.Millisecond}).Probe(t.Context(), "team/app")
	checkError(t, err, "no answer within 200ms")
	if !errors.Is(err, context.DeadlineExceeded) || obs.Status != 0 {
		t.Errorf("status %d, %v; want a deadline", obs.Status, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.client(t, registry.Config{Host: "registry.test"}).Probe(ctx, "team/app"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the cancellation", err)
	}
}

func TestUntrustedCertificateGetsNoRequest(t *testing.T) {
	t.Parallel()
	n, other := wire(t, demands()), wire(t, demands())
	n.ca = other.ca
	_, err := n.client(t, registry.Config{Host: "registry.test", Username: user, Password: password}).Probe(t.Context(), "team/app")
	checkError(t, err, "certificate")
	if got := n.requests(); len(got) != 0 {
		t.Errorf("the server got %q", got)
	}
}

func TestRepeatedFieldsAreOneList(t *testing.T) {
	t.Parallel()
	n := wire(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("RateLimit-Policy", `"burst";q=10;w=1`)
		w.Header().Add("RateLimit-Policy", `"default";q=100;w=3600`)
		w.Header().Add("RateLimit", `"burst";r=10;t=1`)
		w.Header().Add("RateLimit", `"default";r=42;t=30`)
	})
	obs, err := n.client(t, registry.Config{Host: "registry.test"}).Probe(t.Context(), "team/app")
	if err != nil {
		t.Fatal(err)
	}
	if h := obs.Header; h.Limit != 100 || h.Remaining != 42 || h.Window != time.Hour {
		t.Errorf("read %+v, want 42 of 100 in an hour", h)
	}
}

func TestShapesOfLiars(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ mediaType, digest, want string }{
		"a page":             {"text/html; charset=utf-8", "", "not the content type of a manifest"},
		"nothing":            {"", "", "no content type"},
		"a digest of escape": {"application/vnd.oci.image.index.v1+json", "sha256:\u009b31m", "not a digest"},
		"another digest":     {"application/vnd.oci.image.index.v1+json", "sha256:" + strings.Repeat("b", 64), "another digest"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := wire(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = []string{tc.mediaType}
				w.Header()["Docker-Content-Digest"] = []string{tc.digest}
			})
			m, d, err := n.client(t, registry.Config{Host: "registry.test"}).
				Shape(t.Context(), "registry.test/team/app@sha256:"+strings.Repeat("a", 64))
			checkError(t, err, tc.want)
			if m != 0 || d != "" {
				t.Errorf("%d manifests, digest %q with an error", m, d)
			}
		})
	}
}
