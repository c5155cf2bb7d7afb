package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a time so many seconds after the epoch.
func at(seconds float64) time.Time {
	return epoch.Add(time.Duration(seconds * float64(time.Second)))
}

// says is an answer that states a limit of 100 an hour.
func says(seconds float64, remaining core.Units) Observation {
	return Observation{SentAt: at(seconds), Status: 200, Header: Header{
		Limit: 100, HasLimit: true, Remaining: remaining, HasRemaining: true, Window: time.Hour,
	}}
}

// silent is an answer without a limit.
func silent(seconds float64) Observation { return Observation{SentAt: at(seconds), Status: 200} }

// read gives the ledger an answer at the time when it was sent.
func read(l *Ledger, obs Observation) { l.Read(obs.SentAt, obs) }

// endless is a demand that no window ends, so that the reserve stays.
var endless = Demand{Held: 1 << 40}

func TestReservationIsCoveredByAReadingSentLagAfterItClosed(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 100))
	l.Set(at(2), "a", Claim{Units: 10})
	steps := []struct {
		what string
		do   func()
		want core.Units
	}{
		{"open", func() {}, 90},
		{"open, and the reading has it already: counted twice, which is safe", func() { read(l, says(3, 90)) }, 80},
		{"closed", func() { l.Close(at(4), "a", Pulled) }, 80},
		{"sent before lag has passed", func() { read(l, says(8.9, 90)) }, 80},
		{"sent lag after it closed", func() { read(l, says(9, 90)) }, 90},
	}
	for _, s := range steps {
		s.do()
		if got := l.Available(at(10), core.ClassNodeCritical, endless); got != s.want {
			t.Errorf("%s: available %d, want %d", s.what, got, s.want)
		}
	}
}

func TestPresentFreesAtOnceAndOthersDoNot(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[Outcome]core.Units{Present: 100, Pulled: 90, Failed: 90, Gone: 90} {
		l := New(epoch, Settings{}, false)
		read(l, says(1, 100))
		l.Set(at(2), "a", Claim{Units: 10})
		l.Close(at(3), "a", outcome)
		if got := l.Available(at(3), core.ClassNodeCritical, endless); got != want {
			t.Errorf("%s: available %d, want %d", outcome, got, want)
		}
	}
}

func TestClaimTreeReservesNothingTwice(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		claims map[string]Claim
		want   core.Units // reserved
	}{
		"a step alone":                   {map[string]Claim{"step": {Units: 8}}, 8},
		"pods draw on the step":          {map[string]Claim{"step": {Units: 8}, "p": {Units: 3, Parent: "step"}}, 8},
		"pods need more than the step":   {map[string]Claim{"step": {Units: 8}, "p": {Units: 5, Parent: "step"}, "q": {Units: 5, Parent: "step"}}, 10},
		"step, node bundle, pod":         {map[string]Claim{"step": {Units: 8}, "node": {Units: 4, Parent: "step"}, "p": {Units: 6, Parent: "node"}}, 8},
		"a parent that is gone":          {map[string]Claim{"p": {Units: 3, Parent: "step"}}, 3},
		"a node bundle deeper than step": {map[string]Claim{"step": {Units: 2}, "node": {Units: 4, Parent: "step"}, "p": {Units: 1, Parent: "node"}}, 4},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{}, false)
		for id, c := range tc.claims {
			l.Set(epoch, id, c)
		}
		if got := l.Books(epoch, Demand{}).Reserved; got != tc.want {
			t.Errorf("%s: reserved %d, want %d", name, got, tc.want)
		}
	}
}

// The reserves of the classes for a limit of 100, 5 percent and a rollback that
// needs 7: serving leaves the rollback's, rollout 5 more, batch and ci 15 more.
func TestReserveByClass(t *testing.T) {
	t.Parallel()
	want := map[core.Class]core.Units{
		core.ClassNodeCritical: 40, core.ClassRollback: 40, core.ClassServing: 33,
		core.ClassRollout: 28, core.ClassBatch: 18, core.ClassCI: 18,
	}
	l := New(epoch, Settings{ReservePercent: 5, RollbackReserve: true}, false)
	read(l, says(1, 40))
	for class, units := range want {
		if got := l.Available(at(1), class, Demand{Rollback: 7, Held: 1000}); got != units {
			t.Errorf("%v: available %d, want %d", class, got, units)
		}
	}
	if got := l.Available(at(1), core.ClassRollout, Demand{Rollback: 7, Held: 33}); got != 33 {
		t.Errorf("last window of a finite demand: available %d, want 33", got)
	}
	if got := l.Available(at(1), core.ClassRollout, Demand{Rollback: 7, Held: 34}); got != 28 {
		t.Errorf("one more than the last window takes: available %d, want 28", got)
	}
	if got := l.Available(at(1), core.ClassServing, Demand{Rollback: 1000, Held: 1000}); got != -10 {
		t.Errorf("a rollback reserve is at most half of the limit: available %d, want 40 less 50", got)
	}
}

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
	if next := l.NextProbe(true, 0); next.After(at(13).Add(maxRetryAfter)) {
		t.Errorf("a hostile Retry-After puts the next probe off to %v", next)
	}
}

// A foreign client takes 10 units an hour of an account of 100: after its falls
// the margin for a reading 30 s old plus 5 s of lag is the Poisson quantile of
// 10*35/3600 = 0.097 at 1e-4, which is 3 (P(X>2) = 1.4e-4, P(X>3) = 3.4e-6).
func TestForeignUseRaisesTheMargin(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	remaining := core.Units(100)
	for hour := range 6 {
		for i := range 10 {
			read(l, says(float64(hour*3600+i*360), remaining))
			remaining--
		}
		remaining += 10 // what left the window; a rise is nobody's use
	}
	last := float64(5*3600 + 9*360)
	got := l.Books(at(last+30), Demand{})
	if got.Foreign != 3 {
		t.Errorf("margin %d at %.2f an hour, want 3", got.Foreign, got.ForeignPerHour)
	}
}

// Others take 20 units an hour of a rolling window of an hour, so evenly that from
// the second hour on each comes back as another is taken: no reading ever falls again.
// The 20 that stay gone, less 3 of 100 that two buckets of the log may blur, are a
// pace of 17 an hour: within the 35 s of an age of 30 s and 5 s of lag the mean is
// 0.17, of which one may come.
func TestSteadyForeignUseIsSeenWithoutFalls(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 80))
	if got := l.Books(at(31), Demand{}).Foreign; got != 0 {
		t.Errorf("margin %d for what was gone before anybody watched, want none", got)
	}
	for minute := 1; minute <= 24*60; minute++ {
		read(l, says(float64(minute*60), 80))
	}
	if got := l.Books(at(24*3600+30), Demand{}); got.Foreign != 1 || got.ForeignPerHour != 17 {
		t.Errorf("margin %d at %.2f an hour, want 1 at 17", got.Foreign, got.ForeignPerHour)
	}
}

// A reading of a window of 10 s is worth nothing 11 s later.
func TestAReadingOlderThanItsWindowIsNotGrantedOn(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	obs := says(1, 8)
	obs.Header.Limit, obs.Header.Window = 8, 10*time.Second
	read(l, obs)
	if got := l.Available(at(11), core.ClassServing, endless); got != 8 {
		t.Errorf("available %d at the age of a window, want 8", got)
	}
	if got := l.Available(at(11.1), core.ClassServing, endless); got != 0 || l.Usable(at(11.1)) {
		t.Errorf("available %d after a window, want nothing before another reading", got)
	}
	if next := l.NextProbe(true, 0); next.After(at(11.1)) {
		t.Errorf("the next probe is due at %v: the work waits for it", next)
	}
}

func TestOwnPullsAreNotForeignUse(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 100))
	l.Set(at(2), "a", Claim{Units: 8})
	l.Set(at(2), "b", Claim{Units: 2, Ungated: true})
	read(l, says(3, 93)) // 7 of our 10
	l.Close(at(3.5), "a", Pulled)
	l.Close(at(3.5), "b", Pulled)
	read(l, says(4, 90)) // the other 3
	if got := l.Books(at(4), Demand{}).ForeignPerHour; got != 0 {
		t.Errorf("foreign use %v an hour, want none", got)
	}
	read(l, says(5, 88))
	if got := l.Books(at(5), Demand{}).ForeignPerHour; got == 0 {
		t.Error("2 units that nobody here took are not foreign use")
	}
}

func TestFixedLimitCountsHere(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fixed: &Fixed{Pulls: 10, Window: time.Minute}}, false)
	if got := l.Available(epoch, core.ClassNodeCritical, endless); got != 10 {
		t.Fatalf("fresh: available %d, want 10", got)
	}
	l.Set(epoch, "a", Claim{Units: 4})
	l.Set(epoch, "b", Claim{Units: 3})
	l.Close(at(5), "b", Pulled)
	for _, tc := range []struct {
		at   float64
		want core.Units
	}{
		{5, 3},  // 4 open, 3 spent
		{64, 3}, // still in the window of 60 s that began at 5 s
		{66, 6}, // b is out of it, within a 64th of the window
	} {
		if got := l.Available(at(tc.at), core.ClassNodeCritical, endless); got != tc.want {
			t.Errorf("at %gs: available %d, want %d", tc.at, got, tc.want)
		}
	}
	if got := l.Books(at(66), Demand{}).Reserved; got != 4 {
		t.Errorf("%d reserved, want the 4 that are open: what was spent waits for no reading", got)
	}
	if !l.NextProbe(true, 0).IsZero() {
		t.Error("a declared limit needs no probe")
	}
}

// A declared limit has no reading to wait for after a 429: it rests, for what the
// answer asked for and no shorter than the breaker's first step.
func TestFixedLimitRestsAfterA429(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		window, retryAfter time.Duration
		want               float64 // seconds until it is granted on again
	}{
		"nothing asked for":      {time.Hour, 0, 30},
		"a window that is short": {10 * time.Second, 0, 10},
		"a minute asked for":     {time.Hour, time.Minute, 60},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{Fixed: &Fixed{Pulls: 10, Window: tc.window}}, false)
		l.Throttled(at(1), tc.retryAfter)
		for now, want := range map[float64]core.Units{tc.want + 0.9: 0, tc.want + 1: 10} {
			if got := l.Available(at(now), core.ClassNodeCritical, endless); got != want {
				t.Errorf("%s: at %gs available %d, want %d", name, now, got, want)
			}
			if got := l.Usable(at(now)); got != (want > 0) {
				t.Errorf("%s: at %gs usable %v", name, now, got)
			}
		}
	}
}

func TestFixedRateFillsUpToItsBurst(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fixed: &Fixed{Rate: 2, Burst: 5}}, false)
	for _, tc := range []struct {
		at   float64
		want core.Units
	}{{0, 0}, {1, 2}, {2, 4}, {60, 5}} {
		if got := l.Available(at(tc.at), core.ClassNodeCritical, endless); got != tc.want {
			t.Errorf("at %gs: available %d, want %d", tc.at, got, tc.want)
		}
	}
	l.Set(at(60), "a", Claim{Units: 3})
	l.Close(at(61), "a", Pulled)
	if got := l.Available(at(61), core.ClassNodeCritical, endless); got != 2 {
		t.Errorf("after 3 of 5: available %d, want 2", got)
	}
}

func TestShareOfAnAccount(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fraction: 0.1, Guard: 3}, false)
	read(l, says(1, 100))
	if got := l.Available(at(1), core.ClassNodeCritical, endless); got != 9 {
		t.Errorf("a tenth of 100 less 3: available %d, want 9", got)
	}
	l.Configure(Settings{MaxPerWindow: 20}, false)
	l.Set(at(2), "a", Claim{Units: 15})
	l.Close(at(2), "a", Pulled)
	read(l, says(10, 85))
	if got := l.Available(at(10), core.ClassNodeCritical, endless); got != 5 {
		t.Errorf("15 of 20 spent: available %d, want 5", got)
	}
}

// Half of what remains, at a reading and not again and again of what is then left;
// and half of the limit in a window, whatever the readings say.
func TestFractionIsOfTheReadingAndOfTheWindow(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fraction: 0.5}, false)
	read(l, says(1, 100))
	steps := []struct {
		what string
		do   func()
		want core.Units
	}{
		{"at a reading", func() {}, 50},
		{"20 of them set aside", func() { l.Set(at(2), "a", Claim{Units: 20}) }, 30},
		{"all of them", func() { l.Set(at(2), "b", Claim{Units: 30}) }, 0},
		{"seen as spent by a reading", func() {
			l.Close(at(3), "a", Pulled)
			l.Close(at(3), "b", Pulled)
			read(l, says(10, 50))
		}, 0},
		{"a window later", func() { read(l, says(3700, 100)) }, 50},
	}
	for _, s := range steps {
		s.do()
		if got := l.Available(l.last.SentAt, core.ClassNodeCritical, endless); got != s.want {
			t.Errorf("%s: available %d, want %d", s.what, got, s.want)
		}
	}
}

func TestCeilingIsOurPartOfTheLimit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings Settings
		want     core.Units
	}{
		"alone":             {Settings{}, 100},
		"a fraction":        {Settings{Fraction: 0.29}, 29},
		"a cap":             {Settings{MaxPerWindow: 40}, 40},
		"the less of both":  {Settings{Fraction: 0.5, MaxPerWindow: 60}, 50},
		"a fraction of one": {Settings{Fraction: 1}, 100},
	} {
		l := New(epoch, tc.settings, false)
		read(l, says(1, 100))
		if got := l.Ceiling(); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestNothingIsGrantedOnWhatARestartBroughtBack(t *testing.T) {
	t.Parallel()
	before := New(epoch, Settings{}, false)
	read(before, says(1, 50))
	before.Set(at(2), "a", Claim{Units: 4})
	before.Set(at(2), "b", Claim{Units: 6})
	before.Close(at(3), "b", Pulled)
	state := before.Export(at(3))

	after := New(at(10), Settings{}, false)
	after.Restore(at(10), state)
	after.Set(at(10), "a again", Claim{Units: 1}) // 3 of the 4 ended meanwhile
	after.Set(at(10), "new", Claim{Units: 2, Ungated: true})
	after.Reopened(at(10))
	read(after, says(14, 40))
	if after.Usable(at(15)) {
		t.Error("a reading sent before the restart plus lag is usable")
	}
	read(after, says(15, 40))
	if !after.Usable(at(15)) {
		t.Error("a reading sent lag after the restart is not usable")
	}
	if got := sumSpent(after.spent); got != 9 {
		t.Errorf("spent %d, want 6 closed before and 3 closed while nobody looked", got)
	}
	read(after, silent(20))
	if got := after.Grade(at(20)); got != GradeLost {
		t.Errorf("grade %q, want Lost: the limit was known before the restart", got)
	}
}

// The window of a declared limit is known only when the engine is told of it; what was
// spent before must not be forgotten until then.
func TestADeclaredLimitRemembersItsWholeWindow(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	l.Restore(epoch, State{Spent: []Spent{{End: at(-3000), Units: 7}}, Open: 2})
	l.Configure(Settings{Fixed: &Fixed{Pulls: 10, Window: time.Hour}}, false)
	l.Reopened(epoch)
	if got := l.Available(at(1), core.ClassNodeCritical, endless); got != 1 {
		t.Errorf("available %d, want 10 less 7 of 50 minutes ago and 2 that ended while nobody looked", got)
	}
}

// A clock that ran ahead, or somebody who edits a status, must not make every later
// reading worthless.
func TestRestoredTimesOfTheFutureCountAsNow(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	ahead := says(86_400, 50)
	l.Restore(epoch, State{Last: &ahead, Spent: []Spent{{End: at(86_400), Units: 7}}})
	read(l, says(20, 60))
	if got := l.Available(at(21), core.ClassNodeCritical, endless); got != 60 {
		t.Errorf("available %d, want the 60 of a reading of now", got)
	}
	if got := l.spentWithin(at(3700)); got != 0 {
		t.Errorf("%d units spent a day ahead still count an hour from now", got)
	}
}

func TestSpentStaysWithin64Buckets(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{Fixed: &Fixed{Pulls: 1000, Window: time.Hour}}, false)
	for i := range 500 {
		l.spend(at(float64(i*7)), 1) // 3,500 s: all within the hour
	}
	if n := len(l.spent); n > maxSpent {
		t.Errorf("%d buckets, want %d at most", n, maxSpent)
	}
	if got := l.spentWithin(at(3500)); got != 500 {
		t.Errorf("spent %d, want all 500", got)
	}
}

func TestNextProbe(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do      func(*Ledger)
		waiting bool
		want    float64
	}{
		"first: at once":                      {func(*Ledger) {}, true, 0},
		"idle":                                {func(l *Ledger) { read(l, says(1, 50)) }, false, 301},
		"while work waits":                    {func(l *Ledger) { read(l, says(1, 50)) }, true, 21},
		"a second answer without a limit":     {func(l *Ledger) { read(l, silent(1)) }, false, 2},
		"when a closed claim will be covered": {func(l *Ledger) { read(l, says(1, 50)); l.Set(at(2), "a", Claim{Units: 1}); l.Close(at(4), "a", Pulled) }, true, 9},
		"idle, and a pull may teach its price": {func(l *Ledger) {
			read(l, says(1, 50))
			l.Set(at(2), "a", Claim{Units: 2, Manifests: 2})
			l.Close(at(4), "a", Pulled)
		}, false, 9},
		"idle, and nothing to learn": {func(l *Ledger) { read(l, says(1, 50)); l.Set(at(2), "a", Claim{Units: 1}); l.Close(at(4), "a", Pulled) }, false, 301},
		"not before a refusal's Retry-After": {func(l *Ledger) {
			read(l, Observation{SentAt: at(1), Status: 429, Header: Header{RetryAfter: 30 * time.Second}})
		}, true, 31},
		"when a reading counts again after 429": {func(l *Ledger) { read(l, says(1, 50)); l.Throttled(at(2), 8*time.Second) }, true, 10},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{}, false)
		tc.do(l)
		if got := l.NextProbe(tc.waiting, 0).Sub(epoch).Seconds(); got != tc.want {
			t.Errorf("%s: next probe at %gs, want %gs", name, got, tc.want)
		}
	}
}

// Ten of a hundred an hour are missing: a steady refill brings them in 360 s; a
// rolling window when our own charge of 100 s (its bucket ends at 112.5 s) leaves.
func TestExpectedIsARangeOverLimiters(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 100))
	l.Set(at(90), "a", Claim{Units: 100})
	l.Close(at(100), "a", Pulled)
	read(l, says(110, 0))
	want := Range{From: at(110 + 360), To: at(112.5 + 3600)}
	if diff := cmp.Diff(want, l.Expected(at(110), 10)); diff != "" {
		t.Errorf("expected (-want +got):\n%s", diff)
	}
	if got := l.Expected(at(110), 0); !got.IsZero() {
		t.Errorf("nothing missing: expected %v", got)
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
