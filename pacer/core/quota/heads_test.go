package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// hub is a rolling log in virtual time that others use, and that may charge for HEADs.
type hub struct {
	limit   core.Units
	window  time.Duration
	charges bool
	now     time.Time
	log     []time.Time
	// next is when others come next and arrive is how long after that again, and how
	// many come.
	next   time.Time
	arrive func() (after time.Duration, units int)
	// heads is how many HEADs were charged.
	heads int
}

func (h *hub) left() core.Units {
	for len(h.log) > 0 && !h.log[0].After(h.now.Add(-h.window)) {
		h.log = h.log[1:]
	}
	return h.limit - core.Units(len(h.log))
}

// pass lets time pass, and others come meanwhile.
func (h *hub) pass(to time.Time) {
	for h.arrive != nil && h.next.Before(to) {
		h.now = h.next
		after, units := h.arrive()
		for range min(units, int(h.left())) {
			h.log = append(h.log, h.now)
		}
		h.next = h.next.Add(after)
	}
	h.now = to
}

// use has others use the account.
func (h *hub) use(arrive func() (after time.Duration, units int)) {
	first, _ := arrive()
	h.next, h.arrive = h.now.Add(first), arrive
}

// head is one HEAD.
func (h *hub) head() Observation {
	obs := Observation{SentAt: h.now, Status: 200}
	switch {
	case h.charges && h.left() > 0:
		h.log = append(h.log, h.now)
		h.heads++
	case h.charges:
		obs.Status = statusTooManyRequests
	}
	obs.Header = Header{Limit: h.limit, HasLimit: true, Remaining: h.left(), HasRemaining: true, Window: h.window}
	return obs
}

// ask sends the next probe of a ledger, two where it wants a pair, answered after rtt.
func (h *hub) ask(l *Ledger, waiting bool, rtt time.Duration, jitter float64) {
	at := l.NextProbe(waiting, jitter)
	h.pass(later(at, h.now))
	pair := l.WantsPair()
	first := h.head()
	h.pass(h.now.Add(rtt))
	if !pair {
		l.Read(h.now, first)
		return
	}
	second := h.head()
	h.pass(h.now.Add(rtt))
	l.Read(h.now, first)
	l.Read(h.now, second)
}

// poisson are others who come one by one at a steady pace.
func poisson(dice *rand.Rand, perSecond float64) func() (time.Duration, int) {
	return func() (time.Duration, int) {
		return time.Duration(dice.ExpFloat64() / perSecond * float64(time.Second)), 1
	}
}

// bursts are others who come in crowds, each of as many as drawn.
func bursts(dice *rand.Rand, perSecond float64) func() (time.Duration, int) {
	const crowd = 8
	left := 0
	return func() (time.Duration, int) {
		if left == 0 {
			left = dice.IntN(2 * crowd)
			return time.Duration(dice.ExpFloat64() / perSecond * crowd * float64(time.Second)), 1
		}
		left--
		return time.Duration(dice.ExpFloat64() * float64(100*time.Millisecond)), 1
	}
}

// limits are those of registries that are known, and of what tests use.
var limits = map[string]hub{
	"100 in 6h": {limit: 100, window: 6 * time.Hour},
	"200 in 6h": {limit: 200, window: 6 * time.Hour},
	"60 in 1m":  {limit: 60, window: time.Minute},
	"300 in 1m": {limit: 300, window: time.Minute},
	"8 in 10s":  {limit: 8, window: 10 * time.Second},
}

// paces are those of others, as a part of what the limit allows.
var paces = []float64{0.01, 0.1, 0.5, 0.9, 1, 2}

// TestOthersAreNotTakenForHeadsThatCost reads an account whose HEADs are free for so
// many windows, however others use it.
func TestOthersAreNotTakenForHeadsThatCost(t *testing.T) {
	t.Parallel()
	const seeds, probes = 20, 120
	crowds := map[string]func(*rand.Rand, float64) func() (time.Duration, int){"one by one": poisson, "in crowds": bursts}
	for name, kind := range limits {
		for how, others := range crowds {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				for _, pace := range paces {
					for seed := range uint64(seeds) {
						dice := rand.New(rand.NewPCG(seed, 7))
						h := kind
						h.now = epoch
						h.use(others(dice, pace*float64(h.limit)/h.window.Seconds()))
						l := New(epoch, Settings{}, false)
						for i := range probes {
							h.ask(l, seed%2 == 0, 100*time.Millisecond, dice.Float64()/5-0.1)
							if l.HeadsCharged() {
								t.Fatalf("seed %d, others at %v of the limit: condemned by probe %d", seed, pace, i)
							}
						}
					}
				}
			})
		}
	}
}

// TestHeadsThatCostAreFound reads an account that charges for HEADs, and bounds what it
// takes to find out: a pair is worth 2, others in between cost a window.
func TestHeadsThatCostAreFound(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		hub
		// pace is of others, as a part of the limit, taken what they took before.
		pace  float64
		taken int
		most  int
	}{
		"alone":                    {limits["100 in 6h"], 0, 0, 8},
		"alone, of an account":     {limits["200 in 6h"], 0, 0, 8},
		"alone, in a minute":       {limits["60 in 1m"], 0, 0, 24},
		"others take a tenth":      {limits["100 in 6h"], 0.1, 0, 12},
		"others take half":         {limits["100 in 6h"], 0.5, 0, 16},
		"little is left":           {limits["100 in 6h"], 0, 90, 12},
		"nothing is left at first": {limits["100 in 6h"], 0, 100, 12},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(100) {
				dice := rand.New(rand.NewPCG(seed, 7))
				h := tc.hub
				h.now, h.charges = epoch, true
				for range tc.taken {
					h.log = append(h.log, epoch.Add(-h.window+time.Duration(dice.Int64N(int64(h.window)))))
				}
				if tc.pace > 0 {
					h.use(poisson(dice, tc.pace*float64(h.limit)/h.window.Seconds()))
				}
				l := New(epoch, Settings{}, false)
				for !l.HeadsCharged() && h.heads <= tc.most {
					h.ask(l, seed%2 == 0, 100*time.Millisecond, dice.Float64()/5-0.1)
				}
				if !l.HeadsCharged() || h.heads > tc.most {
					t.Fatalf("seed %d: after %d HEADs that cost: condemned %t, want it after %d at most; %+v", seed, h.heads, l.HeadsCharged(), tc.most, l.heads)
				}
			}
		})
	}
}

// asked is when a ledger asks next, so long after a time, and for how many.
func asked(l *Ledger, from time.Time) string {
	at := l.NextProbe(true, 0)
	n := 1
	if l.WantsPair() {
		n = 2
	}
	return fmt.Sprintf("%d after %v", n, at.Sub(from).Round(time.Second))
}

// condemned are books of 100 an hour that know since second 60 that HEADs cost.
func condemned(t *testing.T) *Ledger {
	t.Helper()
	l := New(epoch, Settings{}, false)
	left := core.Units(100)
	for i := range 4 {
		for _, after := range []float64{0, 0.1} {
			left--
			read(l, says(float64(20*i)+after, left))
		}
	}
	if !l.HeadsCharged() {
		t.Fatalf("four pairs that fell by one each: %+v", l.heads)
	}
	return l
}

func TestHeadsThatCostEndTheReadings(t *testing.T) {
	t.Parallel()
	l := condemned(t)
	if g := l.Grade(at(61)); g != GradeStale {
		t.Errorf("grade %q, want Stale", g)
	}
	// 100 an hour, of which 8 HEADs took one each: nothing else is known of others.
	if got := l.Available(at(61), core.ClassNodeCritical, endless); got != 92 {
		t.Errorf("available %d, want what is left of the last limit, 92", got)
	}
	if got := l.Books(at(61), Demand{}).ForeignPerHour; got != 0 {
		t.Errorf("others at %v an hour, want 0: it was our HEADs", got)
	}
	if got, want := asked(l, at(60.1)), "2 after 24h0m0s"; got != want {
		t.Errorf("asks %s, want %s", got, want)
	}
	if l.Opened(at(3600)) || !l.Opened(at(3661)) {
		t.Error("opened before the window was over, or not after it")
	}
}

func TestHeadsThatCostSurviveARestart(t *testing.T) {
	t.Parallel()
	state := condemned(t).Export(at(70))
	l := New(at(80), Settings{}, false)
	l.Restore(at(80), state)
	l.Reopened(at(80))
	if !l.HeadsCharged() || l.Grade(at(81)) != GradeStale {
		t.Fatalf("after a restart HEADs are believed to be free: grade %q", l.Grade(at(81)))
	}
	if got := l.Available(at(81), core.ClassNodeCritical, endless); got != 92 {
		t.Errorf("available %d, want 92 as before", got)
	}
}

func TestHeadsAreAskedAnew(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do   func(l *Ledger)
		want bool
	}{
		"a day later, still charged": {func(l *Ledger) { read(l, says(86461, 99)); read(l, says(86461.1, 98)) }, true},
		"a day later, free":          {func(l *Ledger) { read(l, says(86461, 100)); read(l, says(86461.1, 100)) }, false},
		"declared in another way":    {func(l *Ledger) { l.Anew() }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := condemned(t)
			tc.do(l)
			if got := l.HeadsCharged(); got != tc.want {
				t.Errorf("HEADs cost: %t, want %t", got, tc.want)
			}
		})
	}
}

// TestATestKeepsItsUnits: while a test is under way nothing else may take what its
// HEADs need to fall on.
func TestATestKeepsItsUnits(t *testing.T) {
	t.Parallel()
	l := New(epoch, Settings{}, false)
	read(l, says(1, 99))
	read(l, says(1.1, 98))
	// 11 more pairs of 2, and 1 for others: they may have been what fell.
	if got := l.Available(at(2), core.ClassNodeCritical, endless); got != 98-22-1 {
		t.Errorf("available %d, want 75", got)
	}
	read(l, says(21, 98))
	read(l, says(21.1, 98))
	if got := l.heads.kept(); got != 0 || l.WantsPair() {
		t.Errorf("a pair did not fall: %d kept, another pair wanted %t", got, l.WantsPair())
	}
}
