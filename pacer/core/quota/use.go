package quota

import (
	"cmp"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// maxUsers bounds the workloads whose use is kept apart, mostUse how many of them are
// named to people. What the others spent is summed up without a name.
const (
	maxUsers = 256
	mostUse  = 32
)

// Use is what the pulls for one workload took of the window.
type Use struct {
	// Workload is "Kind/namespace/name"; empty: of all that are not named in sum.
	Workload string     `json:"workload,omitempty"`
	Units    core.Units `json:"units"`
	// Last is the end of the bucket of time in which it spent last.
	Last time.Time `json:"last"`
}

// use is who spent what of the window. It is told to people and decides nothing.
type use struct{ by map[string]*user }

// user is what one workload spent, by bucket, oldest first.
type user struct {
	sum     core.Units
	buckets []Spent
}

// note adds units to the bucket that ends at end; what ended at edge or earlier is
// forgotten.
func (u *use) note(end, edge time.Time, by string, units core.Units) {
	if u.by == nil {
		u.by = map[string]*user{}
	}
	one := u.by[by]
	if one == nil && len(u.by) >= maxUsers {
		u.forget(edge)
	}
	if one == nil && len(u.by) >= maxUsers {
		by = ""
		one = u.by[by]
	}
	if one == nil {
		one = &user{}
		u.by[by] = one
	}
	one.forget(edge)
	one.sum += units
	if n := len(one.buckets); n > 0 && !one.buckets[n-1].End.Before(end) {
		one.buckets[n-1].Units += units
		return
	}
	one.buckets = append(one.buckets, Spent{End: end, Units: units})
}

// takeBack takes units back of what a workload spent last.
func (u *use) takeBack(by string, units core.Units) {
	one := u.by[by]
	if one == nil {
		one = u.by[""]
	}
	for one != nil && units > 0 && len(one.buckets) > 0 {
		last := &one.buckets[len(one.buckets)-1]
		took := min(units, last.Units)
		last.Units, one.sum, units = last.Units-took, one.sum-took, units-took
		if last.Units == 0 {
			one.buckets = one.buckets[:len(one.buckets)-1]
		}
	}
}

// forget drops what is out of the window, and who spent nothing in it.
func (u *use) forget(edge time.Time) {
	for by, one := range u.by {
		if one.forget(edge); len(one.buckets) == 0 {
			delete(u.by, by)
		}
	}
}

func (u *user) forget(edge time.Time) {
	old := 0
	for old < len(u.buckets) && !u.buckets[old].End.After(edge) {
		u.sum -= u.buckets[old].Units
		old++
	}
	u.buckets = slices.Delete(u.buckets, 0, old)
}

// Use is who spent what of the window that ends at now, the most first; of many the
// last is the sum of those that are not named.
func (l *Ledger) Use(now time.Time) []Use {
	l.use.forget(now.Add(-l.logWindow()))
	var all []Use
	rest := Use{}
	for by, one := range l.use.by {
		next := Use{Workload: by, Units: one.sum, Last: one.buckets[len(one.buckets)-1].End}
		if by == "" {
			rest = next
			continue
		}
		all = append(all, next)
	}
	slices.SortFunc(all, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.Units, a.Units), cmp.Compare(a.Workload, b.Workload))
	})
	for _, over := range all[min(len(all), mostUse):] {
		rest.Units += over.Units
		rest.Last = later(rest.Last, over.Last)
	}
	all = all[:min(len(all), mostUse)]
	if rest.Units > 0 {
		all = append(all, rest)
	}
	return all
}

// restoredUse takes back what was exported. All of a workload's counts as spent when
// it spent last, latest at the most: it is forgotten late and never early.
func restoredUse(all []Use, latest time.Time) use {
	u := use{}
	for _, one := range all {
		if one.Units > 0 {
			u.note(earliest(one.Last, latest), time.Time{}, one.Workload, one.Units)
		}
	}
	return u
}
