package quota

import (
	"math"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// maxUnits bounds every count that a header states.
const maxUnits = 1_000_000_000_000

// maxSource bounds the identity that a header states, in bytes.
const maxSource = 128

// ParseHeader reads what a registry says of its limit, in any of the dialects in
// use: Docker Hub's, the IETF drafts 00 to 11, Unix times and dates. get returns
// the value of a header by its canonical name, or "", as http.Header.Get does;
// several values of one name are joined by ", ". now turns absolute times into
// durations. Malformed fields are ignored, as if absent; it never fails.
//
// Where several fields state a limit the first that states it wholly counts, in
// the order RateLimit, RateLimit-Limit, X-RateLimit-Limit. Where one states
// several limits the one with the least part remaining counts, because it will
// refuse first; where only one remainder is given, the limit it belongs to.
func ParseHeader(get func(name string) string, now time.Time) Header {
	policies := readPolicies(get("Ratelimit-Policy"))
	h := choose(
		readStructured(get("Ratelimit"), policies, now),
		readTriple(get, "Ratelimit", policies, now),
		readTriple(get, "X-Ratelimit", policies, now),
		readPerSecond(get("X-Ms-Ratelimit-Remaining-Calls-Per-Second")),
	)
	if h.Reset == 0 {
		h.Reset = until(get("Ratelimit-Resettime"), now)
	}
	h.Source = cleanSource(get("Docker-Ratelimit-Source"))
	h.RetryAfter = until(get("Retry-After"), now)
	return h
}

// choose returns the first header that is whole, or else the first that says
// anything, with the window and reset that others state for the same limit.
func choose(candidates ...Header) Header {
	var best Header
	for _, h := range candidates {
		whole := h.HasLimit && h.HasRemaining
		if whole || best == (Header{}) {
			best = h
		}
		if whole {
			break
		}
	}
	for _, h := range candidates {
		if !h.HasLimit || !best.HasLimit || h.Limit != best.Limit {
			continue
		}
		if best.Window == 0 {
			best.Window = h.Window
		}
		if best.Reset == 0 {
			best.Reset = h.Reset
		}
	}
	return best
}

// policy is a limit as RateLimit-Policy states it.
type policy struct {
	name   string
	limit  core.Units
	window time.Duration
	// other says that it counts something else than requests, as bytes.
	other bool
}

// readPolicies reads `100;w=60` (drafts 04 to 07) and `"default";q=100;w=60`
// (since draft 08).
func readPolicies(field string) []policy {
	var out []policy
	for _, it := range items(field) {
		p := policy{window: it.window()}
		n, ok := number(it.value)
		if !ok {
			p.name = it.value
			n, ok = number(it.param("q"))
			unit := strings.Trim(it.param("qu"), `"`)
			p.other = unit != "" && unit != "requests"
		}
		if ok && n >= 0 {
			p.limit = clampUnits(n)
			out = append(out, p)
		}
	}
	return out
}

// windowOf is the longest window of the policies with that limit: of equal
// counts the longer window refuses first. Zero when no policy has the limit.
func windowOf(policies []policy, limit core.Units) time.Duration {
	var window time.Duration
	for _, p := range policies {
		if p.limit == limit && !p.other {
			window = max(window, p.window)
		}
	}
	return window
}

// readStructured reads the field RateLimit: a dictionary in draft 07, named
// states of named policies since draft 08.
func readStructured(field string, policies []policy, now time.Time) Header {
	list := items(field)
	for _, it := range list {
		if key, _, isEntry := strings.Cut(it.value, "="); isEntry && !strings.HasPrefix(key, `"`) {
			return readDictionary(list, policies, now)
		}
	}
	var best Header
	for _, it := range list {
		if h := readState(it, policies); moreBinding(h, best) {
			best = h
		}
	}
	return best
}

// readDictionary reads `limit=100, remaining=50, reset=5`.
func readDictionary(list []item, policies []policy, now time.Time) Header {
	var h Header
	for _, it := range list {
		key, value, _ := strings.Cut(it.value, "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "limit":
			h.setLimit(number(value))
		case "remaining":
			h.setRemaining(number(value))
		case "reset":
			h.Reset = until(value, now)
		}
	}
	if h.HasLimit {
		h.Window = windowOf(policies, h.Limit)
	}
	return h
}

// readState reads `"default";r=50;t=30` with the policy of its name.
func readState(it item, policies []policy) Header {
	var h Header
	h.setRemaining(number(it.param("r")))
	if !h.HasRemaining {
		return Header{}
	}
	if t, ok := number(it.param("t")); ok {
		h.Reset = seconds(t)
	}
	for _, p := range policies {
		switch {
		case p.name != it.value:
			continue
		case p.other:
			return Header{}
		}
		h.Limit, h.HasLimit, h.Window = p.limit, true, p.window
		break
	}
	return h
}

// moreBinding reports whether a refuses before b: a whole one before one without
// a limit, then the least part remaining, then the longer window.
func moreBinding(a, b Header) bool {
	switch {
	case !a.HasRemaining:
		return false
	case !b.HasRemaining:
		return true
	case a.HasLimit != b.HasLimit:
		return a.HasLimit
	}
	left, right := part(a), part(b)
	if left == right {
		return a.Window > b.Window
	}
	return left < right
}

// part is how much of the limit remains.
func part(h Header) float64 { return float64(h.Remaining) / float64(max(h.Limit, 1)) }

// readTriple reads PREFIX-Limit, PREFIX-Remaining and PREFIX-Reset.
func readTriple(get func(string) string, prefix string, policies []policy, now time.Time) Header {
	limits, left := counts(get(prefix+"-Limit"), 0), counts(get(prefix+"-Remaining"), math.MinInt64)
	h := pairByWindow(limits, left)
	if !h.HasRemaining {
		h = pairFirst(limits, left)
	}
	if h.HasLimit && h.Window == 0 {
		h.Window = max(windowOf(limits, h.Limit), windowOf(policies, h.Limit))
	}
	if h.HasLimit || h.HasRemaining {
		h.Reset = until(get(prefix+"-Reset"), now)
	}
	return h
}

// counts reads `100, 100;w=10` as nameless policies, leaving out what is below
// least.
func counts(field string, least int64) []policy {
	var out []policy
	for _, it := range items(field) {
		if n, ok := number(it.value); ok && n >= least {
			out = append(out, policy{limit: clampUnits(n), window: it.window()})
		}
	}
	return out
}

// pairByWindow pairs limits and remainders that state the same window.
func pairByWindow(limits, left []policy) Header {
	var best Header
	for _, r := range left {
		for _, l := range limits {
			if r.window == 0 || r.window != l.window {
				continue
			}
			h := Header{Limit: l.limit, HasLimit: true, Remaining: r.limit, HasRemaining: true, Window: l.window}
			if moreBinding(h, best) {
				best = h
			}
		}
	}
	return best
}

// pairFirst takes the first remainder, and the limit that stands alone, or else
// the first that the remainder fits under.
func pairFirst(limits, left []policy) Header {
	var h Header
	if len(left) > 0 {
		h.Remaining, h.HasRemaining, h.Window = left[0].limit, true, left[0].window
	}
	chosen := -1
	for i, l := range limits {
		if l.window == 0 {
			chosen = i
			break
		}
		if chosen < 0 && l.limit >= h.Remaining {
			chosen = i
		}
	}
	if chosen < 0 {
		chosen = 0
	}
	if len(limits) == 0 {
		return h
	}
	h.Limit, h.HasLimit = limits[chosen].limit, true
	if w := limits[chosen].window; w > 0 {
		h.Window = w
	}
	return h
}

// readPerSecond reads what Azure's registry says: calls left in this second,
// with a fraction, and no limit.
func readPerSecond(field string) Header {
	var h Header
	h.setRemaining(number(field))
	if h.HasRemaining {
		h.Window = time.Second
	}
	return h
}

func (h *Header) setLimit(n int64, ok bool) {
	if ok && n >= 0 {
		h.Limit, h.HasLimit = clampUnits(n), true
	}
}

func (h *Header) setRemaining(n int64, ok bool) {
	if ok {
		h.Remaining, h.HasRemaining = clampUnits(n), true
	}
}

func clampUnits(n int64) core.Units { return core.Units(min(max(n, -maxUnits), maxUnits)) }

// cleanSource makes an identity safe to print: printable ASCII of bounded length.
func cleanSource(field string) string {
	first, _, _ := strings.Cut(field, ",")
	kept := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, first[:min(len(first), 4*maxSource)])
	kept = strings.TrimSpace(kept)
	return strings.TrimSpace(kept[:min(len(kept), maxSource)])
}

// maxBody bounds how much of an answer is searched for a delay.
const maxBody = 16 << 10

// RetryAfterFromBody finds the delay that GitHub's registry states in the body
// of a 429 only, as a Go duration: `retry-after: 880.092µs, allowed: 44000/minute`.
// Zero when there is none; bounded like every span of a header.
func RetryAfterFromBody(body string) time.Duration {
	const key = "retry-after:"
	body = body[:min(len(body), maxBody)]
	for i := 0; i+len(key) <= len(body); i++ {
		if !strings.EqualFold(body[i:i+len(key)], key) {
			continue
		}
		value := strings.TrimLeft(body[i+len(key):], " \t")
		if end := strings.IndexAny(value, " \t\r\n,;\"'<}"); end >= 0 {
			value = value[:end]
		}
		if d, err := time.ParseDuration(value); err == nil {
			return clampSpan(d)
		}
		if n, ok := number(value); ok {
			return seconds(n)
		}
	}
	return 0
}
