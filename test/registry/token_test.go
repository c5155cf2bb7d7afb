package registry_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/pullpace/pace/test/registry"
	"github.com/pullpace/pace/test/registry/limit"
)

// trail is what a test wants to know of log entries.
func trail(es []registry.Entry) []string {
	var out []string
	for _, e := range es {
		out = append(out, fmt.Sprintf("%s %s %d as %s, %d charged", e.Host, e.Kind, e.Status, e.Identity, e.Charged))
	}
	return out
}

func hub(t *testing.T, c *clock) (*registry.Server, *registry.Host, *registry.TokenService) {
	t.Helper()
	s := newServer(t, registry.Options{Clock: c.Now})
	ts := addTokens(t, s, registry.DockerHubToken(map[string]string{"robot": "secret"}))
	return s, addHost(t, s, registry.DockerHub(ts, 2, 3, 6*time.Hour)), ts
}

func TestPullsOfAnIndexThroughTheTokenFlow(t *testing.T) {
	t.Parallel()
	s, h, _ := hub(t, newClock())
	pushIndex(t, s, "docker.io/library/app:1")
	robot := &authn.Basic{Username: "robot", Password: "secret"}

	for _, auth := range []authn.Authenticator{authn.Anonymous, robot} {
		// Image gets the index and then the manifest of its platform.
		if _, err := remote.Image(reference(t, "docker.io/library/app:1"), once(s, "192.0.2.7", auth)...); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"registry-1.docker.io ping 401 as 192.0.2.7, 0 charged",
		"auth.docker.io token 200 as 192.0.2.7, 0 charged",
		"registry-1.docker.io manifestGET 200 as 192.0.2.7, 1 charged",
		"registry-1.docker.io manifestGET 200 as 192.0.2.7, 0 charged",
		"registry-1.docker.io ping 401 as 192.0.2.7, 0 charged",
		"auth.docker.io token 200 as robot, 0 charged",
		"registry-1.docker.io manifestGET 200 as robot, 1 charged",
		"registry-1.docker.io manifestGET 200 as robot, 0 charged",
	}
	if diff := cmp.Diff(want, trail(s.Log().Entries(registry.Filter{}))); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if got := h.Remaining(0, registry.Anonymous("192.0.2.7")); got != 1 {
		t.Errorf("the address has %d of 2 left, want 1", got)
	}
	if got := h.Remaining(1, registry.Account("robot", "198.51.100.1")); got != 2 {
		t.Errorf("the account has %d of 3 left, want 2", got)
	}
}

func TestThrottledClientSeesTheErrorOfDockerHub(t *testing.T) {
	t.Parallel()
	s, h, _ := hub(t, newClock())
	push(t, s, "docker.io/library/app:1")
	h.Spend(registry.Anonymous("192.0.2.7"), 2)
	h.Spend(registry.Account("robot", ""), 3)
	tests := map[string]struct {
		auth authn.Authenticator
		want string
	}{
		"anonymous": {authn.Anonymous, "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"},
		"account":   {&authn.Basic{Username: "robot", Password: "secret"}, "You have reached your pull rate limit as 'robot'"},
	}
	for name, tc := range tests {
		_, err := remote.Get(reference(t, "docker.io/library/app:1"), once(s, "192.0.2.7", tc.auth)...)
		terr := new(transport.Error)
		if !errors.As(err, &terr) || terr.StatusCode != http.StatusTooManyRequests || len(terr.Errors) != 1 {
			t.Fatalf("%s: got error %v, want one of status 429", name, err)
		}
		if got := terr.Errors[0]; got.Code != transport.TooManyRequestsErrorCode || got.Message != tc.want {
			t.Errorf("%s: got %s %q, want %q", name, got.Code, got.Message, tc.want)
		}
	}
	if got := s.Log().Throttled(registry.Filter{Kind: registry.ManifestGET}); got != 2 {
		t.Errorf("%d manifest GETs were throttled, want 2: the client is not to retry", got)
	}
}

func TestTokenService(t *testing.T) {
	t.Parallel()
	accounts := map[string]string{"robot": "secret"}
	tests := map[string]struct {
		config     registry.TokenConfig
		method     string
		user, pass string
		wantStatus int
		wantAs     string // the account of the manifest GET that follows
	}{
		"anonymous GET":                        {registry.TokenConfig{}, "GET", "", "", 200, ""},
		"GET with the right password":          {registry.TokenConfig{}, "GET", "robot", "secret", 200, "robot"},
		"GET with a wrong password":            {registry.TokenConfig{}, "GET", "robot", "wrong", 401, ""},
		"GET with a wrong password, downgrade": {registry.TokenConfig{Downgrade: true}, "GET", "robot", "wrong", 200, ""},
		"POST with the right password":         {registry.TokenConfig{}, "POST", "robot", "secret", 200, "robot"},
		"POST with a wrong password":           {registry.TokenConfig{}, "POST", "robot", "wrong", 401, ""},
		"POST where only GET is known":         {registry.TokenConfig{NoOAuth: true}, "POST", "robot", "secret", 404, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, registry.Options{})
			tc.config.Host, tc.config.Accounts = "auth.test", accounts
			ts := addTokens(t, s, tc.config)
			addHost(t, s, registry.HostConfig{Name: "registry.test", Auth: registry.BearerAuth, Token: ts})
			push(t, s, "registry.test/team/app:1")

			status, token := exchange(t, s, tc.method, tc.user, tc.pass)
			if status != tc.wantStatus {
				t.Fatalf("status %d, want %d", status, tc.wantStatus)
			}
			if status != http.StatusOK {
				return
			}
			res := do(t, s.Client("192.0.2.7"), "GET", "https://registry.test/v2/team/app/manifests/1", http.Header{"Authorization": {"Bearer " + token}})
			if res.status != http.StatusOK {
				t.Errorf("manifest with the token: status %d, want 200", res.status)
			}
			if es := s.Log().Entries(registry.Filter{Kind: registry.ManifestGET}); len(es) != 1 || es[0].Identity.Account != tc.wantAs {
				t.Errorf("the manifest GET is logged as %v, want account %q", es, tc.wantAs)
			}
			if n := s.Log().Count(registry.Filter{Kind: registry.Token, Repo: "team/app"}); n != 1 {
				t.Errorf("%d token requests for team/app in the log, want 1", n)
			}
		})
	}
}

// exchange asks for a token and returns it with the status.
func exchange(t *testing.T, s *registry.Server, method, user, pass string) (int, string) {
	t.Helper()
	const scope = "repository:team/app:pull"
	form := url.Values{"service": {"auth.test"}, "scope": {scope}}
	target, body := "https://auth.test/token?"+form.Encode(), ""
	if method == http.MethodPost {
		form.Set("grant_type", "password")
		form.Set("username", user)
		form.Set("password", pass)
		target, body = "https://auth.test/token", form.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method == http.MethodGet && user != "" {
		req.SetBasicAuth(user, pass)
	}
	res, err := s.Client("192.0.2.7").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct {
		Token string `json:"token"`
	}
	decode(t, res.Body, &got)
	return res.StatusCode, got.Token
}

func TestRefreshTokenAndRevocation(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, _, ts := hub(t, c)
	push(t, s, "docker.io/library/app:1")
	post := func(form url.Values) (int, map[string]any) {
		res, err := s.Client("192.0.2.7").PostForm("https://auth.docker.io/token", form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var got map[string]any
		decode(t, res.Body, &got)
		return res.StatusCode, got
	}
	_, first := post(url.Values{"grant_type": {"password"}, "username": {"robot"}, "password": {"secret"}, "access_type": {"offline"}})
	refresh, _ := first["refresh_token"].(string)
	_, second := post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	bearer := http.Header{"Authorization": {fmt.Sprintf("Bearer %s", second["access_token"])}}
	const manifest = "https://docker.io/v2/library/app/manifests/1"
	steps := []struct {
		name string
		do   func()
		want int
	}{
		{"fresh", func() {}, 200},
		{"expired after 5 minutes", func() { c.add(5 * time.Minute) }, 401},
		{"renewed", func() {
			_, third := post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
			bearer.Set("Authorization", fmt.Sprintf("Bearer %s", third["access_token"]))
		}, 200},
		{"revoked", ts.Revoke, 401},
	}
	for _, step := range steps {
		step.do()
		if got := do(t, s.Client("192.0.2.7"), "HEAD", manifest, bearer).status; got != step.want {
			t.Errorf("%s: status %d, want %d", step.name, got, step.want)
		}
	}
}

func TestChallengeLines(t *testing.T) {
	t.Parallel()
	s, _, _ := hub(t, newClock())
	res := do(t, s.Client("[2001:db8:1:2:3:4:5:6]:999"), "HEAD", "https://registry-1.docker.io/v2/library/app/manifests/1", nil)
	want := map[string]string{
		"WWW-Authenticate":        `Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/app:pull"`,
		"Docker-RateLimit-Source": "2001:db8:1:2::", // the hub names the /64 even here
		"RateLimit-Remaining":     "",
	}
	for name, v := range want {
		if got := res.header.Get(name); got != v {
			t.Errorf("%s: got %q, want %q", name, got, v)
		}
	}
	if res.status != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", res.status)
	}
}

func TestTokenServiceHasItsOwnLimiter(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{Clock: newClock().Now})
	addTokens(t, s, registry.TokenConfig{Host: "auth.test", Dialect: "AuthDocker",
		Limiters: []registry.Limiter{{Spec: limit.Spec{Kind: limit.FixedWindow, Limit: 1, Window: time.Minute}}}})
	first := do(t, s.Client("192.0.2.7"), "GET", "https://auth.test/token", nil)
	second := do(t, s.Client("192.0.2.7"), "GET", "https://auth.test/token", nil)
	other := do(t, s.Client("192.0.2.8"), "GET", "https://auth.test/token", nil)
	if got := []int{first.status, second.status, other.status}; !cmp.Equal(got, []int{200, 429, 200}) {
		t.Errorf("statuses %v, want 200, 429, and 200 for another address", got)
	}
	if got := first.header.Get("X-RateLimit-Limit"); got != "1, 1;w=60" {
		t.Errorf("limit header %q, want %q", got, "1, 1;w=60")
	}
}

// TestPasswordsThatAreTakenAway logs in by either of two passwords of one user, of which one is taken away and later
// given back: who has the other never notices.
func TestPasswordsThatAreTakenAway(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{Clock: newClock().Now})
	ts := addTokens(t, s, registry.TokenConfig{Host: "auth.test", Accounts: map[string]string{"robot": "first"}})
	login := func(password string) int {
		header := http.Header{}
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("robot:"+password)))
		return do(t, s.Client("192.0.2.7"), "GET", "https://auth.test/token", header).status
	}
	for _, tc := range []struct {
		valid []string
		want  [2]int
	}{
		{[]string{"first", "second"}, [2]int{200, 200}}, {[]string{"second"}, [2]int{401, 200}},
		{nil, [2]int{401, 401}}, {[]string{"first"}, [2]int{200, 401}},
	} {
		ts.SetPasswords("robot", tc.valid...)
		if got := [2]int{login("first"), login("second")}; got != tc.want {
			t.Errorf("with passwords %q: %v, want %v", tc.valid, got, tc.want)
		}
	}
}

func TestBasicAndPrivate(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{})
	addHost(t, s, registry.HostConfig{Name: "basic.test", Auth: registry.BasicAuth, Accounts: map[string]string{"robot": "secret"}})
	ts := addTokens(t, s, registry.TokenConfig{Host: "private.test", Accounts: map[string]string{"robot": "secret"}}) // the host's own name
	addHost(t, s, registry.HostConfig{Name: "private.test", Auth: registry.BearerAuth, Token: ts, Private: []string{"team/*"}})
	good := &authn.Basic{Username: "robot", Password: "secret"}
	for _, ref := range []string{"basic.test/team/app:1", "private.test/team/app:1"} {
		push(t, s, ref)
		if _, err := remote.Get(reference(t, ref), once(s, "192.0.2.7", good)...); err != nil {
			t.Errorf("%s with an account: %v", ref, err)
		}
		_, err := remote.Get(reference(t, ref), once(s, "192.0.2.7", authn.Anonymous)...)
		terr := new(transport.Error)
		if !errors.As(err, &terr) || terr.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without an account: got %v, want status 401", ref, err)
		}
	}
}

func TestFaultsBeforeAndAfterTheChallenge(t *testing.T) {
	t.Parallel()
	s, h, _ := hub(t, newClock())
	push(t, s, "docker.io/library/app:1")
	const manifest = "https://docker.io/v2/library/app/manifests/1"
	lift := h.Inject(registry.HeadThrottled())
	if got := do(t, s.Client("192.0.2.7"), "HEAD", manifest, nil).status; got != http.StatusUnauthorized {
		t.Errorf("HEAD without a token under throttled HEADs: %d, want the challenge 401", got)
	}
	if _, err := remote.Head(reference(t, "docker.io/library/app:1"), once(s, "192.0.2.7", authn.Anonymous)...); err == nil {
		t.Error("HEAD with a token was not throttled")
	}
	lift()
	h.Inject(registry.Failing(http.StatusBadGateway))
	if got := do(t, s.Client("192.0.2.7"), "HEAD", manifest, nil).status; got != http.StatusBadGateway {
		t.Errorf("HEAD without a token in an outage: %d, want 502", got)
	}
}
