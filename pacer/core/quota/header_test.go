package quota_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/test/registry/dialect"
)

// readAt is Unix 1786708800.
var readAt = time.Date(2026, 8, 14, 12, 0, 0, 0, time.UTC)

// joined is how callers present a header: every value of a name.
func joined(lines ...string) func(string) string {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return func(name string) string { return strings.Join(h.Values(name), ", ") }
}

func whole(limit, remaining core.Units, window time.Duration) quota.Header {
	return quota.Header{Limit: limit, HasLimit: true, Remaining: remaining, HasRemaining: true, Window: window}
}

func TestParseHeaderReadsWhatRegistriesSend(t *testing.T) {
	t.Parallel()
	hub := whole(100, 20, 6*time.Hour)
	hub.Source = "192.0.2.1"
	tests := map[string]struct {
		lines []string
		want  quota.Header
	}{
		"no header at all": {nil, quota.Header{}},
		"Docker Hub":       {[]string{"ratelimit-limit: 100;w=21600", "ratelimit-remaining: 20;w=21600", "docker-ratelimit-source: 192.0.2.1"}, hub},
		"Docker Hub, the unprefixed duplicate wins where they differ": {
			[]string{"ratelimit-limit: 200;w=3600", "ratelimit-remaining: 198;w=3600", "x-ratelimit-limit: 100;w=60", "x-ratelimit-remaining: 7;w=60"},
			whole(200, 198, time.Hour)},
		"the duplicate serves where the first is malformed": {
			[]string{"ratelimit-limit: plenty", "ratelimit-remaining: 198;w=3600", "x-ratelimit-limit: 200;w=3600", "x-ratelimit-remaining: 197;w=3600"},
			whole(200, 197, time.Hour)},
		"the duplicate lends a window for the same limit only": {
			[]string{"ratelimit-limit: 200", "ratelimit-remaining: 198", "x-ratelimit-limit: 200;w=3600"},
			whole(200, 198, time.Hour)},
		"and none for another limit": {
			[]string{"ratelimit-limit: 200", "ratelimit-remaining: 198", "x-ratelimit-limit: 100;w=3600"},
			whole(200, 198, 0)},
		"a window on the remainder alone": {
			[]string{"ratelimit-limit: 100", "ratelimit-remaining: 20;w=21600"}, whole(100, 20, 6*time.Hour)},
		"pairs of the same window: the least part remaining binds": {
			[]string{"ratelimit-limit: 100;w=60, 1000;w=3600", "ratelimit-remaining: 99;w=60, 10;w=3600"},
			whole(1000, 10, time.Hour)},
		"one header line for each window": {
			[]string{"ratelimit-limit: 100;w=60", "ratelimit-limit: 1000;w=3600", "ratelimit-remaining: 3;w=60", "ratelimit-remaining: 900;w=3600"},
			whole(100, 3, time.Minute)},
		"several windows, one remainder: the first limit that it fits under": {
			[]string{"ratelimit-limit: 100;w=60, 1000;w=3600", "ratelimit-remaining: 900"}, whole(1000, 900, time.Hour)},
		"a remainder above every limit belongs to the first": {
			[]string{"ratelimit-limit: 100;w=60, 90;w=3600", "ratelimit-remaining: 900"}, whole(100, 900, time.Minute)},
		"the limit that stands alone names its policy": {
			[]string{"RateLimit-Limit: 100, 1000;w=86400, 100;w=10", "RateLimit-Remaining: 50"}, whole(100, 50, 10*time.Second)},
		"of equal counts the longer window binds": {
			[]string{"RateLimit-Limit: 100, 100;w=10, 100;w=60", "RateLimit-Remaining: 50"}, whole(100, 50, time.Minute)},
		"a limit alone has no policy that fits": {
			[]string{"RateLimit-Limit: 100", "RateLimit-Policy: 5000;w=86400", "RateLimit-Remaining: 50"}, whole(100, 50, 0)},
		"several named policies: the pair with the least part remaining": {
			[]string{`RateLimit-Policy: "burst";q=10;w=1, "daily";q=1000;w=86400`, `RateLimit: "burst";r=9;t=1, "daily";r=100;t=400`},
			quota.Header{Limit: 1000, HasLimit: true, Remaining: 100, HasRemaining: true, Window: 24 * time.Hour, Reset: 400 * time.Second}},
		"named policies in another order than their states": {
			[]string{`RateLimit-Policy: "daily";q=1000;w=86400, "burst";q=10;w=1`, `RateLimit: "burst";r=1, "daily";r=900`},
			whole(10, 1, time.Second)},
		"a policy that counts bytes is none of ours": {
			[]string{`RateLimit-Policy: "bytes";q=1000;w=60;qu="content-bytes", "pulls";q=10;w=60`, `RateLimit: "bytes";r=1, "pulls";r=9`},
			whole(10, 9, time.Minute)},
		"a name with a comma, a semicolon and an escaped quote": {
			[]string{`RateLimit-Policy: "a,b;\"c";q=100;w=60`, `RateLimit: "a,b;\"c";r=50`}, whole(100, 50, time.Minute)},
		"a state without its policy is a remainder only": {
			[]string{`RateLimit-Policy: "a";q=100;w=60`, `RateLimit: "b";r=50`}, quota.Header{Remaining: 50, HasRemaining: true}},
		"a structured field wins over the triple beside it": {
			[]string{`RateLimit-Policy: "a";q=100;w=60`, `RateLimit: "a";r=50`, "X-RateLimit-Limit: 7", "X-RateLimit-Remaining: 6"},
			whole(100, 50, time.Minute)},
		"negative": {[]string{"ratelimit-limit: 180", "ratelimit-remaining: -534"}, whole(180, -534, 0)},
		"fractions are rounded down": {
			[]string{"ratelimit-limit: 166.67;w=1", "ratelimit-remaining: -0.5"}, whole(166, -1, time.Second)},
		"calls per second of Azure's registry": {
			[]string{"x-ms-ratelimit-remaining-calls-per-second: 166.65"}, quota.Header{Remaining: 166, HasRemaining: true, Window: time.Second}},
		"a limit of nothing": {[]string{"ratelimit-limit: 0;w=60", "ratelimit-remaining: 0"}, whole(0, 0, time.Minute)},
		"a negative limit is no limit": {
			[]string{"ratelimit-limit: -1", "ratelimit-remaining: 5"}, quota.Header{Remaining: 5, HasRemaining: true}},
		"huge numbers are clamped": {
			[]string{"ratelimit-limit: 9223372036854775807;w=9223372036854775807", "ratelimit-remaining: -9223372036854775808"},
			whole(1e12, -1e12, 400*24*time.Hour)},
		"numbers in other notations are none": {
			[]string{"ratelimit-limit: 0x64", "ratelimit-remaining: 1e2"}, quota.Header{}},
		"infinity and underscores are none": {
			[]string{"ratelimit-limit: Inf", "ratelimit-remaining: 1_000"}, quota.Header{}},
		"reset and delay by date": {
			[]string{"RateLimit-ResetTime: Fri, 14 Aug 2026 12:00:30 GMT", "Retry-After: Friday, 14-Aug-26 12:01:00 GMT"},
			quota.Header{Reset: 30 * time.Second, RetryAfter: time.Minute}},
		"delay as Unix time":    {[]string{"retry-after: 1786708858"}, quota.Header{RetryAfter: 58 * time.Second}},
		"delay that has passed": {[]string{"retry-after: 1746136938"}, quota.Header{}},
		"delay below zero":      {[]string{"retry-after: -60"}, quota.Header{}},
		"delay without end":     {[]string{"retry-after: 99999999999"}, quota.Header{RetryAfter: 400 * 24 * time.Hour}},
		"delay in ANSI form":    {[]string{"retry-after: Fri Aug 14 12:00:05 2026"}, quota.Header{RetryAfter: 5 * time.Second}},
		"identity with control characters": {
			[]string{"docker-ratelimit-source: ro\x1b[31mbot\u202e\x7f é"}, quota.Header{Source: "ro[31mbot"}},
		"identity of great length": {
			[]string{"docker-ratelimit-source: " + strings.Repeat("x", 5000)}, quota.Header{Source: strings.Repeat("x", 128)}},
		"prefix of IPv6": {[]string{"docker-ratelimit-source: 2001:db8:801:2000::"}, quota.Header{Source: "2001:db8:801:2000::"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, quota.ParseHeader(joined(tc.lines...), readAt)); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParseHeaderReadsEveryFixture reads the samples that the throttled registry
// of the tests writes.
func TestParseHeaderReadsEveryFixture(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(dialect.Fixtures())) {
		f := dialect.Fixtures()[name]
		h := f.Header()
		got := quota.ParseHeader(func(n string) string { return strings.Join(h.Values(n), ", ") }, f.Now)
		if got.Source != f.Source {
			t.Errorf("%s: source %q, want %q", name, got.Source, f.Source)
		}
		if known := got.HasLimit && got.HasRemaining; known != f.Known {
			t.Errorf("%s: known is %v, want %v: %+v", name, known, f.Known, got)
		}
		if !f.Known {
			continue
		}
		want := whole(core.Units(f.Limit), core.Units(f.Remaining), f.Window)
		want.Reset, want.Source, want.RetryAfter = f.Reset, f.Source, got.RetryAfter
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRetryAfterFromBody(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body string
		want time.Duration
	}{
		"microseconds":         {"toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute", 880092},
		"milliseconds":         {"toomanyrequests: retry-after: 1.16676ms, allowed: 44000/minute", 1166760},
		"without an allowance": {"…: 429 Too Many Requests - Server message: toomanyrequests: retry-after: 333.939671ms", 333939671},
		"within JSON":          {`{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 1.5s, allowed: 44000/minute"}]}`, 1500 * time.Millisecond},
		"at the end of JSON":   {`{"message":"Retry-After: 2m"}`, 2 * time.Minute},
		"seconds":              {"retry-after: 30", 30 * time.Second},
		"none":                 {"toomanyrequests: Rate exceeded", 0},
		"empty":                {"", 0},
		"a word":               {"retry-after: later, retry-after: 3s", 3 * time.Second},
		"below zero":           {"retry-after: -3s", 0},
		"without end":          {"retry-after: 2562047h", 400 * 24 * time.Hour},
		"beyond what is read":  {strings.Repeat(" ", 17<<10) + "retry-after: 3s", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := quota.RetryAfterFromBody(tc.body); got != tc.want {
				t.Errorf("RetryAfterFromBody(%.60q) = %v, want %v", tc.body, got, tc.want)
			}
		})
	}
}

// headerNames are what the fuzzer fills, in the order of its arguments.
func headerNames() []string {
	return []string{"Ratelimit", "Ratelimit-Policy", "Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset",
		"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "Docker-Ratelimit-Source", "Retry-After"}
}

func FuzzParseHeader(f *testing.F) {
	names := headerNames()
	for _, fixture := range dialect.Fixtures() {
		h := fixture.Header()
		v := make([]string, len(names))
		for i, name := range names {
			v[i] = strings.Join(h.Values(name), ", ")
		}
		f.Add(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8])
	}
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g, h, i, j string) {
		values := map[string]string{}
		for n, v := range []string{a, b, c, d, e, g, h, i, j} {
			values[names[n]] = v
		}
		got := quota.ParseHeader(func(name string) string { return values[name] }, readAt)
		checkBounds(t, got)
		if again := quota.ParseHeader(written(got), readAt); got.HasLimit && got.HasRemaining && got != again {
			t.Errorf("%+v is read as %+v when written again", got, again)
		}
	})
}

func checkBounds(t *testing.T, h quota.Header) {
	t.Helper()
	const most, span = 1e12, 400 * 24 * time.Hour
	for name, ok := range map[string]bool{
		"limit":       h.Limit >= 0 && h.Limit <= most && (h.HasLimit || h.Limit == 0),
		"remaining":   h.Remaining >= -most && h.Remaining <= most && (h.HasRemaining || h.Remaining == 0),
		"window":      h.Window >= 0 && h.Window <= span,
		"reset":       h.Reset >= 0 && h.Reset <= span,
		"retry-after": h.RetryAfter >= 0 && h.RetryAfter <= span,
		"source":      len(h.Source) <= 128 && strings.Trim(h.Source, " ") == h.Source,
	} {
		if !ok {
			t.Errorf("%s is out of bounds: %+v", name, h)
		}
	}
	for _, r := range h.Source {
		if r < ' ' || r > '~' {
			t.Errorf("source holds %q", r)
		}
	}
}

// written says h as Docker Hub would.
func written(h quota.Header) func(string) string {
	secs := func(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
	lines := []string{
		"ratelimit-limit: " + strconv.FormatInt(int64(h.Limit), 10) + ";w=" + secs(h.Window),
		"ratelimit-remaining: " + strconv.FormatInt(int64(h.Remaining), 10) + ";w=" + secs(h.Window),
		"ratelimit-reset: " + secs(h.Reset), "retry-after: " + secs(h.RetryAfter), "docker-ratelimit-source: " + h.Source,
	}
	return joined(lines...)
}

func FuzzRetryAfterFromBody(f *testing.F) {
	f.Add("toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute")
	f.Add("Retry-After: 99999999999h")
	f.Fuzz(func(t *testing.T, body string) {
		if d := quota.RetryAfterFromBody(body); d < 0 || d > 400*24*time.Hour {
			t.Errorf("RetryAfterFromBody(%q) = %v", body, d)
		}
	})
}
