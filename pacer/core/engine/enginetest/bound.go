package enginetest

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
)

// bound is the least time at which the last of the units that were charged to us
// can be granted by a full account, others at their mean, with so many units of
// every window left over. The limit is the one of the end of the run.
func (w *World) bound(r *registry, left int64) time.Duration {
	limit, window := r.limiter.says()
	c := limiter.Config{Type: limiter.TokenBucket, Limit: limit, Window: window, Phase: r.phase, Refill: limit, Every: window}
	switch r.kind {
	case "rolling":
		c.Type = limiter.RollingLog
	case "fixed":
		c.Type = limiter.FixedWindow
	case "sliding":
		c.Type = limiter.SlidingCounter
	}
	var foreign limiter.Drain
	if r.foreignEvery > 0 {
		foreign = limiter.Drain{Units: 1, Every: r.foreignEvery}
	}
	at := c.Bound(r.units, foreign, left)
	if at == kernel.Never {
		return 0
	}
	return time.Duration(at)
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
