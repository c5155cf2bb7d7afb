package registry_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/test/registry"
	"github.com/pullpace/pace/test/registry/limit"
)

const base = "https://registry.test/v2/team/app/"

// TestWhatIsCharged sends one request of each sort with 10 units to begin with.
func TestWhatIsCharged(t *testing.T) {
	t.Parallel()
	type sort struct{ method, path string }
	head, tag, byIndex, child, blob, missing, ping := sort{"HEAD", "manifests/1"}, sort{"GET", "manifests/1"}, sort{"GET", "manifests/INDEX"},
		sort{"GET", "manifests/CHILD"}, sort{"GET", "blobs/CHILD"}, sort{"GET", "manifests/none"}, sort{"GET", "../../"}
	tests := map[string]struct {
		counts registry.Counts
		send   []sort
		want   int64
	}{
		"pull: HEAD, ping, blob and missing manifest are free": {registry.CountsPull, []sort{head, ping, blob, missing}, 0},
		"pull: an index by tag and its platform":               {registry.CountsPull, []sort{head, tag, child}, 1},
		"pull: an index by digest and its platform":            {registry.CountsPull, []sort{byIndex, child}, 1},
		"pull: a platform manifest without its index":          {registry.CountsPull, []sort{child, child}, 2},
		"pull: the platform again by the same identity":        {registry.CountsPull, []sort{tag, child, child}, 1},
		"manifest GET: index and platform":                     {registry.CountsManifestGET, []sort{head, tag, child, ping, blob}, 2},
		"manifest GET: a missing one too":                      {registry.CountsManifestGET, []sort{missing}, 1},
		"manifest: HEADs too":                                  {registry.CountsManifest, []sort{head, tag, child, head, ping, blob}, 4},
		"request: all":                                         {registry.CountsRequest, []sort{head, tag, child, ping, blob, missing}, 6},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h := openHost(t, newClock(), registry.Limiter{Spec: perHour(10), Counts: tc.counts})
			index, platform := pushIndex(t, s, "registry.test/team/app:1")
			for _, r := range tc.send {
				path := map[string]string{"manifests/INDEX": "manifests/" + index, "manifests/CHILD": "manifests/" + platform,
					"blobs/CHILD": "blobs/" + platform}[r.path]
				if path == "" {
					path = r.path
				}
				target := base + path
				if r == ping {
					target = "https://registry.test/v2/"
				}
				do(t, s.Client("192.0.2.7"), r.method, target, nil)
			}
			if got := 10 - h.Remaining(0, registry.Anonymous("192.0.2.7")); got != tc.want {
				t.Errorf("charged %d, want %d; log:\n%v", got, tc.want, s.Log().Entries(registry.Filter{}))
			}
			if got := s.Log().Charged(registry.Filter{}); got != tc.want {
				t.Errorf("the log says %d units, want %d", got, tc.want)
			}
		})
	}
}

func TestFreeChildIsBoundToIdentityAndTime(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, h := openHost(t, c, registry.Limiter{Spec: perHour(10)})
	_, platform := pushIndex(t, s, "registry.test/team/app:1")
	do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil)
	do(t, s.Client("192.0.2.8"), "GET", base+"manifests/"+platform, nil)
	c.add(registry.ChildFree + 1)
	do(t, s.Client("192.0.2.7"), "GET", base+"manifests/"+platform, nil)
	for address, want := range map[string]int64{"192.0.2.7": 8, "192.0.2.8": 9} {
		if got := h.Remaining(0, registry.Anonymous(address)); got != want {
			t.Errorf("%s has %d left, want %d", address, got, want)
		}
	}
}

func TestWhoIsCharged(t *testing.T) {
	t.Parallel()
	clients := []string{"192.0.2.7:1", "192.0.2.7:2", "192.0.2.8:1", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1"}
	tests := map[string]struct {
		per  registry.Per
		want []int // statuses, with one unit each
	}{
		// The ports do not matter; two IPv6 addresses of one /64 are one, the next /64 is another.
		"per egress address": {registry.PerEgressIP, []int{200, 429, 200, 200, 429, 200}},
		"per account, which is the address of anonymous requests": {registry.PerAccount, []int{200, 429, 200, 200, 429, 200}},
		"per registry": {registry.PerRegistry, []int{200, 429, 429, 429, 429, 429}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := openHost(t, newClock(), registry.Limiter{Spec: perHour(1), Per: tc.per})
			push(t, s, "registry.test/team/app:1")
			var got []int
			for _, source := range clients {
				got = append(got, do(t, s.Client(source), "GET", base+"manifests/1", nil).status)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllLimitersAllowBeforeAnyCharges(t *testing.T) {
	t.Parallel()
	s, h := openHost(t, newClock(),
		registry.Limiter{Spec: perHour(5)},
		registry.Limiter{Spec: perHour(2), Counts: registry.CountsRequest, CountsDenied: true})
	push(t, s, "registry.test/team/app:1")
	me := registry.Anonymous("192.0.2.7")
	for range 4 {
		do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil)
	}
	// Two were allowed. The two that the second limiter refused cost the first nothing; the second counts them.
	if pulls, requests := h.Remaining(0, me), h.Remaining(1, me); pulls != 3 || requests != -2 {
		t.Errorf("left %d pulls and %d requests, want 3 and -2", pulls, requests)
	}
	want := [][]int64{{1, 1}, {1, 1}, {0, 1}, {0, 1}}
	var got [][]int64
	for _, e := range s.Log().Entries(registry.Filter{Kind: registry.ManifestGET}) {
		got = append(got, e.Charges)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("charges (-want +got):\n%s", diff)
	}
}

func TestEmptyAllowance(t *testing.T) {
	t.Parallel()
	for answer, want := range map[registry.Answer]int{"": 200, registry.Allow: 200, registry.Deny: 429} {
		c := newClock()
		s, h := openHost(t, c, registry.Limiter{Spec: perHour(2), HeadWhenEmpty: answer})
		push(t, s, "registry.test/team/app:1")
		me := registry.Anonymous("192.0.2.7")
		if got := h.Spend(me, 5); got != 2 {
			t.Errorf("foreign use: %d of 5 were admitted, want 2", got)
		}
		if got := do(t, s.Client("192.0.2.7"), "HEAD", base+"manifests/1", nil); got.status != want || got.header.Get("RateLimit-Remaining") != "0;w=3600" {
			t.Errorf("headWhenEmpty %q: HEAD answered %d with remaining %q, want %d with 0;w=3600", answer, got.status, got.header.Get("RateLimit-Remaining"), want)
		}
		c.add(time.Hour)
		if got := do(t, s.Client("192.0.2.7"), "HEAD", base+"manifests/1", nil); got.status != 200 || got.header.Get("RateLimit-Remaining") != "2;w=3600" {
			t.Errorf("after the window: HEAD answered %d with remaining %q, want 200 with 2;w=3600", got.status, got.header.Get("RateLimit-Remaining"))
		}
	}
}

func TestAccountsWithoutLimitGetNoHeaders(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{Clock: newClock().Now})
	addHost(t, s, registry.HostConfig{Name: "registry.test", Dialect: "DockerHub", Auth: registry.BasicAuth,
		Accounts: map[string]string{"paid": "x", "free": "x"},
		Limiters: []registry.Limiter{{Spec: perHour(1), Per: registry.PerAccount, Exempt: []string{"paid"}}}})
	push(t, s, "registry.test/team/app:1")
	for account, want := range map[string]string{"paid": "", "free": "0;w=3600"} {
		req, _ := http.NewRequest("GET", "/", nil)
		req.SetBasicAuth(account, "x")
		res := do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", req.Header)
		if got := res.header.Get("RateLimit-Remaining"); got != want {
			t.Errorf("%s: remaining %q, want %q", account, got, want)
		}
	}
	if es := s.Log().Entries(registry.Filter{Account: "paid"}); len(es) != 1 || es[0].Limited {
		t.Errorf("log of the account without limit: %v, want one entry that no limiter judged", es)
	}
}

func TestChangingLimitsWhileServing(t *testing.T) {
	t.Parallel()
	s, h := openHost(t, newClock(), registry.Limiter{Spec: perHour(100)})
	push(t, s, "registry.test/team/app:1")
	me := registry.Anonymous("192.0.2.7")
	h.Spend(me, 60)
	h.SetLimit(0, 40)
	if got := do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil); got.status != 429 || got.header.Get("RateLimit-Limit") != "40;w=3600" {
		t.Errorf("with 60 of 40 used: %d, %v, want 429 and a limit of 40", got.status, got.header)
	}
	if got := h.Remaining(0, registry.Anonymous("192.0.2.99")); got != 40 {
		t.Errorf("an address that is new has %d, want the new limit 40", got)
	}
	if err := h.SetLimiters(registry.Limiter{Spec: limit.Spec{Kind: limit.TokenBucket, Rate: limit.Rate{Units: 10, Per: time.Second}, Burst: 20}}); err != nil {
		t.Fatal(err)
	}
	h.SetDialect("Draft11")
	got := do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil)
	// A bucket states its burst and the 2 s in which it fills; one token is back after 0.1 s, said as 1 s.
	if p, r := got.header.Get("RateLimit-Policy"), got.header.Get("RateLimit"); p != `"default";q=20;w=2` || r != `"default";r=19;t=1` {
		t.Errorf("headers of the bucket: %q and %q", p, r)
	}
	if err := h.SetLimiters(registry.Limiter{}); err == nil {
		t.Error("a limiter without kind was taken")
	}
}

func TestHostsAreApartAndMayShareAStore(t *testing.T) {
	t.Parallel()
	s := newServer(t, registry.Options{DefaultHost: "a.test"})
	store := registry.NewStore(t.TempDir()) // blobs on disk
	a := addHost(t, s, registry.HostConfig{Name: "a.test", Aliases: []string{"alias.test"}, Store: store, Limiters: []registry.Limiter{{Spec: perHour(9)}}})
	b := addHost(t, s, registry.HostConfig{Name: "b.test", Store: store, Limiters: []registry.Limiter{{Spec: perHour(9)}}})
	addHost(t, s, registry.HostConfig{Name: "c.test"})
	push(t, s, "a.test/team/app:1")
	for url, want := range map[string]int{
		"https://a.test/v2/team/app/manifests/1":                   200,
		"https://alias.test:5000/v2/team/app/manifests/1":          200,
		"https://b.test/v2/team/app/manifests/1":                   200,
		"https://c.test/v2/team/app/manifests/1":                   404,
		"https://mirror.example/v2/team/app/manifests/1?ns=b.test": 200,
		"https://unknown.example/v2/team/app/manifests/1":          200, // the default host
		"https://c.test/v2/team/app/manifests/1?ns=a.test":         404,
	} {
		if got := do(t, s.Client("192.0.2.7"), "GET", url, nil).status; got != want {
			t.Errorf("%s: %d, want %d", url, got, want)
		}
	}
	me := registry.Anonymous("192.0.2.7")
	if x, y := a.Remaining(0, me), b.Remaining(0, me); x != 6 || y != 7 {
		t.Errorf("a.test has %d of 9 left, b.test %d; want 6 and 7", x, y)
	}
	if _, err := s.AddHost(registry.HostConfig{Name: "d.test", Aliases: []string{"a.test"}}); err == nil {
		t.Error("a name was given out twice")
	}
}

func TestConcurrencyLimiterHoldsWhileTheBodyIsSent(t *testing.T) {
	t.Parallel()
	s, h := openHost(t, newClock(), registry.Limiter{Spec: limit.Spec{Kind: limit.Concurrency, Limit: 1}, Counts: registry.CountsRequest, Per: registry.PerRegistry})
	img := push(t, s, "registry.test/team/app:1")
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	blob := fmt.Sprintf("%sblobs/%s", base, digest(t, layers[0]))
	res, err := s.Client("192.0.2.7").Get(blob) // its body is not read: the answer is under way
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, s.Client("192.0.2.8"), "GET", blob, nil).status; got != 429 {
		t.Errorf("a second request while the first is answered: %d, want 429", got)
	}
	h.SetLimit(0, 2)
	if got := do(t, s.Client("192.0.2.8"), "GET", blob, nil).status; got != 200 {
		t.Errorf("a second request of two: %d, want 200", got)
	}
	_ = res.Body.Close()
}

func TestPushesGoThroughTheStoreOnly(t *testing.T) {
	t.Parallel()
	s, _ := openHost(t, newClock(), registry.Limiter{Spec: perHour(0)})
	push(t, s, "registry.test/team/app:1") // a limit of 0 does not matter to a push
	if got := s.Log().Count(registry.Filter{}); got != 0 {
		t.Errorf("%d log entries after a push, want none", got)
	}
	if got := do(t, s.Client("192.0.2.7"), "PUT", base+"manifests/2", nil).status; got != http.StatusMethodNotAllowed {
		t.Errorf("PUT through the front: %d, want 405", got)
	}
}
