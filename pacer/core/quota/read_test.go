package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

func TestGrades(t *testing.T) {
	t.Parallel()
	address := says(1, 100)
	address.Header.Source = "203.0.113.42"
	prefix := says(1, 100)
	prefix.Header.Source = "2001:db8:1:2::"
	account := says(1, 100)
	account.Header.Source = "acme"
	noAnswer := func(s float64) Observation { return Observation{SentAt: at(s)} }
	tests := map[string]struct {
		credentials   bool
		reads         []Observation
		at            float64
		want          Grade
		wantUnlimited bool
		wantOpened    bool
		wantAvailable core.Units // where it is limited
	}{
		"nothing read":                         {at: 1, want: GradeNone},
		"two answers without a limit":          {reads: []Observation{silent(1), silent(2)}, at: 3, want: GradeNone},
		"three answers without a limit":        {reads: []Observation{silent(1), silent(2), silent(3)}, at: 3, want: GradeNever, wantUnlimited: true},
		"a limit":                              {reads: []Observation{says(1, 60)}, at: 2, want: GradeOK, wantAvailable: 60},
		"more than the limit left is no more":  {reads: []Observation{says(1, 600)}, at: 2, want: GradeOK, wantAvailable: 100},
		"overdrawn":                            {reads: []Observation{says(1, -3)}, at: 2, want: GradeOK, wantAvailable: -3},
		"a limit that went missing":            {reads: []Observation{says(1, 60), silent(20)}, at: 21, want: GradeLost, wantAvailable: 60},
		"missing: what others had taken ends":  {reads: []Observation{says(1, 60), silent(3590)}, at: 3601, want: GradeLost, wantAvailable: 100},
		"missing for a window":                 {reads: []Observation{says(1, 60), silent(20)}, at: 3620, want: GradeLost, wantOpened: true},
		"missing, and back":                    {reads: []Observation{says(1, 60), silent(20), says(40, 60)}, at: 41, want: GradeOK, wantAvailable: 60},
		"three probes without an answer":       {reads: []Observation{says(1, 60), noAnswer(20), noAnswer(40), noAnswer(60)}, at: 301, want: GradeStale, wantAvailable: 60},
		"the same before five minutes":         {reads: []Observation{says(1, 60), noAnswer(20), noAnswer(40), noAnswer(60)}, at: 300, want: GradeOK, wantAvailable: 60},
		"a login that is refused says nothing": {reads: []Observation{{SentAt: at(1), Status: 401}, {SentAt: at(2), Status: 401}, {SentAt: at(3), Status: 403}}, at: 4, want: GradeNone},
		"no answer from the start":             {reads: []Observation{noAnswer(1), noAnswer(20), noAnswer(40)}, at: 300, want: GradeStale, wantUnlimited: true},
		"stale for a window":                   {reads: []Observation{says(1, 60), noAnswer(20), noAnswer(40), noAnswer(60)}, at: 301 + 3600, want: GradeStale, wantOpened: true},
		"an address though there is a login":   {credentials: true, reads: []Observation{address}, at: 2, want: GradeMismatch, wantUnlimited: true},
		"a prefix though there is a login":     {credentials: true, reads: []Observation{prefix}, at: 2, want: GradeMismatch, wantUnlimited: true},
		"an account where there is a login":    {credentials: true, reads: []Observation{account}, at: 2, want: GradeOK, wantAvailable: 100},
		"an address where there is no login":   {reads: []Observation{address}, at: 2, want: GradeOK, wantAvailable: 100},
		"an error of the server is no reading": {reads: []Observation{says(1, 60), {SentAt: at(2), Status: 503, Header: says(2, 99).Header}}, at: 3, want: GradeOK, wantAvailable: 60},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{}, tc.credentials)
		for _, obs := range tc.reads {
			read(l, obs)
		}
		now := at(tc.at)
		if got := l.Grade(now); got != tc.want {
			t.Errorf("%s: grade %q, want %q", name, got, tc.want)
		}
		if got := l.Unlimited(now); got != tc.wantUnlimited {
			t.Errorf("%s: unlimited %v, want %v", name, got, tc.wantUnlimited)
		}
		if got := l.Opened(now); got != tc.wantOpened {
			t.Errorf("%s: opened %v, want %v", name, got, tc.wantOpened)
		}
		if got := l.Available(now, core.ClassNodeCritical, endless); !tc.wantUnlimited && !tc.wantOpened && got != tc.wantAvailable {
			t.Errorf("%s: available %d, want %d", name, got, tc.wantAvailable)
		}
	}
}

// Five units pulled from a full account that stays full, and five again within the
// window, are somebody else's readings; fewer are not enough, and neither is one
// batch, which the edge of a fixed window may have hidden. A fall clears it.
func TestMismatchByPullsThatDoNotShow(t *testing.T) {
	t.Parallel()
	type batch struct {
		at    float64 // seconds
		units core.Units
		left  core.Units
	}
	tests := map[string]struct {
		batches []batch
		want    Grade
	}{
		"five twice":                  {[]batch{{10, 6, 100}, {30, 6, 100}}, GradeMismatch},
		"four twice":                  {[]batch{{10, 4, 100}, {600, 4, 100}}, GradeOK},
		"five once":                   {[]batch{{10, 6, 100}}, GradeOK},
		"five, and five a window on":  {[]batch{{10, 6, 100}, {3700, 6, 100}}, GradeOK},
		"a fall in between":           {[]batch{{10, 6, 99}, {30, 6, 100}}, GradeOK},
		"a fall after it":             {[]batch{{10, 6, 100}, {30, 6, 100}, {50, 1, 99}}, GradeOK},
		"as many as a bucket refills": {[]batch{{400, 12, 100}, {800, 12, 100}}, GradeOK},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{}, false)
		read(l, says(1, 100))
		for i, b := range tc.batches {
			id := string(rune('a' + i))
			l.Set(at(b.at-8), id, Claim{Units: b.units})
			l.Close(at(b.at-6), id, Pulled)
			read(l, says(b.at, b.left))
		}
		if got := l.Grade(at(tc.batches[len(tc.batches)-1].at)); got != tc.want {
			t.Errorf("%s: grade %q, want %q", name, got, tc.want)
		}
	}
}

// A pull that outlives its window was charged before the account was full again,
// and proves nothing.
func TestPullsThatOutliveTheirWindowAreNoMismatch(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 100))
	for _, id := range []string{"a", "b", "c"} {
		l.Set(at(2), id, Claim{Units: 10})
	}
	read(l, says(10, 70))
	read(l, says(3700, 100)) // all of it has left the window
	for i, id := range []string{"a", "b", "c"} {
		l.Close(at(float64(3710+20*i)), id, Pulled)
		read(l, says(float64(3720+20*i), 100))
	}
	if got := l.Grade(at(3800)); got != GradeOK {
		t.Errorf("grade %q, want OK", got)
	}
}

func TestThrottledWaitsForAReadingSentAfterIt(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 50))
	l.Throttled(at(2), 10*time.Second)
	for _, tc := range []struct {
		sent   float64
		usable bool
	}{{3, false}, {11.9, false}, {12, true}} {
		read(l, says(tc.sent, 50))
		if got := l.Usable(at(tc.sent)); got != tc.usable {
			t.Errorf("reading sent at %gs: usable %v, want %v", tc.sent, got, tc.usable)
		}
	}
	l.Throttled(at(13), 1000*time.Hour)
	if next := l.NextProbe(true, 0); next.After(at(13).Add(MaxRetryAfter)) {
		t.Errorf("a hostile Retry-After puts the next probe off to %v", next)
	}
}

func TestTimeThatRunsAheadIsNotBelieved(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	l.Set(epoch, "a", Claim{Units: 5})
	l.Close(at(1), "a", Pulled)
	obs := says(1000, 100)
	l.Read(at(2), obs)
	if l.claims["a"] == nil {
		t.Error("a reading from the future covers a claim")
	}
}

// Readings from two addresses are of two buckets: until one of them has not been seen
// for a window, the emptier one counts.
func TestReadingsOfSeveralSourcesAreNotMixed(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := New(at, Settings{}, false)
	for i, step := range []struct {
		after     time.Duration
		source    string
		remaining core.Units
		want      core.Units
		sources   int
	}{
		{time.Minute, "203.0.113.1", 80, 80, 0},
		{time.Minute, "203.0.113.2", 10, 10, 2},
		{time.Minute, "203.0.113.1", 79, 10, 2},
		{time.Minute, "203.0.113.2", 90, 79, 2},
		{30 * time.Minute, "203.0.113.1", 20, 20, 2},
		{31 * time.Minute, "203.0.113.2", 95, 20, 2},
		{31 * time.Minute, "203.0.113.2", 96, 96, 0},
	} {
		at = at.Add(step.after)
		l.Read(at, Observation{SentAt: at, Status: 200, Header: Header{Limit: 100, HasLimit: true, Remaining: step.remaining,
			HasRemaining: true, Window: time.Hour, Source: step.source}})
		b := l.Books(at, Demand{})
		if b.Remaining != step.want || len(b.Sources) != step.sources {
			t.Errorf("step %d: %d are left by %v, want %d and %d sources", i, b.Remaining, b.Sources, step.want, step.sources)
		}
	}
	for i := range 3 * maxSources {
		l.Read(at, Observation{SentAt: at, Status: 200, Header: Header{Limit: 100, HasLimit: true, Remaining: 50, HasRemaining: true, Window: time.Hour, Source: fmt.Sprint(i)}})
	}
	if n := len(l.Books(at, Demand{}).Sources); n != maxSources {
		t.Errorf("%d sources are remembered, want %d", n, maxSources)
	}
}
