package identify

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
)

// perUnit is how much each unit that a twin has too few speaks against it, in nats:
// so much that the rounding of one is forgiven, and a rule that errs all the time is
// not.
const perUnit = 3

// given is how far a twin may fall behind the best before it is given up, in nats.
const given = 40

// paces are those at which others may take units, per second, all as likely: from one
// in ten days to one every five minutes.
func paces() []float64 {
	return []float64{1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3}
}

// Filter weighs the rules by which one account may be counted. It is not safe for
// concurrent use, and its times must not go backwards.
type Filter struct {
	twins []*twin
	paces []float64
	// last is when the reading before was sent; negative: none was.
	last kernel.Time
}

// twin is a rule with the edges of its windows, and how well it fits.
type twin struct {
	limiter *limiter.Limiter
	rule    limiter.Type
	prior   float64 // log
	// fit is the log of how likely all readings are, for each pace of others.
	fit []float64
}

// Odds is how likely a rule is.
type Odds struct {
	Rule  limiter.Type
	Share float64
}

// New returns a filter for an account that is full, states so many units a window
// and is read every so often. Edges of windows are told apart as far as readings
// can; an account that states no window cannot be identified.
func New(limit int64, window, every time.Duration) (*Filter, error) {
	f := &Filter{paces: paces(), last: -1}
	edges := max(1, int((window+every-1)/max(every, window/maxEdges)))
	add := func(c limiter.Config, edges int) error {
		l, err := limiter.New(c)
		if err != nil {
			return err
		}
		f.twins = append(f.twins, &twin{limiter: l, rule: c.Type, prior: -math.Log(float64(edges)), fit: make([]float64, len(f.paces))})
		return nil
	}
	if err := add(limiter.Config{Type: limiter.RollingLog, Limit: limit, Window: window}, 1); err != nil {
		return nil, err
	}
	if err := add(limiter.Config{Type: limiter.TokenBucket, Limit: limit, Refill: limit, Every: window}, 1); err != nil {
		return nil, err
	}
	for _, rule := range []limiter.Type{limiter.FixedWindow, limiter.SlidingCounter} {
		for i := range edges {
			phase := window * time.Duration(i) / time.Duration(edges)
			if err := add(limiter.Config{Type: rule, Limit: limit, Window: window, Phase: phase}, edges); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// maxEdges bounds the twins of a rule.
const maxEdges = 1440

// Pulled takes in that the own cluster was charged units.
func (f *Filter) Pulled(at kernel.Time, units int64) {
	for _, t := range f.twins {
		t.limiter.Charge(at, units)
	}
}

// Read takes in that an answer said so many units to be left.
func (f *Filter) Read(at kernel.Time, left int64) {
	since := time.Duration(0)
	if f.last >= 0 {
		since = at.Sub(f.last)
	}
	f.last = at
	best := math.Inf(-1)
	for _, t := range f.twins {
		t.read(at, left, since, f.paces)
		best = max(best, t.weight())
	}
	f.twins = slices.DeleteFunc(f.twins, func(t *twin) bool { return t.weight() < best-given })
}

// read compares a reading with a twin: what is missing others took since the last
// one, and what is too much the twin's rule cannot explain.
func (t *twin) read(at kernel.Time, left int64, since time.Duration, paces []float64) {
	missing := max(0, t.limiter.Remaining(at)) - left
	t.limiter.Charge(at, max(missing, 0))
	for i, pace := range paces {
		if missing < 0 {
			t.fit[i] -= float64(perUnit * -missing)
		}
		t.fit[i] += logPoisson(max(missing, 0), float64(pace*since.Seconds()))
	}
}

// logPoisson is the log of the chance of n where mean are expected. Before the first
// reading nothing is expected and anything may have been taken.
func logPoisson(n int64, mean float64) float64 {
	if mean == 0 {
		return 0
	}
	factorial, _ := math.Lgamma(float64(n) + 1)
	return float64(n)*math.Log(mean) - mean - factorial
}

// weight is the log of how likely a twin is, whatever the pace of others.
func (t *twin) weight() float64 { return t.prior + logSum(t.fit) }

// logSum is the log of the sum of exponentials.
func logSum(logs []float64) float64 {
	most := slices.Max(logs)
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - most)
	}
	return most + math.Log(sum)
}

// Odds are those of the four rules, the likeliest first.
func (f *Filter) Odds() []Odds {
	weights := map[limiter.Type][]float64{}
	var all []float64
	for _, t := range f.twins {
		w := t.weight()
		weights[t.rule] = append(weights[t.rule], w)
		all = append(all, w)
	}
	total := logSum(all)
	var odds []Odds
	for _, rule := range []limiter.Type{limiter.RollingLog, limiter.FixedWindow, limiter.TokenBucket, limiter.SlidingCounter} {
		o := Odds{Rule: rule}
		if len(weights[rule]) > 0 {
			o.Share = math.Exp(logSum(weights[rule]) - total)
		}
		odds = append(odds, o)
	}
	slices.SortStableFunc(odds, func(a, b Odds) int { return cmp.Compare(b.Share, a.Share) })
	return odds
}
