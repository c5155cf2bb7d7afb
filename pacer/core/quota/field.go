package quota

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// item is one member of a list header: a value and its parameters, as in
// `"default";q=100;w=60` or `100;w=21600`.
type item struct {
	value  string
	params []param
}

type param struct{ key, value string }

// maxItems bounds the members read of a hostile header.
const maxItems = 32

// items reads a list header. A quote that never closes makes the whole of it
// malformed: what it would have kept together cannot be known.
func items(field string) []item {
	members, ok := splitOutside(field, ',')
	if !ok {
		return nil
	}
	var out []item
	for _, member := range members {
		parts, _ := splitOutside(member, ';')
		it := item{value: strings.TrimSpace(parts[0])}
		if it.value == "" {
			continue
		}
		for _, p := range parts[1:] {
			key, value, _ := strings.Cut(p, "=")
			it.params = append(it.params, param{strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)})
		}
		out = append(out, it)
	}
	return out[:min(len(out), maxItems)]
}

// splitOutside splits at sep where it is not within double quotes; false when a
// quote never closes.
func splitOutside(s string, sep byte) (parts []string, closed bool) {
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:]), !quoted
}

// param returns the parameter of that name, "" when there is none.
func (it item) param(key string) string {
	for _, p := range it.params {
		if p.key == key {
			return p.value
		}
	}
	return ""
}

// window is the parameter w, zero when absent or malformed.
func (it item) window() time.Duration {
	w, ok := number(it.param("w"))
	if !ok {
		return 0
	}
	return seconds(w)
}

// number reads a decimal number and rounds it down; false for anything else,
// also for what does not fit into 64 bits.
func number(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	// ParseFloat knows hexadecimal, exponents, Inf and NaN, which no registry
	// sends; a fraction is all that is wanted of it.
	if strings.Trim(s, "+-.0123456789") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) >= 1<<62 {
		return 0, false
	}
	return int64(math.Floor(f)), true
}

// maxSpan bounds every span of time that a header states.
const maxSpan = 400 * 24 * time.Hour

// seconds is n seconds, clamped to what a header may state.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(maxSpan/time.Second))) * time.Second
}

// clampSpan bounds a span.
func clampSpan(d time.Duration) time.Duration { return min(max(d, 0), maxSpan) }

// epochAfter is where numbers stop being seconds from now and start being Unix
// times: 32 years and the year 2001.
const epochAfter = 1_000_000_000

// until reads a point in time in any of the forms in use (seconds from now, a
// Unix time, an HTTP date) as a span from now; zero when it has passed or is
// malformed.
func until(field string, now time.Time) time.Duration {
	field = strings.TrimSpace(field)
	if at, ok := httpDate(field); ok {
		return clampSpan(at.Sub(now))
	}
	first, _, _ := strings.Cut(field, ",")
	n, ok := number(first)
	switch {
	case !ok:
		return 0
	case n < epochAfter:
		return seconds(n)
	case n > now.Unix()+int64(maxSpan/time.Second):
		return maxSpan
	}
	return clampSpan(time.Unix(n, 0).Sub(now))
}

// httpDate reads the three forms of RFC 9110 section 5.6.7.
func httpDate(s string) (time.Time, bool) {
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
