// Package dialect writes the rate-limit headers of the registries that are known to send any, each in the grammar seen
// in the wild, and exports samples of them as fixtures for whoever parses such headers.
//
// It does not parse, knows no limiter and imports the standard library only.
package dialect

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Quota is a limit in units per window.
type Quota struct {
	Limit  int64
	Window time.Duration
}

// A State is what a registry has to say about one identity after a request.
type State struct {
	Quota
	Remaining int64
	// Others are further quotas for dialects that list all of them.
	Others []Quota
	// Now and Reset are points in time; Reset is zero where none is known.
	Now, Reset time.Time
	// Source is the identity as the registry names it: an address or an account.
	Source string
	// Denied says that the answer refuses the request.
	Denied bool
}

// delta is the time until the reset in whole seconds, rounded up.
func (s State) delta() int64 {
	if s.Reset.IsZero() {
		return 0
	}
	return max(0, int64(math.Ceil(s.Reset.Sub(s.Now).Seconds())))
}

// epoch is the reset as a Unix time.
func (s State) epoch() int64 { return s.Now.Unix() + s.delta() }

// A Dialect names a header grammar. The empty dialect is None.
type Dialect string

// The dialects.
const (
	// None sends no header, as GHCR, Quay, ECR and Artifact Registry do.
	None Dialect = "None"
	// DockerHub: `ratelimit-limit: 100;w=21600`, remaining in the same form, and the identity it meters. No reset.
	DockerHub Dialect = "DockerHub"
	// DockerHubTwice adds the x- duplicates seen in 2026.
	DockerHubTwice Dialect = "DockerHubTwice"
	// Draft03 lists all quotas in one value; reset is a number of seconds.
	Draft03 Dialect = "Draft03"
	// Draft06 moves the quotas to RateLimit-Policy.
	Draft06 Dialect = "Draft06"
	// Draft07 is one dictionary.
	Draft07 Dialect = "Draft07"
	// Draft11 is structured: a named policy and its state.
	Draft11 Dialect = "Draft11"
	// GitLab resets at a Unix time, and by date when it refuses.
	GitLab Dialect = "GitLab"
	// AuthDocker is that of the token service of Docker Hub.
	AuthDocker Dialect = "AuthDocker"
	// HubAPI is that of Docker Hub's REST API: Unix times, in Retry-After too.
	HubAPI Dialect = "HubAPI"
)

// All returns every dialect.
func All() []Dialect {
	return []Dialect{None, DockerHub, DockerHubTwice, Draft03, Draft06, Draft07, Draft11, GitLab, AuthDocker, HubAPI}
}

// Write sets the headers that say s. Names are written in Go's canonical form; they are case-insensitive on the wire.
func (d Dialect) Write(h http.Header, s State) {
	switch d {
	case DockerHub, DockerHubTwice:
		d.writeHub(h, s)
	case Draft03:
		h.Set("RateLimit-Limit", fmt.Sprintf("%d, %s", s.Limit, s.policies()))
		s.writeDraftState(h)
	case Draft06:
		h.Set("RateLimit-Limit", num(s.Limit))
		h.Set("RateLimit-Policy", s.policies())
		s.writeDraftState(h)
	case Draft07:
		h.Set("RateLimit", fmt.Sprintf("limit=%d, remaining=%d, reset=%d", s.Limit, s.Remaining, s.delta()))
		h.Set("RateLimit-Policy", s.policies())
	case Draft11:
		h.Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%s`, inSeconds(s.Quota)))
		h.Set("RateLimit", fmt.Sprintf(`"default";r=%d;t=%d`, max(0, s.Remaining), s.delta()))
	case GitLab:
		writeGitLab(h, s)
	case AuthDocker:
		h.Set("X-RateLimit-Limit", fmt.Sprintf("%d, %s", s.Limit, inSeconds(s.Quota)))
		h.Set("X-RateLimit-Remaining", num(s.Remaining))
		h.Set("X-RateLimit-Reset", num(s.delta()))
	case HubAPI:
		writeHubAPI(h, s)
	}
}

// WriteSource sets the header that only names the identity, as Docker Hub does on its 401.
func (d Dialect) WriteSource(h http.Header, source string) {
	if d == DockerHub || d == DockerHubTwice {
		h.Set("Docker-RateLimit-Source", source)
	}
}

// ManifestsOnly says whether the dialect's registry states its limit on manifest requests only.
func (d Dialect) ManifestsOnly() bool { return d == DockerHub || d == DockerHubTwice }

func (d Dialect) writeHub(h http.Header, s State) {
	left := inSeconds(Quota{s.Remaining, s.Window})
	h.Set("RateLimit-Limit", inSeconds(s.Quota))
	h.Set("RateLimit-Remaining", left)
	d.WriteSource(h, s.Source)
	if d == DockerHubTwice {
		h.Set("X-RateLimit-Limit", inSeconds(s.Quota))
		h.Set("X-RateLimit-Remaining", left)
	}
}

func writeGitLab(h http.Header, s State) {
	h.Set("RateLimit-Limit", num(s.Limit))
	h.Set("RateLimit-Name", "throttle_unauthenticated_web")
	h.Set("RateLimit-Observed", num(s.Limit-s.Remaining))
	h.Set("RateLimit-Remaining", num(max(0, s.Remaining)))
	h.Set("RateLimit-Reset", num(s.epoch()))
	if s.Denied {
		h.Set("RateLimit-ResetTime", time.Unix(s.epoch(), 0).UTC().Format(http.TimeFormat))
		h.Set("Retry-After", num(s.delta()))
	}
}

func writeHubAPI(h http.Header, s State) {
	h.Set("X-RateLimit-Limit", num(s.Limit))
	h.Set("X-RateLimit-Remaining", num(s.Remaining))
	h.Set("X-RateLimit-Reset", num(s.epoch()))
	if s.Denied {
		h.Set("Retry-After", num(s.epoch()))
	}
}

func (s State) writeDraftState(h http.Header) {
	h.Set("RateLimit-Remaining", num(s.Remaining))
	h.Set("RateLimit-Reset", num(s.delta()))
}

func (s State) policies() string {
	list := []string{inSeconds(s.Quota)}
	for _, q := range s.Others {
		list = append(list, inSeconds(q))
	}
	return strings.Join(list, ", ")
}

// inSeconds is `100;w=21600`, without the window where there is none.
func inSeconds(q Quota) string {
	if q.Window <= 0 {
		return num(q.Limit)
	}
	return fmt.Sprintf("%d;w=%d", q.Limit, int64(math.Ceil(q.Window.Seconds())))
}

func num(n int64) string { return strconv.FormatInt(n, 10) }
