package quota

import (
	"math"
	"testing"
	"time"

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

// foreignPerHour is what others are believed to take in an hour.
func foreignPerHour(l *Ledger, seconds float64) float64 {
	return l.Books(at(seconds), Demand{}).ForeignPerHour
}

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

// Of 8 in 10 s others take 2, evenly, and we 3 that a kubelet tells of 300 ms after they
// were charged. When those come back the log has them still, and explains the 2 that are
// gone: of others, who were there a moment before, the reading proves nothing. They are
// met by the mean of the lag of 10/12 s, 0.17, of which one may come.
func TestSteadyForeignUseIsNotForgottenAsOurOwnComesBack(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	tell := func(seconds float64, remaining core.Units) {
		obs := says(seconds, remaining)
		obs.Header.Limit, obs.Header.Window = 8, 10*time.Second
		read(l, obs)
	}
	margin := func(seconds float64) core.Units { return l.Books(at(seconds), Demand{}).Foreign }
	tell(1, 6)
	tell(12, 6)
	l.Set(at(12), "ours", Claim{Units: 3})
	l.Close(at(12.6), "ours", Pulled)
	for _, seconds := range []float64{14, 21} {
		tell(seconds, 3)
		if got := margin(seconds); got != 1 {
			t.Errorf("after %v s the margin is %d, want 1", seconds, got)
		}
	}
	tell(22.4, 6)
	if got := margin(22.4); got != 1 {
		t.Errorf("as ours came back the margin is %d, want 1 still", got)
	}
	tell(24, 8)
	if got := margin(24); got != 0 {
		t.Errorf("when theirs came back too the margin is %d, want 0", got)
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
	if b := l.Books(at(11.1), endless); b.Available[core.ClassServing] != 8 {
		t.Errorf("the books say %v, want the 8 of the last reading: somebody may look at any time", b.Available)
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
	if got := foreignPerHour(l, 4); got != 0 {
		t.Errorf("foreign use %v an hour, want none", got)
	}
	read(l, says(5, 88))
	if got := foreignPerHour(l, 5); got == 0 {
		t.Error("2 units that nobody here took are not foreign use")
	}
}

// A pull fails for a while, as others come and are over. The falls of those are theirs,
// so that its own is not foreign use when it gets through at last; one more is.
func TestAPullThatWaitsIsNotSpentOnTheFallsOfOthers(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 100))
	l.Set(at(2), "waits", Claim{Units: 1})
	for i := range 3 {
		begin, id := float64(10+20*i), string(rune('a'+i))
		l.Set(at(begin), id, Claim{Units: 1})
		read(l, says(begin+1, core.Units(99-i)))
		l.Close(at(begin+2), id, Pulled)
		read(l, says(begin+10, core.Units(99-i)))
	}
	read(l, says(71, 96))
	if got := foreignPerHour(l, 71); got != 0 {
		t.Errorf("foreign use %v an hour, want none: it was the pull that waited", got)
	}
	read(l, says(72, 95))
	if got := foreignPerHour(l, 72); got == 0 {
		t.Error("a unit that nobody here took is not foreign use")
	}
}

// A pull that nobody could charge so far costs nothing in the books. When it gets through
// its unit falls first, and the kubelet tells of it later: then it is nobody else's.
func TestAPullThatIsBookedAsItEndsIsNotForeignUse(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 100))
	l.Set(at(2), "held up", Claim{})
	read(l, says(30, 97))
	if got := foreignPerHour(l, 30); got == 0 {
		t.Fatal("3 units that nothing explains are not foreign use")
	}
	l.Set(at(32), "held up", Claim{Units: 1})
	l.Close(at(32), "held up", Pulled)
	read(l, says(40, 97))
	// Two of the three, forgotten for 10 s: 2 * exp(-10/600) of the last 10 minutes.
	if got, want := foreignPerHour(l, 40), 11.8; math.Abs(got-want) > 0.01 {
		t.Errorf("foreign use %v an hour, want %v: one of the three was ours", got, want)
	}
	l.Set(at(50), "in time", Claim{Units: 1})
	read(l, says(51, 97))
	l.Close(at(52), "in time", Pulled)
	read(l, says(60, 97)) // what came back hid its fall, or it was not charged
	if got := foreignPerHour(l, 60); got < 11 {
		t.Errorf("foreign use %v an hour, want that of before: what was booked in time takes none back", got)
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
