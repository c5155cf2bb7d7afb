package simulate

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// bound is the earliest time at which the last pull of what was due can start,
// whatever the policy: the largest over all accounts of all limiters.
func bound(spec *scenario.Spec, p scenario.Policy, due []model.Due) report.Bound {
	var plain, reserved kernel.Time
	by := "none"
	for _, d := range due {
		r := &spec.Registries[d.Registry]
		l := r.Limiters[d.Limiter]
		config := l.Config()
		left := reserve(p, r.Name, config.Limit)
		for account, units := range d.Units {
			others := drain(spec, l, d.Limiter, account)
			if t := config.Bound(units, others, 0); t > plain {
				plain, by = t, limiterPath(r, d.Limiter)
			}
			reserved = max(reserved, config.Bound(units, others, left))
		}
	}
	return report.Bound{Seconds: seconds(plain), WithReserveSeconds: seconds(max(plain, reserved)), LimitedBy: by}
}

func seconds(t kernel.Time) *float64 {
	if t == kernel.Never {
		return report.Seconds(report.Never)
	}
	return report.Seconds(time.Duration(t))
}

// reserve is what a policy leaves to others of a limit: what the PullBudget of the
// registry says, which is for rollouts.
func reserve(p scenario.Policy, registry string, limit int64) int64 {
	if p.Pace == nil {
		return 0
	}
	spec := p.Pace.Budgets[registry]
	budget := spec.DeepCopy()
	budget.Default()
	return limit * int64(*budget.Reserve.Percent) / 100
}

// drain is what others take on the mean from an account of a limiter. They use the
// addresses of their egress group in turn, and draw on the first limiter of a
// registry alone.
func drain(spec *scenario.Spec, l scenario.Limiter, index, account int) limiter.Drain {
	if index != 0 {
		return limiter.Drain{}
	}
	window := l.Window
	if window == 0 {
		window = time.Hour
	}
	units := 0.0
	for i, e := range spec.Egress {
		share := 1.0
		if l.Per == scenario.PerEgressIP {
			if !behind(spec, i, account) {
				continue
			}
			share = float64(max(e.IPs, 1))
		}
		units += perWindow(e.Foreign, l.Window, window) / share
	}
	return limiter.Drain{Units: units, Every: window}
}

// behind reports whether an address belongs to an egress group: addresses are
// numbered through all groups.
func behind(spec *scenario.Spec, group, address int) bool {
	first := 0
	for _, e := range spec.Egress[:group] {
		first += max(e.IPs, 1)
	}
	return address >= first && address < first+max(spec.Egress[group].IPs, 1)
}

// perWindow is foreign use in a time, of a limiter with this window or none.
func perWindow(f scenario.Foreign, window, in time.Duration) float64 {
	units := 0.0
	if window > 0 {
		units = float64(f.PerWindow)
	}
	if f.Every > 0 {
		units += float64(f.Per) * float64(in) / float64(f.Every)
	}
	return units
}
