package quota

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
)

// Ten multi-platform pulls in each of two batches cost ten units each time: one a
// pull, where two are set aside as long as nobody knows better.
func TestPriceOfAPullIsLearned(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		falls []core.Units // of batches of ten pulls
		want  core.Units
	}{
		"nothing seen":             {nil, 2},
		"one batch is not enough":  {[]core.Units{10}, 2},
		"one unit a pull":          {[]core.Units{10, 10}, 1},
		"a mirror answered":        {[]core.Units{0, 0}, 0},
		"the dearest batch counts": {[]core.Units{0, 20}, 2},
		"never more than manifests; the rest is somebody else's": {[]core.Units{30, 30}, 2},
	}
	for name, tc := range tests {
		l := New(epoch, Settings{}, false)
		remaining := core.Units(100)
		read(l, says(1, remaining))
		for i, fall := range tc.falls {
			begin := float64(20 + 20*i)
			read(l, says(begin, remaining))
			for p := range 10 {
				id := string(rune('a'+i)) + string(rune('a'+p))
				l.Set(at(begin+1), id, Claim{Units: 2, Manifests: 2})
				l.Close(at(begin+2), id, Pulled)
			}
			remaining -= fall
			read(l, says(begin+8, remaining))
		}
		if got := l.PerPull("", 2); got != tc.want {
			t.Errorf("%s: price %d, want %d", name, got, tc.want)
		}
	}
}

// A batch proves nothing while another pull is under way or after a charge of our
// own may have left the window in between.
func TestPriceIsNotLearnedInTroubledWater(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*Ledger){
		"another pull under way":        func(l *Ledger) { l.Set(at(2), "other", Claim{Units: 1, Manifests: 1}) },
		"one of the batch failed":       func(l *Ledger) { l.Set(at(2), "bad", Claim{Units: 1, Manifests: 1}); l.Close(at(3), "bad", Failed) },
		"two shapes in one batch":       func(l *Ledger) { l.Set(at(2), "multi", Claim{Units: 2, Manifests: 2}); l.Close(at(3), "multi", Pulled) },
		"own charge leaving the window": func(l *Ledger) { l.spend(at(-3595), "", 5) },
	}
	for name, trouble := range tests {
		l := New(at(-4000), Settings{}, false)
		read(l, says(1, 100))
		trouble(l)
		for _, id := range []string{"a", "b", "c", "d"} {
			l.Set(at(2), id, Claim{Units: 1, Manifests: 1})
			l.Close(at(3), id, Pulled)
		}
		read(l, says(9, 98))
		if got := l.Charges(); len(got) > 0 {
			t.Errorf("%s: learned %v", name, got)
		}
	}
}

// lab is a ledger behind which batches of pulls are charged what the test says.
type lab struct {
	*Ledger
	now       float64
	remaining core.Units
	pulls     int
}

func makeLab(s Settings, credentials bool, remaining core.Units) *lab {
	l := &lab{Ledger: New(epoch, s, credentials), now: 1, remaining: remaining}
	read(l.Ledger, says(l.now, l.remaining))
	return l
}

// batch pulls n images of a host, each of one manifest, and reads what is left after
// fall units more are gone.
func (l *lab) batch(host string, n int, fall core.Units) {
	l.now++
	for range n {
		l.pulls++
		id := fmt.Sprint(host, l.pulls)
		l.Set(at(l.now), id, Claim{Units: l.PerPull(host, 1), Manifests: 1, Host: host})
		l.Close(at(l.now+1), id, Pulled)
	}
	l.now += 10
	l.remaining -= fall
	read(l.Ledger, says(l.now, l.remaining))
}

// others lets time pass in which somebody else takes units.
func (l *lab) others(seconds float64, units core.Units) {
	l.now += seconds
	l.remaining -= units
	read(l.Ledger, says(l.now, l.remaining))
}

// A mirror before one host of an account and not before another: pulls through the
// first are charged nothing, and each price is learned for itself.
func TestPriceIsLearnedForEachHost(t *testing.T) {
	t.Parallel()
	l := makeLab(Settings{Mirrored: true}, false, 100)
	for range 2 {
		l.batch("docker.io", 4, 0)
		l.batch("cache.corp", 4, 4)
	}
	if got := l.PerPull("docker.io", 1); got != 0 {
		t.Errorf("behind the mirror: price %d, want 0", got)
	}
	if got := l.PerPull("cache.corp", 1); got != 1 {
		t.Errorf("without a mirror: price %d, want 1", got)
	}
	want := []Charge{
		{Host: "cache.corp", Manifests: 1, Mean: 1, Samples: 8, Batches: 2, Most: 1},
		{Host: "docker.io", Manifests: 1, Samples: 8, Batches: 2},
	}
	if diff := cmp.Diff(want, l.Charges()); diff != "" {
		t.Errorf("charges (-want +got):\n%s", diff)
	}
	again := New(at(500), Settings{}, false)
	again.Restore(at(500), l.Export(at(500)))
	if got := again.PerPull("docker.io", 1); got != 0 {
		t.Errorf("after a restart: price %d, want 0", got)
	}
}

// A price falls only after several batches in a row, two of them within a window, and
// rises with the first that says more.
func TestPriceFallsSlowlyAndRisesAtOnce(t *testing.T) {
	t.Parallel()
	dear := func(l *lab) { l.batch("hub", 4, 4) }
	free := func(l *lab) { l.batch("hub", 4, 0) }
	apart := func(l *lab) { l.others(3700, 0) }
	tests := map[string]struct {
		batches []func(*lab)
		want    core.Units
	}{
		"charged, then a mirror came":       {[]func(*lab){dear, dear, free, free}, 0},
		"one batch is not enough":           {[]func(*lab){dear, dear, free}, 1},
		"nor are two with a charge between": {[]func(*lab){free, dear, free}, 1},
		"nor two a window apart":            {[]func(*lab){free, apart, free}, 1},
		"but four a window apart are":       {[]func(*lab){free, apart, free, apart, free, apart, free}, 0},
		"the mirror went away":              {[]func(*lab){free, free, dear}, 1},
		"it went away, and is back":         {[]func(*lab){free, free, dear, free, free}, 1},
		"it is back, for twice as long":     {[]func(*lab){free, free, dear, free, free, free, free}, 0},
		"one of four missed":                {[]func(*lab){free, free, func(l *lab) { l.batch("hub", 4, 1) }}, 1},
	}
	for name, tc := range tests {
		l := makeLab(Settings{}, false, 99)
		for _, batch := range tc.batches {
			batch(l)
		}
		if got := l.PerPull("hub", 1); got != tc.want {
			t.Errorf("%s: price %d, want %d", name, got, tc.want)
		}
	}
}

// Pulls of a large rollout overlap, so that no reading finds all of them covered: what
// a mirror answers is found out all the same, and what is charged is not taken for it.
func TestPriceIsLearnedWhilePullsOverlap(t *testing.T) {
	t.Parallel()
	for each, want := range map[core.Units]core.Units{0: 0, 1: 1} {
		l := makeLab(Settings{}, false, 99)
		for i := range 60 {
			l.now++
			l.Set(at(l.now), fmt.Sprint(i), Claim{Units: l.PerPull("hub", 1), Manifests: 1, Host: "hub"})
			l.remaining -= each
			l.Close(at(l.now), fmt.Sprint(i-3), Pulled)
			read(l.Ledger, says(l.now+0.5, l.remaining))
		}
		if got := l.PerPull("hub", 1); got != want {
			t.Errorf("%d charged for each: price %d, want %d", each, got, want)
		}
	}
}

// What is believed to cost nothing costs in full again as soon as anything says so,
// also what is under way, and is not booked to others.
func TestAFreePullIsChargedAgainAtOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sign func(l *lab)
		want core.Units // price
	}{
		"no sign":           {func(l *lab) { read(l.Ledger, says(l.now+1, l.remaining)) }, 0},
		"a pull is refused": {func(l *lab) { l.Throttled(at(l.now+1), 0) }, 1},
		"a fall":            {func(l *lab) { read(l.Ledger, says(l.now+1, l.remaining-2)) }, 1},
		// An empty account may answer 429 to probes; the mirror does not mind.
		"a probe is refused": {func(l *lab) { read(l.Ledger, Observation{SentAt: at(l.now + 1), Status: 429}) }, 0},
	}
	for name, tc := range tests {
		l := makeLab(Settings{}, false, 50)
		l.batch("hub", 4, 0)
		l.batch("hub", 4, 0)
		for i := range 3 {
			l.Set(at(l.now), fmt.Sprint("under way ", i), Claim{Units: l.PerPull("hub", 1), Manifests: 1, Host: "hub"})
		}
		if reserved, _, _ := l.outstanding(); reserved != 0 {
			t.Fatalf("%s: %d units set aside for pulls that cost nothing", name, reserved)
		}
		if got, want := l.NextProbe(false, 0), l.LastAttempt().Add(probeWaiting); !got.Equal(want) {
			t.Errorf("%s: free pulls under way: next probe at %v, want %v as while work waits", name, got, want)
		}
		tc.sign(l)
		if got := l.PerPull("hub", 1); got != tc.want {
			t.Errorf("%s: price %d, want %d", name, got, tc.want)
		}
		if reserved, _, _ := l.outstanding(); reserved != 3*tc.want {
			t.Errorf("%s: %d units set aside for three pulls under way, want %d", name, reserved, 3*tc.want)
		}
		if got := l.Books(at(l.now+1), Demand{}).ForeignPerHour; got != 0 {
			t.Errorf("%s: foreign use %v an hour, want none", name, got)
		}
	}
}

// Others take ten an hour of the account: what falls by no more than that while a
// mirror answers is theirs, and does not make its hits dear.
func TestKnownOthersDoNotHideAMirror(t *testing.T) {
	t.Parallel()
	l := makeLab(Settings{}, false, 99)
	for range 9 {
		l.others(360, 1)
	}
	l.batch("hub", 8, 1)
	l.batch("hub", 8, 0)
	l.batch("hub", 8, 1)
	if got := l.PerPull("hub", 1); got != 0 {
		t.Errorf("price %d, want 0", got)
	}
	l.batch("hub", 8, 8)
	if got := l.PerPull("hub", 1); got != 1 {
		t.Errorf("after a batch that was charged: price %d, want 1", got)
	}
}

// Pods with images of several kinds make batches of which a charge cannot be told
// apart, and none can.
func TestABatchOfSeveralKindsTeachesOnlyNothing(t *testing.T) {
	t.Parallel()
	for fall, want := range map[core.Units]core.Units{0: 0, 4: 1} {
		l := makeLab(Settings{}, false, 99)
		for range 2 {
			l.now++
			for i := range 4 {
				for m := 1; m <= 2; m++ {
					id := fmt.Sprint(l.now, i, m)
					l.Set(at(l.now), id, Claim{Units: l.PerPull("hub", m), Manifests: m, Host: "hub"})
					l.Close(at(l.now+1), id, Pulled)
				}
			}
			l.others(10, fall)
		}
		if got := l.PerPull("hub", 1); got != want {
			t.Errorf("fall of %d: price %d, want %d", fall, got, want)
		}
	}
}

// Pulls under a login that do not show on its account go out as somebody else: the
// books say so, unless a mirror was declared that explains it.
func TestPullsThatDoNotShowUnderALogin(t *testing.T) {
	t.Parallel()
	free := func(l *lab) { l.batch("hub", 6, 0); l.batch("hub", 6, 0) }
	tests := map[string]struct {
		settings    Settings
		credentials bool
		remaining   core.Units
		want        Doubt
		wantGrade   Grade
	}{
		"the account is full":          {Settings{}, true, 100, DoubtUnseen, GradeMismatch},
		"others use it":                {Settings{}, true, 60, DoubtUnseen, GradeOK},
		"a mirror was declared":        {Settings{Mirrored: true}, true, 100, DoubtNone, GradeOK},
		"no login":                     {Settings{}, false, 60, DoubtNone, GradeOK},
		"no login, another's readings": {Settings{}, false, 100, DoubtUnseen, GradeMismatch},
	}
	for name, tc := range tests {
		l := makeLab(tc.settings, tc.credentials, tc.remaining)
		free(l)
		books := l.Books(at(l.now), Demand{})
		if books.Doubt != tc.want || books.Grade != tc.wantGrade {
			t.Errorf("%s: doubt %q and grade %q, want %q and %q", name, books.Doubt, books.Grade, tc.want, tc.wantGrade)
		}
	}
	l := makeLab(Settings{}, true, 100)
	address := says(20, 100)
	address.Header.Source = "203.0.113.42"
	read(l.Ledger, address)
	if got := l.Books(at(21), Demand{}).Doubt; got != DoubtSource {
		t.Errorf("an address though there is a login: doubt %q, want %q", got, DoubtSource)
	}
	name := says(40, 100)
	name.Header.Source = "acme"
	read(l.Ledger, name)
	if got := l.Books(at(41), Demand{}).Doubt; got != DoubtNone {
		t.Errorf("its name again: doubt %q, want none", got)
	}
}

// TestADeclaredLimitCountsPulls: nobody tells what its pulls are charged, and a person
// declared pulls.
func TestADeclaredLimitCountsPulls(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]Settings{
		"of a window": {Fixed: &Fixed{Pulls: 10, Window: time.Hour}},
		"of a rate":   {Fixed: &Fixed{Rate: 1, Burst: 10}},
	} {
		l := New(epoch, settings, false)
		for manifests, want := range map[int]core.Units{0: 0, 1: 1, 2: 1, 9: 1} {
			if got := l.PerPull("hub.test", manifests); got != want {
				t.Errorf("%s: a pull of %d manifests is booked as %d, want %d", name, manifests, got, want)
			}
		}
	}
}

// TestWhatOthersGiveBackHidesNoPrice lets another cluster take three units twice, and
// ours pull three images each time they come back a window later: remaining stays, but
// not because the pulls cost nothing.
func TestWhatOthersGiveBackHidesNoPrice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		taken core.Units // by others, at 100 s and at 200 s
		want  core.Units
	}{
		"others' units come back": {3, 1},
		"nobody else is there":    {0, 0},
	} {
		l := New(epoch, Settings{}, false)
		read(l, says(1, 100))
		read(l, says(100, 100-tc.taken))
		read(l, says(200, 100-2*tc.taken))
		for _, back := range []float64{3700, 3800} {
			read(l, says(back-10, 100-2*tc.taken))
			for i := range 3 {
				id := fmt.Sprint(back, "/", i)
				l.Set(at(back-8), id, Claim{Units: 1, Host: "hub", Manifests: 1})
				l.Close(at(back-7), id, Pulled)
			}
			read(l, says(back+5, 100-2*tc.taken))
		}
		if got := l.PerPull("hub", 1); got != tc.want {
			t.Errorf("%s: a pull costs %d, want %d", name, got, tc.want)
		}
	}
}

// inMinute is a ledger of 100 a minute that is read every second from 1 s on.
type inMinute struct {
	*Ledger
	now, remaining float64
}

// reads takes in readings until a time; the registry gives back so much a second.
func (l *inMinute) reads(until, back float64) {
	for ; l.now <= until; l.now++ {
		header := Header{Limit: 100, HasLimit: true, Remaining: core.Units(l.remaining), HasRemaining: true, Window: time.Minute}
		read(l.Ledger, Observation{SentAt: at(l.now), Status: 200, Header: header})
		l.remaining += back
	}
}

// pulls has n pulls of two manifests begin and end between two readings.
func (l *inMinute) pulls(n int, each float64) {
	for i := range n {
		id := fmt.Sprint(l.now, i)
		l.Set(at(l.now-0.5), id, Claim{Units: l.PerPull("", 2), Manifests: 2})
		l.Close(at(l.now-0.5), id, Pulled)
	}
	l.remaining -= each * float64(n)
}

// In a window of a minute a twelfth of the limit may come back until a batch is
// covered. Half of the window and a quarter of it tell a price all the same: their
// readings begin before them, and what a refill may hide is less than half of a unit a
// pull. That pulls cost nothing is not told from so little.
func TestPriceIsLearnedInAWindowOfAMinute(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		each, back float64
		first      int
		want       core.Units
	}{
		"one unit a pull":                  {1, 0, 50, 1},
		"one unit, and a steady refill":    {1, 100. / 60, 50, 1},
		"two units, and a steady refill":   {2, 100. / 60, 33, 2},
		"a quarter is too few for nothing": {0.35, 100. / 60, 25, 2},
		"half is enough for nothing":       {0, 0, 50, 0},
		"a batch that a refill may hide":   {1, 0, 12, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &inMinute{Ledger: New(epoch, Settings{}, false), now: 1, remaining: 100}
			l.reads(1, 0)
			l.pulls(tc.first, tc.each)
			l.reads(7, tc.back)
			l.pulls(max(tc.first/2, 12), tc.each)
			l.reads(13, tc.back)
			if tc.want == 0 { // it takes a second batch as large
				l.pulls(tc.first, tc.each)
				l.reads(19, tc.back)
			}
			if got := l.PerPull("", 2); got != tc.want {
				t.Errorf("price %d, want %d: %+v", got, tc.want, l.Charges())
			}
		})
	}
}
