package shadow

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// keptHours is how many counts of an hour are kept: a whole day and the hour that
// has begun.
const keptHours = 25

// mostWorkloads bounds the workloads that are counted apart.
const mostWorkloads = 64

// pageAfter is after how long the usual alert KubePodNotReady fires.
const pageAfter = 15 * time.Minute

// Counts are what Shadow saw.
type Counts struct {
	// Pods and Rollouts would have been held.
	Pods, Rollouts int64
	// Nothing counts pods of them whose pulls were not charged: each image was on the
	// node when the pod came there, or pulls of it are known to cost nothing.
	Nothing int64
	// Throttled counts answers of 429 as pods showed them, Saved those of pods that
	// would still have been held.
	Throttled, Saved int64
	// Paged counts pods that would have been held for so long that KubePodNotReady
	// fires.
	Paged int64
	// Longest is the longest hold that would have been, Whose the workload.
	Longest time.Duration
	Whose   string
}

// add sums up two counts.
func (c Counts) add(o Counts) Counts {
	c.Pods, c.Rollouts, c.Nothing = c.Pods+o.Pods, c.Rollouts+o.Rollouts, c.Nothing+o.Nothing
	c.Throttled, c.Saved, c.Paged = c.Throttled+o.Throttled, c.Saved+o.Saved, c.Paged+o.Paged
	c.hold(o.Longest, o.Whose)
	return c
}

// hold notes a hold of that length.
func (c *Counts) hold(d time.Duration, whose string) {
	if d > c.Longest {
		c.Longest, c.Whose = d, whose
	}
}

// Hour is what was counted in the hour that began at Start.
type Hour struct {
	Start time.Time
	Counts
}

// Workload is how many pods of a workload would have been held.
type Workload struct {
	Name string
	Pods int64
}

// Tally counts for one policy. Its size is bounded however long it counts.
type Tally struct {
	// Since is when it began.
	Since time.Time
	Total Counts
	// Hours are the last ones in which anything was counted, oldest first.
	Hours     []Hour
	workloads map[string]int64
}

// NewTally begins to count.
func NewTally(now time.Time) *Tally { return &Tally{Since: now, workloads: map[string]int64{}} }

// Restore goes on with what was counted before a restart.
func Restore(since time.Time, total Counts, hours []Hour, workloads []Workload) *Tally {
	t := &Tally{Since: since, Total: total, Hours: slices.Clone(hours), workloads: map[string]int64{}}
	slices.SortFunc(t.Hours, func(a, b Hour) int { return a.Start.Compare(b.Start) })
	t.Hours = t.Hours[max(0, len(t.Hours)-keptHours):]
	for _, w := range workloads[:min(len(workloads), mostWorkloads)] {
		t.workloads[w.Name] = w.Pods
	}
	return t
}

// count changes what is counted at now.
func (t *Tally) count(now time.Time, change func(*Counts)) {
	start := now.Truncate(time.Hour)
	if n := len(t.Hours); n == 0 || t.Hours[n-1].Start.Before(start) {
		t.Hours = append(t.Hours, Hour{Start: start})
		t.Hours = t.Hours[max(0, len(t.Hours)-keptHours):]
	}
	change(&t.Total)
	change(&t.Hours[len(t.Hours)-1].Counts)
}

// holdOf counts a pod of a workload.
func (t *Tally) holdOf(now time.Time, workload string, first bool) {
	t.count(now, func(c *Counts) {
		c.Pods++
		if first {
			c.Rollouts++
		}
	})
	if _, known := t.workloads[workload]; !known && len(t.workloads) >= mostWorkloads {
		least := slices.MinFunc(slices.Sorted(maps.Keys(t.workloads)), func(a, b string) int {
			return cmp.Compare(t.workloads[a], t.workloads[b])
		})
		delete(t.workloads, least)
	}
	t.workloads[workload]++
}

// Within sums up the hours that reach into the last d; a whole day at most.
func (t *Tally) Within(now time.Time, d time.Duration) Counts {
	var sum Counts
	for _, h := range t.Hours {
		if h.Start.Add(time.Hour).After(now.Add(-d)) {
			sum = sum.add(h.Counts)
		}
	}
	return sum
}

// Top lists the n workloads of which most pods would have been held.
func (t *Tally) Top(n int) []Workload {
	var all []Workload
	for name, pods := range t.workloads {
		all = append(all, Workload{Name: name, Pods: pods})
	}
	slices.SortFunc(all, func(a, b Workload) int { return cmp.Or(cmp.Compare(b.Pods, a.Pods), cmp.Compare(a.Name, b.Name)) })
	return all[:min(n, len(all))]
}
