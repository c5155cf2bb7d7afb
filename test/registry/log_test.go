package registry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/test/registry"
)

// story sends, 1 s apart: HEAD and GET from .7, GET from .8 twice with one unit each, HEAD from .8.
func story(t *testing.T) (*registry.Server, time.Time) {
	t.Helper()
	c := newClock()
	s, _ := openHost(t, c, registry.Limiter{Spec: perHour(1)})
	push(t, s, "registry.test/team/app:1")
	for _, r := range []struct{ method, source string }{
		{"HEAD", "192.0.2.7"}, {"GET", "192.0.2.7"}, {"GET", "192.0.2.8"}, {"GET", "192.0.2.8"}, {"HEAD", "192.0.2.8"},
	} {
		do(t, s.Client(r.source), r.method, base+"manifests/1", map[string][]string{"User-Agent": {"tester/1.0 (" + r.source + ")"}})
		c.add(time.Second)
	}
	return s, newClock().Now()
}

func TestLogQueries(t *testing.T) {
	t.Parallel()
	s, start := story(t)
	log := s.Log()
	counts := map[string]struct {
		filter        registry.Filter
		want          int
		wantThrottled int
	}{
		"all":                 {registry.Filter{}, 5, 1},
		"of an address":       {registry.Filter{Address: "192.0.2.8"}, 3, 1},
		"of a kind":           {registry.Filter{Kind: registry.ManifestHEAD}, 2, 0},
		"charged":             {registry.Filter{Charged: true}, 2, 0},
		"by status":           {registry.Filter{Status: 429}, 1, 1},
		"from a time on":      {registry.Filter{NotBefore: start.Add(3 * time.Second)}, 2, 1},
		"by part of an agent": {registry.Filter{UserAgent: ".7)"}, 2, 0},
		"by method and host":  {registry.Filter{Method: "GET", Host: "registry.test"}, 3, 1},
		"another repository":  {registry.Filter{Repo: "team/other"}, 0, 0},
		"by reference":        {registry.Filter{Repo: "team/app", Reference: "1"}, 5, 1},
		"of an account":       {registry.Filter{Account: "robot"}, 0, 0},
		"without an account":  {registry.Filter{Anonymous: true}, 5, 1},
		"by a condition":      {registry.Filter{Where: func(e registry.Entry) bool { return e.Remaining > 0 }}, 1, 0},
	}
	for name, tc := range counts {
		if got, throttled := log.Count(tc.filter), log.Throttled(tc.filter); got != tc.want || throttled != tc.wantThrottled {
			t.Errorf("%s: %d entries, %d throttled; want %d, %d", name, got, throttled, tc.want, tc.wantThrottled)
		}
	}
	first, _ := log.FirstCharged(registry.Filter{})
	last, ok := log.LastCharged(registry.Filter{})
	if d := last.Time.Sub(first.Time); !ok || d != time.Second || first.Identity.Address != "192.0.2.7" {
		t.Errorf("first charged GET %v, last %v: want .7 and then .8 one second later", first, last)
	}
	if _, ok := log.FirstCharged(registry.Filter{Address: "192.0.2.9"}); ok {
		t.Error("an address that sent nothing has a charged GET")
	}
	want := []registry.Tally{
		{Identity: registry.Anonymous("192.0.2.7"), Requests: 2, Charged: 1},
		{Identity: registry.Anonymous("192.0.2.8"), Requests: 3, Charged: 1, Throttled: 1},
	}
	if diff := cmp.Diff(want, log.ByIdentity(registry.Filter{})); diff != "" {
		t.Errorf("by identity (-want +got):\n%s", diff)
	}
}

func TestLogEntryIsComplete(t *testing.T) {
	t.Parallel()
	s, start := story(t)
	want := registry.Entry{
		Time: start.Add(3 * time.Second), Host: "registry.test", Identity: registry.Anonymous("192.0.2.8"), Remote: "192.0.2.8:40000",
		Method: "GET", Path: "/v2/team/app/manifests/1", Kind: registry.ManifestGET, Repo: "team/app", Reference: "1",
		Status: 429, Limited: true, Charges: []int64{0}, Denied: true, UserAgent: "tester/1.0 (192.0.2.8)",
	}
	if diff := cmp.Diff([]registry.Entry{want}, s.Log().Entries(registry.Filter{Throttled: true})); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
}

func TestLogWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := story(t)
		gets := registry.Filter{Kind: registry.ManifestGET}
		if es, err := s.Log().Wait(t.Context(), 3, gets); err != nil || len(es) != 3 {
			t.Errorf("waiting for what is there: %d entries, %v", len(es), err)
		}
		type result struct {
			n   int
			err error
		}
		done := make(chan result, 1)
		go func() {
			es, err := s.Log().Wait(t.Context(), 4, gets)
			done <- result{len(es), err}
		}()
		synctest.Wait()
		if len(done) != 0 {
			t.Error("the wait ended before the fourth GET")
		}
		do(t, s.Client("192.0.2.9"), "HEAD", base+"manifests/1", nil) // does not match
		do(t, s.Client("192.0.2.9"), "GET", base+"manifests/1", nil)
		if got := <-done; got.n != 4 || got.err != nil {
			t.Errorf("wait: %d entries, %v, want 4", got.n, got.err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := s.Log().Wait(ctx, 99, gets); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait for what never comes: %v, want the deadline", err)
		}
	})
}

func TestBusiest(t *testing.T) {
	t.Parallel()
	charged := func(seconds ...int) (out []registry.Entry) {
		for _, s := range seconds {
			out = append(out, registry.Entry{Time: newClock().Now().Add(time.Duration(s) * time.Second), Charged: 1})
		}
		return out
	}
	tests := map[string]struct {
		entries []registry.Entry
		want    int64
	}{
		"nothing":              {nil, 0},
		"spread":               {charged(0, 10, 20), 1},
		"edge of the window":   {charged(0, 9, 10), 2},
		"a burst after a lull": {charged(0, 30, 31, 32), 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, _ := registry.Busiest(tc.entries, 10*time.Second); got != tc.want {
				t.Errorf("%d units, want %d", got, tc.want)
			}
		})
	}
}
