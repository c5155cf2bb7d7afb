package dialect_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/test/registry/dialect"
)

// lines are the header lines in order of name, names in lower case.
func lines(h http.Header) []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			out = append(out, fmt.Sprintf("%s: %s", strings.ToLower(name), v))
		}
	}
	return out
}

func TestWriteExactLines(t *testing.T) {
	t.Parallel()
	now := time.Unix(1786708800, 0) // Fri, 14 Aug 2026 12:00:00 GMT
	state := dialect.State{
		Quota: dialect.Quota{Limit: 100, Window: 6 * time.Hour}, Remaining: 20, Others: []dialect.Quota{{Limit: 1000, Window: 24 * time.Hour}},
		Now: now, Reset: now.Add(29001 * time.Millisecond), Source: "192.0.2.1", // 29.001 s are said as 30
	}
	denied := state
	denied.Remaining, denied.Denied = -2, true
	tests := map[string]struct {
		dialect dialect.Dialect
		state   dialect.State
		want    []string
	}{
		"none":  {dialect.None, state, []string{}},
		"empty": {"", state, []string{}},
		"hub": {dialect.DockerHub, state, []string{
			"docker-ratelimit-source: 192.0.2.1", "ratelimit-limit: 100;w=21600", "ratelimit-remaining: 20;w=21600"}},
		"hub below zero": {dialect.DockerHub, denied, []string{
			"docker-ratelimit-source: 192.0.2.1", "ratelimit-limit: 100;w=21600", "ratelimit-remaining: -2;w=21600"}},
		"hub twice": {dialect.DockerHubTwice, state, []string{
			"docker-ratelimit-source: 192.0.2.1", "ratelimit-limit: 100;w=21600", "ratelimit-remaining: 20;w=21600",
			"x-ratelimit-limit: 100;w=21600", "x-ratelimit-remaining: 20;w=21600"}},
		"draft 03": {dialect.Draft03, state, []string{
			"ratelimit-limit: 100, 100;w=21600, 1000;w=86400", "ratelimit-remaining: 20", "ratelimit-reset: 30"}},
		"draft 06": {dialect.Draft06, state, []string{
			"ratelimit-limit: 100", "ratelimit-policy: 100;w=21600, 1000;w=86400", "ratelimit-remaining: 20", "ratelimit-reset: 30"}},
		"draft 07": {dialect.Draft07, state, []string{
			"ratelimit: limit=100, remaining=20, reset=30", "ratelimit-policy: 100;w=21600, 1000;w=86400"}},
		"draft 11": {dialect.Draft11, state, []string{
			`ratelimit: "default";r=20;t=30`, `ratelimit-policy: "default";q=100;w=21600`}},
		"gitlab": {dialect.GitLab, state, []string{
			"ratelimit-limit: 100", "ratelimit-name: throttle_unauthenticated_web", "ratelimit-observed: 80",
			"ratelimit-remaining: 20", "ratelimit-reset: 1786708830"}},
		"gitlab refusing": {dialect.GitLab, denied, []string{
			"ratelimit-limit: 100", "ratelimit-name: throttle_unauthenticated_web", "ratelimit-observed: 102",
			"ratelimit-remaining: 0", "ratelimit-reset: 1786708830", "ratelimit-resettime: Fri, 14 Aug 2026 12:00:30 GMT", "retry-after: 30"}},
		"auth.docker.io": {dialect.AuthDocker, state, []string{
			"x-ratelimit-limit: 100, 100;w=21600", "x-ratelimit-remaining: 20", "x-ratelimit-reset: 30"}},
		"hub api refusing": {dialect.HubAPI, denied, []string{
			"retry-after: 1786708830", "x-ratelimit-limit: 100", "x-ratelimit-remaining: -2", "x-ratelimit-reset: 1786708830"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			tc.dialect.Write(h, tc.state)
			if diff := cmp.Diff(tc.want, lines(h)); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFixturesAreWhatTheDialectWrites ties the samples that bear exactly a dialect's name to the writer.
func TestFixturesAreWhatTheDialectWrites(t *testing.T) {
	t.Parallel()
	fixtures := dialect.Fixtures()
	tied := 0
	for _, d := range dialect.All() {
		f, ok := fixtures[string(d)]
		if !ok {
			continue
		}
		tied++
		state := dialect.State{Quota: dialect.Quota{Limit: f.Limit, Window: f.Window}, Remaining: f.Remaining, Now: f.Now, Source: f.Source}
		if f.Reset > 0 {
			state.Reset = f.Now.Add(f.Reset)
		}
		got := http.Header{}
		d.Write(got, state)
		if diff := cmp.Diff(lines(f.Header()), lines(got)); diff != "" {
			t.Errorf("%s (-fixture +written):\n%s", d, diff)
		}
	}
	if tied != len(dialect.All())-1 { // DockerHub has only samples with longer names
		t.Errorf("%d dialects have a sample of their own name, want %d", tied, len(dialect.All())-1)
	}
}

func TestBrokenFixturesSayNothing(t *testing.T) {
	t.Parallel()
	for name, f := range dialect.Fixtures() {
		if strings.HasPrefix(name, "broken") && f.Known {
			t.Errorf("%q says that it has a reading", name)
		}
		if !f.Known && (f.Limit != 0 || f.Remaining != 0 || f.Window != 0 || f.Reset != 0) {
			t.Errorf("%q: a fixture without a reading has numbers", name)
		}
	}
}
