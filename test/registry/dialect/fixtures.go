package dialect

import (
	"net/http"
	"strings"
	"time"
)

// A Fixture is one set of headers as a registry sends it, and what it says.
type Fixture struct {
	// Lines are header lines, `name: value`, in the spelling seen on the wire.
	Lines []string
	// Now is the time at which the answer is read; it turns Unix times into durations.
	Now time.Time
	// Known is false where no reading may result; the rest of the fields is then zero.
	Known     bool
	Limit     int64
	Remaining int64
	// Window is 0 where the headers do not say it.
	Window time.Duration
	// Reset is the time from Now until the reset that the headers name, 0 where they name none.
	Reset time.Duration
	// Source is the identity that the headers name.
	Source string
}

// Header returns the lines as a header in Go's canonical form.
func (f Fixture) Header() http.Header {
	h := http.Header{}
	for _, line := range f.Lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

// Fixtures returns the samples by name. Those of a Dialect bear its name first. The numbers are those that vendors
// document or that were seen in public; a field that is stated twice says the same in both places unless the name says so.
func Fixtures() map[string]Fixture {
	now := time.Date(2026, 8, 14, 12, 0, 0, 0, time.UTC) // Unix 1786708800
	out := map[string]Fixture{}
	for _, group := range []map[string]Fixture{hubFixtures(), draftFixtures(), epochFixtures(), brokenFixtures()} {
		for name, f := range group {
			f.Now = now
			out[name] = f
		}
	}
	return out
}

func hubFixtures() map[string]Fixture {
	return map[string]Fixture{
		"None": {},
		"DockerHub anonymous, window of 6 h": {
			Lines: []string{"ratelimit-limit: 100;w=21600", "ratelimit-remaining: 20;w=21600", "docker-ratelimit-source: 192.0.2.1"},
			Known: true, Limit: 100, Remaining: 20, Window: 6 * time.Hour, Source: "192.0.2.1",
		},
		"DockerHub anonymous, window of 1 h, IPv6 prefix": {
			Lines: []string{"ratelimit-limit: 100;w=3600", "ratelimit-remaining: 100;w=3600", "docker-ratelimit-source: 2001:db8:801:2000::"},
			Known: true, Limit: 100, Remaining: 100, Window: time.Hour, Source: "2001:db8:801:2000::",
		},
		"DockerHub exhausted": {
			Lines: []string{"ratelimit-limit: 100;w=21600", "ratelimit-remaining: 0;w=21600", "docker-ratelimit-source: 192.0.2.1"},
			Known: true, Limit: 100, Window: 6 * time.Hour, Source: "192.0.2.1",
		},
		"DockerHub below zero": {
			Lines: []string{"ratelimit-limit: 200;w=21600", "ratelimit-remaining: -3;w=21600", "docker-ratelimit-source: robot"},
			Known: true, Limit: 200, Remaining: -3, Window: 6 * time.Hour, Source: "robot",
		},
		"DockerHub without a window": {
			Lines: []string{"ratelimit-limit: 100", "ratelimit-remaining: 20"},
			Known: true, Limit: 100, Remaining: 20,
		},
		"DockerHub source alone, as on its 401": {
			Lines:  []string{"docker-ratelimit-source: 192.0.2.1"},
			Source: "192.0.2.1",
		},
		"DockerHubTwice": {
			Lines: []string{"ratelimit-limit: 200;w=3600", "ratelimit-remaining: 198;w=3600", "docker-ratelimit-source: robot",
				"x-ratelimit-limit: 200;w=3600", "x-ratelimit-remaining: 198;w=3600"},
			Known: true, Limit: 200, Remaining: 198, Window: time.Hour, Source: "robot",
		},
		"AuthDocker": {
			Lines: []string{"x-ratelimit-limit: 3000, 3000;w=60", "x-ratelimit-remaining: 2999", "x-ratelimit-reset: 49"},
			Known: true, Limit: 3000, Remaining: 2999, Window: time.Minute, Reset: 49 * time.Second,
		},
	}
}

func draftFixtures() map[string]Fixture {
	return map[string]Fixture{
		"Draft03": {
			Lines: []string{"RateLimit-Limit: 100, 100;w=10", "RateLimit-Remaining: 50", "RateLimit-Reset: 5"},
			Known: true, Limit: 100, Remaining: 50, Window: 10 * time.Second, Reset: 5 * time.Second,
		},
		"Draft03 with two quotas": {
			Lines: []string{"RateLimit-Limit: 10, 10;w=1, 1000;w=3600", "RateLimit-Remaining: 9", "RateLimit-Reset: 1"},
			Known: true, Limit: 10, Remaining: 9, Window: time.Second, Reset: time.Second,
		},
		"Draft06": {
			Lines: []string{"RateLimit-Limit: 100", "RateLimit-Policy: 100;w=60", "RateLimit-Remaining: 50", "RateLimit-Reset: 30"},
			Known: true, Limit: 100, Remaining: 50, Window: time.Minute, Reset: 30 * time.Second,
		},
		"Draft07": {
			Lines: []string{"RateLimit: limit=100, remaining=50, reset=5", "RateLimit-Policy: 100;w=60"},
			Known: true, Limit: 100, Remaining: 50, Window: time.Minute, Reset: 5 * time.Second,
		},
		"Draft11": {
			Lines: []string{`RateLimit-Policy: "default";q=100;w=60`, `RateLimit: "default";r=50;t=30`},
			Known: true, Limit: 100, Remaining: 50, Window: time.Minute, Reset: 30 * time.Second,
		},
		"Draft11 with parameters in another order and a partition key": {
			Lines: []string{`RateLimit-Policy: "default";w=60;pk=:Y2xpZW50:;qu="requests";q=100`, `RateLimit: "default";t=30;r=50`},
			Known: true, Limit: 100, Remaining: 50, Window: time.Minute, Reset: 30 * time.Second,
		},
	}
}

func epochFixtures() map[string]Fixture {
	return map[string]Fixture{
		"GitLab": {
			Lines: []string{"RateLimit-Limit: 60", "RateLimit-Name: throttle_unauthenticated_web", "RateLimit-Observed: 11",
				"RateLimit-Remaining: 49", "RateLimit-Reset: 1786708830"},
			Known: true, Limit: 60, Remaining: 49, Reset: 30 * time.Second,
		},
		"GitLab refusing": {
			Lines: []string{"RateLimit-Limit: 60", "RateLimit-Name: throttle_unauthenticated_web", "RateLimit-Observed: 67",
				"RateLimit-Remaining: 0", "RateLimit-Reset: 1786708830", "RateLimit-ResetTime: Fri, 14 Aug 2026 12:00:30 GMT", "Retry-After: 30"},
			Known: true, Limit: 60, Reset: 30 * time.Second,
		},
		"HubAPI": {
			Lines: []string{"x-ratelimit-limit: 180", "x-ratelimit-remaining: 179", "x-ratelimit-reset: 1786708858"},
			Known: true, Limit: 180, Remaining: 179, Reset: 58 * time.Second,
		},
		"HubAPI refusing": {
			Lines: []string{"x-ratelimit-limit: 180", "x-ratelimit-remaining: -534", "x-ratelimit-reset: 1786708858", "retry-after: 1786708858"},
			Known: true, Limit: 180, Remaining: -534, Reset: 58 * time.Second,
		},
	}
}

// brokenFixtures must not give a reading.
func brokenFixtures() map[string]Fixture {
	return map[string]Fixture{
		"broken: words":            {Lines: []string{"ratelimit-limit: plenty", "ratelimit-remaining: some"}},
		"broken: empty values":     {Lines: []string{"ratelimit-limit: ", "ratelimit-remaining: "}},
		"broken: only a remainder": {Lines: []string{"ratelimit-remaining: 20;w=21600"}},
		"broken: only a limit":     {Lines: []string{"ratelimit-limit: 100;w=21600"}},
		"broken: beyond 64 bits": {
			Lines: []string{"ratelimit-limit: 99999999999999999999;w=21600", "ratelimit-remaining: 99999999999999999999;w=21600"},
		},
		"broken: NaN":                {Lines: []string{"ratelimit-limit: NaN;w=21600", "ratelimit-remaining: NaN"}},
		"broken: Draft11 without r":  {Lines: []string{`RateLimit-Policy: "default";q=100;w=60`, `RateLimit: "default";t=30`}},
		"broken: Draft11 unfinished": {Lines: []string{`RateLimit-Policy: "default;q=100`, `RateLimit: "default`}},
		"broken: fractions per second": {
			Lines: []string{"x-ms-ratelimit-remaining-calls-per-second: 166.65"},
		},
	}
}
