package enginetest

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// bound is the least time at which the last of the units that were charged to us
// can be granted by a full account, others at their mean, with so many units of
// every window left over. The limit is the one of the end of the run.
func (w *World) bound(r *registry, left int64) time.Duration {
	limit, window := r.limiter.says()
	n := r.units
	var foreign float64 // units a window
	if r.foreignEvery > 0 {
		foreign = float64(window) / float64(r.foreignEvery)
	}
	most := float64(limit-left) - foreign
	first := float64(limit - left)
	if n == 0 || most <= 0 || float64(n) <= first && r.kind != "rolling" {
		return 0
	}
	spans := func(f float64) time.Duration { return time.Duration(f * float64(window)) }
	switch r.kind {
	case "rolling":
		return time.Duration(ceil(float64(n)/most)-1) * window
	case "fixed":
		edge := r.edge()
		return edge + time.Duration(ceil((float64(n)-first)/most)-1)*window
	case "sliding":
		return r.edge() + spans((float64(n)-first)/most)
	}
	return spans((float64(n) - first) / (float64(limit) - foreign))
}

// edge is the first edge of a window after the start.
func (r *registry) edge() time.Duration {
	if r.phase > 0 {
		return r.phase
	}
	_, window := r.limiter.says()
	return window
}

func ceil(f float64) int64 {
	n := int64(f)
	if float64(n) < f {
		n++
	}
	return n
}

// reserve is what the least urgent of the groups leaves of every window.
func (w *World) reserve(r *registry) int64 {
	limit, _ := r.limiter.says()
	percent := int64(r.account.Settings.ReservePercent)
	var most int64
	for _, g := range w.groups {
		var left int64
		switch {
		case g.Class > core.ClassRollout:
			left = limit * 3 * percent / 100
		case g.Class == core.ClassRollout:
			left = limit * percent / 100
		}
		if r.account.Settings.RollbackReserve && g.Class > core.ClassRollback {
			left += min(int64(r.account.RollbackNeed), limit/2)
		}
		most = max(most, left)
	}
	return most
}
