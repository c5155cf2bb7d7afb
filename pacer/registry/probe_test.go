package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/registry"
	throttled "github.com/pullpace/pace/test/registry"
)

const preview = "ratelimitpreview/test"

// reading is an observation of Docker Hub at the time.
func reading(sent time.Time, limit, remaining int64, source string) quota.Observation {
	o := quota.Observation{SentAt: sent, Status: 200}
	o.Header.Limit, o.Header.HasLimit = core.Units(limit), true
	o.Header.Remaining, o.Header.HasRemaining = core.Units(remaining), true
	o.Header.Window, o.Header.Source = 6*time.Hour, source
	return o
}

func TestProbeReadsTheLimitOfTheIdentity(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  registry.Config
		want func(time.Time) quota.Observation
		seen []string
	}{
		"an anonymous client is metered by address": {
			cfg:  registry.Config{Host: "docker.io"},
			want: func(at time.Time) quota.Observation { return reading(at, 100, 93, "127.0.0.1") },
			seen: []string{
				"registry-1.docker.io manifestHEAD 401 as 127.0.0.1",
				"auth.docker.io token 200 as 127.0.0.1",
				"registry-1.docker.io manifestHEAD 200 as 127.0.0.1",
			},
		},
		"an account is metered by name": {
			cfg:  registry.Config{Host: "index.docker.io", Username: user, Password: password},
			want: func(at time.Time) quota.Observation { return reading(at, 200, 200, user) },
			seen: []string{
				"registry-1.docker.io manifestHEAD 401 as 127.0.0.1",
				"auth.docker.io token 200 as robot",
				"registry-1.docker.io manifestHEAD 200 as robot",
			},
		},
		"a silent downgrade shows in the source": {
			cfg:  registry.Config{Host: "docker.io", Username: user, Password: "outdated"},
			want: func(at time.Time) quota.Observation { return reading(at, 100, 93, "127.0.0.1") },
			seen: []string{
				"registry-1.docker.io manifestHEAD 401 as 127.0.0.1",
				"auth.docker.io token 200 as 127.0.0.1",
				"registry-1.docker.io manifestHEAD 200 as 127.0.0.1",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s, n, _ := hub(t, c)
			push(t, s, "docker.io/"+preview+":latest")
			s.Host("docker.io").Spend(throttled.Anonymous("127.0.0.1"), 7)
			tc.cfg.Clock = c.Now
			got, err := n.client(t, tc.cfg).Probe(t.Context(), registry.DefaultRepository(tc.cfg.Host))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want(c.Now()), got); diff != "" {
				t.Errorf("observation (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.seen, trail(s)); diff != "" {
				t.Errorf("log (-want +got):\n%s", diff)
			}
			if charged := s.Log().Charged(throttled.Filter{}); charged != 0 {
				t.Errorf("the probe was charged %d units", charged)
			}
		})
	}
}

func TestProbeKeepsTheTokenUntilShortlyBeforeItEnds(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, n, ts := hub(t, c)
	push(t, s, "docker.io/"+preview+":latest")
	cl := n.client(t, registry.Config{Host: "docker.io", Clock: c.Now})
	steps := []struct {
		name   string
		before func()
		want   int // requests more
	}{
		{"the first probe gets a token", func() {}, 3},
		{"the second has it", func() {}, 1},
		{"it is used for nine tenths of its life", func() { c.add(4*time.Minute + 29*time.Second) }, 1},
		{"and no longer", func() { c.add(time.Second) }, 3},
		{"one that was revoked is replaced", ts.Revoke, 3},
		{"and the replacement is kept", func() {}, 1},
	}
	for _, step := range steps {
		before := len(trail(s))
		step.before()
		obs, err := cl.Probe(t.Context(), preview)
		if err != nil || obs.Status != 200 {
			t.Fatalf("%s: status %d, %v", step.name, obs.Status, err)
		}
		if got := len(trail(s)) - before; got != step.want {
			t.Errorf("%s: %d requests, want %d", step.name, got, step.want)
		}
	}
}

func TestThrottledHeadIsSentOnce(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, n, _ := hub(t, c)
	push(t, s, "docker.io/"+preview+":latest")
	cl := n.client(t, registry.Config{Host: "docker.io", Clock: c.Now})
	if _, err := cl.Probe(t.Context(), preview); err != nil {
		t.Fatal(err)
	}
	before := len(trail(s))
	s.Host("docker.io").Inject(throttled.HeadThrottled())
	c.add(time.Second)

	obs, err := cl.Probe(t.Context(), preview)
	if err != nil {
		t.Fatal(err)
	}
	if obs.Status != 429 || !obs.SentAt.Equal(c.Now()) {
		t.Errorf("observation %+v, want status 429 sent at %s", obs, c.Now())
	}
	if _, _, err := cl.Shape(t.Context(), preview); err == nil {
		t.Error("a shape was read from a 429")
	}
	want := []string{
		"registry-1.docker.io manifestHEAD 429 as 127.0.0.1",
		"registry-1.docker.io manifestHEAD 429 as 127.0.0.1",
	}
	if diff := cmp.Diff(want, trail(s)[before:]); diff != "" {
		t.Errorf("one request each for Probe and Shape (-want +got):\n%s", diff)
	}
}

func TestThrottledTokenServiceIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, n, ts := hub(t, c)
	push(t, s, "docker.io/"+preview+":latest")
	ts.Inject(throttled.Fault{Name: "limited", Answer: &throttled.Denial{
		RetryAfter: throttled.RetryAfter{Form: throttled.RetrySeconds, After: 90 * time.Second}}})
	cl := n.client(t, registry.Config{Host: "docker.io", Clock: c.Now})
	tokens := throttled.Filter{Kind: throttled.Token}

	for range 3 {
		obs, err := cl.Probe(t.Context(), preview)
		checkError(t, err, "auth.docker.io", "429")
		if obs.Status != 0 || obs.SentAt.IsZero() {
			t.Errorf("observation %+v, want a time and no status", obs)
		}
	}
	if got := s.Log().Count(tokens); got != 1 {
		t.Errorf("%d requests for a token, want 1", got)
	}
	ts.ClearFaults()
	c.add(2 * time.Minute)
	if _, err := cl.Probe(t.Context(), preview); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

func TestRefusedLoginIsNotRepeated(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, err := throttled.New(throttled.Options{Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	ts, err := s.AddTokenService(throttled.TokenConfig{Host: "registry.test", Accounts: map[string]string{user: password}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddHost(throttled.HostConfig{Name: "registry.test", Auth: throttled.BearerAuth, Token: ts}); err != nil {
		t.Fatal(err)
	}
	cl := serve(t, s).client(t, registry.Config{Host: "registry.test", Username: user, Password: "outdated", Clock: c.Now})
	for range 3 {
		_, err := cl.Probe(t.Context(), "team/app")
		checkError(t, err, "registry.test", "check username and password")
	}
	if got := s.Log().Count(throttled.Filter{Kind: throttled.Token}); got != 1 {
		t.Errorf("%d logins with a wrong password, want 1", got)
	}
}

func TestShapeCountsManifests(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, n, _ := hub(t, c)
	single := push(t, s, "docker.io/library/single:1")
	index := pushIndex(t, s, "docker.io/library/multi:1")
	cl := n.client(t, registry.Config{Host: "docker.io", Clock: c.Now})
	type shape struct {
		Manifests int
		Digest    string
	}
	tests := map[string]struct {
		ref  string
		want shape
	}{
		"an image":                       {"docker.io/library/single:1", shape{1, single}},
		"an index":                       {"library/multi:1", shape{2, index}},
		"an official image's short name": {"multi:1", shape{2, index}},
		"by digest":                      {"library/single@" + single, shape{1, single}},
		"the digest wins over the tag":   {"library/single:none@" + single, shape{1, single}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, d, err := cl.Shape(t.Context(), tc.ref)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, shape{m, d}); diff != "" {
				t.Errorf("shape (-want +got):\n%s", diff)
			}
		})
	}
	if _, _, err := cl.Shape(t.Context(), "library/missing"); err == nil {
		t.Error("a missing image has a shape")
	}
}

func TestBasicAuthOfTheRegistryItself(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, err := throttled.New(throttled.Options{Clock: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddHost(throttled.HostConfig{Name: "registry.test", Auth: throttled.BasicAuth,
		Accounts: map[string]string{user: password}}); err != nil {
		t.Fatal(err)
	}
	push(t, s, "registry.test/team/app:latest")
	n := serve(t, s)
	obs, err := n.client(t, registry.Config{Host: "registry.test", Username: user, Password: password, Clock: c.Now}).
		Probe(t.Context(), "team/app")
	if err != nil || obs.Status != 200 {
		t.Errorf("status %d, %v", obs.Status, err)
	}
	obs, err = n.client(t, registry.Config{Host: "registry.test", Username: user, Password: "wrong", Clock: c.Now}).
		Probe(t.Context(), "team/app")
	checkError(t, err, "does not accept the login")
	if obs.Status != 401 {
		t.Errorf("status %d, want 401", obs.Status)
	}
	_, err = n.client(t, registry.Config{Host: "registry.test", Clock: c.Now}).Probe(t.Context(), "team/app")
	checkError(t, err, "give credentials")
}
