package report

import (
	"math"
	"slices"
	"time"
)

// Never is the time of what did not happen.
const Never = time.Duration(math.MaxInt64)

// Raw is what one run counted. Times are since its start.
type Raw struct {
	// Took is how long each pod took from its creation until it was Ready, ReadyAt
	// when it was; both are of every pod that was created at or after zero and
	// belongs to no DaemonSet, in any order, and are sorted in place. Never for one
	// that was not.
	Took, ReadyAt []time.Duration
	// FirstPull and LastPull are when the first manifest of the first and of the
	// last cold pull was given; Never where there was none.
	FirstPull, LastPull time.Duration

	Pulls, UnitsCharged, Throttled, ThrottledAttempts, ForeignThrottled int64
	HeldNeverCharged, Events                                            int64
	IdleNode                                                            time.Duration
}

// NewPolicy makes the figures of one run.
func NewPolicy(name string, raw Raw, bound Bound) Policy {
	slices.Sort(raw.Took)
	slices.Sort(raw.ReadyAt)
	p := Policy{
		Name:                  name,
		MakespanSeconds:       nearest(raw.ReadyAt, 1),
		FirstPullStartSeconds: seconds(raw.FirstPull),
		LastPullStartSeconds:  seconds(raw.LastPull),
		PodReadySeconds: Quantiles{
			P50: nearest(raw.Took, 0.50), P90: nearest(raw.Took, 0.90), P95: nearest(raw.Took, 0.95), P99: nearest(raw.Took, 0.99),
			Max: nearest(raw.Took, 1), Mean: mean(raw.Took),
		},
		HalfReadySeconds: nearest(raw.ReadyAt, 0.5),
		Pulls:            raw.Pulls, UnitsCharged: raw.UnitsCharged, Throttled: raw.Throttled, ThrottledAttempts: raw.ThrottledAttempts,
		ForeignThrottled: raw.ForeignThrottled, UnfinishedPods: unfinished(raw.ReadyAt), HeldNeverCharged: raw.HeldNeverCharged,
		IdleNodeHours: raw.IdleNode.Hours(), Bound: bound, Events: raw.Events,
	}
	if bound.Seconds > 0 && p.LastPullStartSeconds != nil {
		ratio := *p.LastPullStartSeconds / bound.Seconds
		p.RatioToBound = &ratio
	}
	return p
}

// nearest returns the quantile q of sorted times by nearest rank: the smallest
// that at least that part of them does not exceed. Of nothing it is 0: there is
// nothing to wait for.
func nearest(sorted []time.Duration, q float64) *float64 {
	if len(sorted) == 0 {
		return seconds(0)
	}
	return seconds(sorted[rank(len(sorted), q)])
}

// rank is the index of the quantile q among n sorted values. The product is
// nudged down before it is rounded up, because 0.95*20 is a little above 19 in
// binary.
func rank(n int, q float64) int {
	return min(max(int(math.Ceil(float64(q*float64(n))-1e-9))-1, 0), n-1)
}

func mean(sorted []time.Duration) *float64 {
	if len(sorted) == 0 {
		return seconds(0)
	}
	if sorted[len(sorted)-1] == Never {
		return nil
	}
	sum := 0.0
	for _, d := range sorted {
		sum += d.Seconds()
	}
	sum /= float64(len(sorted))
	return &sum
}

func unfinished(sorted []time.Duration) int64 {
	first, _ := slices.BinarySearch(sorted, Never)
	return int64(len(sorted) - first)
}

// seconds is nil for what never happened.
func seconds(d time.Duration) *float64 {
	if d == Never {
		return nil
	}
	s := d.Seconds()
	return &s
}
