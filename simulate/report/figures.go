package report

import (
	"math"
	"time"
)

// Never is the time of what did not happen.
const Never = time.Duration(math.MaxInt64)

// Raw is what one run counted. Times are since its start.
type Raw struct {
	// Took is how long each pod took from its creation until it was Ready, ReadyAt
	// when it was, both ascending. They are of pods that were created at or after
	// zero and belong to no DaemonSet; Unfinished counts those that never were.
	Took, ReadyAt []time.Duration
	Unfinished    int
	// FirstPull and LastPull are when the first manifest of the first and of the
	// last cold pull was given; Never where there was none.
	FirstPull, LastPull time.Duration

	Pulls, UnitsCharged, Throttled, ThrottledAttempts, ForeignThrottled int64
	HeldNeverCharged, Events                                            int64
	IdleNode                                                            time.Duration
}

// NewPolicy makes the figures of one run.
func NewPolicy(name string, raw Raw, bound Bound) Policy {
	took, at := times{raw.Took, raw.Unfinished}, times{raw.ReadyAt, raw.Unfinished}
	p := Policy{
		Name:                  name,
		MakespanSeconds:       at.quantile(1),
		FirstPullStartSeconds: Seconds(raw.FirstPull),
		LastPullStartSeconds:  Seconds(raw.LastPull),
		PodReadySeconds: Quantiles{
			P50: took.quantile(0.50), P90: took.quantile(0.90), P95: took.quantile(0.95), P99: took.quantile(0.99),
			Max: took.quantile(1), Mean: took.mean(),
		},
		HalfReadySeconds: at.quantile(0.5),
		Pulls:            raw.Pulls, UnitsCharged: raw.UnitsCharged, Throttled: raw.Throttled, ThrottledAttempts: raw.ThrottledAttempts,
		ForeignThrottled: raw.ForeignThrottled, UnfinishedPods: int64(raw.Unfinished), HeldNeverCharged: raw.HeldNeverCharged,
		IdleNodeHours: raw.IdleNode.Hours(), Bound: bound, Events: raw.Events,
	}
	if b := bound.Seconds; b != nil && *b > 0 && p.LastPullStartSeconds != nil {
		ratio := *p.LastPullStartSeconds / *b
		p.RatioToBound = &ratio
	}
	return p
}

// times are ascending, with how many more are beyond all of them.
type times struct {
	reached []time.Duration
	beyond  int
}

// quantile is by nearest rank: the smallest time that at least that part of all
// does not exceed; nil where that is beyond. Of nothing it is 0: there is nothing
// to wait for.
func (s times) quantile(q float64) *float64 {
	n := len(s.reached) + s.beyond
	if n == 0 {
		return Seconds(0)
	}
	i := rank(n, q)
	if i >= len(s.reached) {
		return nil
	}
	return Seconds(s.reached[i])
}

func (s times) mean() *float64 {
	if s.beyond > 0 {
		return nil
	}
	sum := 0.0
	for _, d := range s.reached {
		sum += d.Seconds()
	}
	sum /= max(float64(len(s.reached)), 1)
	return &sum
}

// rank is the index of the quantile q among n sorted values. The product is
// nudged down before it is rounded up, because 0.95*20 is a little above 19 in
// binary.
func rank(n int, q float64) int {
	return min(max(int(math.Ceil(float64(q*float64(n))-1e-9))-1, 0), n-1)
}

// Seconds is a time as results have it, nil for Never.
func Seconds(d time.Duration) *float64 {
	if d == Never {
		return nil
	}
	s := d.Seconds()
	return &s
}
