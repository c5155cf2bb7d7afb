package registry_test

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/test/registry"
	"github.com/pullpace/pace/test/registry/dialect"
)

// TestHeaderFaults asks by HEAD while 7 of 10 are left, then again while 6 are.
func TestHeaderFaults(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fault registry.Fault
		want  []string
	}{
		"none":     {registry.Fault{}, []string{"7;w=3600", "6;w=3600"}},
		"missing":  {registry.Fault{Headers: registry.HeadersMissing}, []string{"", ""}},
		"offset":   {registry.Fault{Headers: registry.HeadersOffset, By: 5}, []string{"12;w=3600", "11;w=3600"}},
		"stuck":    {registry.Fault{Headers: registry.HeadersStuck}, []string{"7;w=3600", "7;w=3600"}},
		"garbage":  {registry.Fault{Headers: registry.HeadersGarbage, Garbage: "NaN;w=x"}, []string{"NaN;w=x", "NaN;w=x"}},
		"once":     {registry.Fault{Headers: registry.HeadersMissing, Times: 1}, []string{"", "6;w=3600"}},
		"other id": {registry.Fault{Headers: registry.HeadersMissing, Identity: "192.0.2.9"}, []string{"7;w=3600", "6;w=3600"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, h := openHost(t, newClock(), registry.Limiter{Spec: perHour(10)})
			push(t, s, "registry.test/team/app:1")
			h.Inject(tc.fault)
			me := registry.Anonymous("192.0.2.7")
			var got []string
			for _, n := range []int64{3, 1} {
				h.Spend(me, n)
				got = append(got, do(t, s.Client("192.0.2.7"), "HEAD", base+"manifests/1", nil).header.Get("RateLimit-Remaining"))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("remaining (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusals takes the one unit and asks again 10.5 s later; the unit is back after 3600 - 10.5 = 3589.5 s,
// which is said as 3590 s. The second request is at 12:00:10 in whole seconds, Unix 1786708810.
func TestRefusals(t *testing.T) {
	t.Parallel()
	custom := func(form registry.RetryForm) registry.Denial {
		return registry.Denial{RetryAfter: registry.RetryAfter{Form: form}}
	}
	const plain = `{"errors":[{"code":"TOOMANYREQUESTS","message":"too many requests"}]}`
	tests := map[string]struct {
		denial    registry.Denial
		dialect   string
		want      int
		wantRetry string
		wantBody  string
	}{
		"zero value":      {registry.Denial{}, "", 429, "", plain},
		"seconds":         {custom(registry.RetrySeconds), "", 429, "3590", plain},
		"date":            {custom(registry.RetryDate), "", 429, "Fri, 14 Aug 2026 13:00:00 GMT", plain},
		"epoch":           {custom(registry.RetryEpoch), "", 429, "1786712400", plain},
		"garbage":         {custom(registry.RetryGarbage), "", 429, "in a while", plain},
		"GHCR":            {registry.GHCRDenial(), "", 429, "", `{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 59m49.5s, allowed: 44000/minute"}]}`},
		"hub abuse":       {registry.HubAbuseDenial(), "", 429, "60", "Too Many Requests (HAP429).\n"},
		"ECR":             {registry.ECRDenial(), "", 429, "", `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`},
		"GitLab":          {registry.GitLabDenial(), "GitLab", 429, "3590", "Retry later\n"},
		"403 in disguise": {registry.ForbiddenDenial(), "", 403, "", `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`},
		"404 in disguise": {registry.NotFoundDenial(), "", 404, "", `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			s := newServer(t, registry.Options{Clock: c.Now})
			addHost(t, s, registry.HostConfig{Name: "registry.test", Denial: tc.denial, Dialect: dialect.Dialect(tc.dialect),
				Limiters: []registry.Limiter{{Spec: perHour(1)}}})
			push(t, s, "registry.test/team/app:1")
			do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil)
			c.add(10500 * time.Millisecond)
			got := do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil)
			if got.status != tc.want || got.header.Get("Retry-After") != tc.wantRetry || got.body != tc.wantBody {
				t.Errorf("got %d, retry %q, %q; want %d, retry %q, %q", got.status, got.header.Get("Retry-After"), got.body, tc.want, tc.wantRetry, tc.wantBody)
			}
			if n := s.Log().Throttled(registry.Filter{}); n != 1 {
				t.Errorf("%d requests throttled in the log, want 1 whatever the status", n)
			}
		})
	}
}

func TestAnswerFaults(t *testing.T) {
	t.Parallel()
	s, h := openHost(t, newClock(), registry.Limiter{Spec: perHour(10)})
	push(t, s, "registry.test/team/app:1")
	status := func(method string) int { return do(t, s.Client("192.0.2.7"), method, base+"manifests/1", nil).status }

	lift := h.Inject(registry.HeadThrottled())
	if head, get := status("HEAD"), status("GET"); head != 429 || get != 200 {
		t.Errorf("HEAD throttled: HEAD %d, GET %d, want 429, 200", head, get)
	}
	lift()
	lift() // lifting again is harmless
	if head := status("HEAD"); head != 200 {
		t.Errorf("HEAD after the fault: %d, want 200", head)
	}

	h.Inject(registry.Failing(503))
	h.Inject(registry.Fault{Name: "late", Answer: &registry.Denial{}})
	if got := do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil); got.status != 503 || got.header.Get("RateLimit-Limit") != "" {
		t.Errorf("outage: %d with limit %q, want 503 and none", got.status, got.header.Get("RateLimit-Limit"))
	}
	h.ClearFaults()
	me := registry.Anonymous("192.0.2.7")
	if got := h.Remaining(0, me); got != 9 {
		t.Errorf("%d left, want 9: what faults answered is free", got)
	}
	h.Inject(registry.Fault{Name: "charged", Kinds: []registry.Kind{registry.ManifestGET}, Answer: &registry.Denial{}, Charge: true, Times: 2})
	for _, want := range []int{429, 429, 200} {
		if got := status("GET"); got != want {
			t.Errorf("refused twice and charged: %d, want %d", got, want)
		}
	}
	if got := h.Remaining(0, me); got != 6 {
		t.Errorf("%d left, want 6: three requests were charged, two of them refused", got)
	}
	if got := s.Log().Count(registry.Filter{Fault: "charged", Charged: true}); got != 2 {
		t.Errorf("%d charged entries of the fault in the log, want 2", got)
	}
}

// TestRefusingUntil asks 10.5 s before the way is clear, and again 4 s later: what is said is the time that is left,
// though the account has units and every header says so.
func TestRefusingUntil(t *testing.T) {
	t.Parallel()
	c := newClock()
	s, h := openHost(t, c, registry.Limiter{Spec: perHour(10)})
	push(t, s, "registry.test/team/app:1")
	denial := registry.GHCRDenial()
	denial.RetryAfter.Until = c.Now().Add(10500 * time.Millisecond)
	lift := h.Inject(registry.Refusing(denial, registry.ManifestGET))
	for _, want := range []string{"10.5s", "6.5s"} {
		got := do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil)
		body := `{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: ` + want + `, allowed: 44000/minute"}]}`
		if got.status != 429 || got.body != body || got.header.Get("RateLimit-Remaining") != "10;w=3600" {
			t.Errorf("got %d %q with %q left, want 429 %q with 10 left", got.status, got.body, got.header.Get("RateLimit-Remaining"), body)
		}
		if head := do(t, s.Client("192.0.2.7"), "HEAD", base+"manifests/1", nil); head.status != 200 {
			t.Errorf("HEAD while GETs are refused: %d, want 200", head.status)
		}
		c.add(4 * time.Second)
	}
	lift()
	if got := do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil); got.status != 200 {
		t.Errorf("GET afterwards: %d, want 200", got.status)
	}
}

func TestDropsInProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, h := openHost(t, newClock(), registry.Limiter{Spec: perHour(10)})
		push(t, s, "registry.test/team/app:1")
		lift := h.Inject(registry.Unreachable())
		if _, err := try(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reset: error %v, want ECONNRESET", err)
		}
		lift()
		h.Inject(registry.Fault{Name: "silence", Times: 1, Drop: registry.DropTimeout})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // passes at once: time in the bubble is virtual
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", base+"manifests/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := s.Client("192.0.2.7").Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silence: answer %v, error %v, want the deadline", res, err)
		}
		if got := s.Log().Count(registry.Filter{Where: func(e registry.Entry) bool { return e.Status == 0 }}); got != 2 {
			t.Errorf("%d entries without an answer, want 2", got)
		}
	})
}

func TestDelayAndSlowBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, h := openHost(t, newClock(), registry.Limiter{Spec: perHour(10)})
		img := push(t, s, "registry.test/team/app:1")
		raw, err := img.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		took := func() time.Duration {
			start := time.Now()
			if got := do(t, s.Client("192.0.2.7"), "GET", base+"manifests/1", nil).body; got != string(raw) {
				t.Errorf("manifest differs: %q", got)
			}
			return time.Since(start)
		}
		lift := h.Inject(registry.Fault{Delay: 3 * time.Second})
		if got := took(); got != 3*time.Second {
			t.Errorf("a delay of 3 s took %v", got)
		}
		lift()
		h.Inject(registry.Fault{BytesPerSecond: 100})
		if got, want := took(), time.Duration(len(raw))*time.Second/100; got != want {
			t.Errorf("%d bytes at 100 per second took %v, want %v", len(raw), got, want)
		}
	})
}

func TestRangeOfABlob(t *testing.T) {
	t.Parallel()
	s, _ := openHost(t, newClock())
	img := push(t, s, "registry.test/team/app:1")
	raw, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		header     string
		wantStatus int
		wantBody   string
	}{
		"whole":       {"", 200, string(raw)},
		"both ends":   {"bytes=2-4", 206, string(raw[2:5])},
		"open end":    {"bytes=5-", 206, string(raw[5:])},
		"past it all": {"bytes=99999-", 416, ""},
	}
	for name, tc := range tests {
		header := http.Header{}
		if tc.header != "" {
			header.Set("Range", tc.header)
		}
		if got := do(t, s.Client("192.0.2.7"), "GET", base+"blobs/"+config.String(), header); got.status != tc.wantStatus || got.body != tc.wantBody {
			t.Errorf("%s: %d %q, want %d %q", name, got.status, got.body, tc.wantStatus, tc.wantBody)
		}
	}
}
