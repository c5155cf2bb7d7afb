package model

import (
	"cmp"
	"math"
	"slices"
)

// shares are how many pods two sets of a Rollout are to have: that of the new revision
// and the one that is stable.
type shares struct{ fresh, stable int32 }

// standing is how a set of a Rollout stands: how many pods it is to have, and how many
// of them are Ready.
type standing struct{ want, ready int32 }

// bounded is what bounds a canary that shares traffic by the number of pods: how many
// pods there may be in all, how many must be Ready, and whether pods of still other
// revisions are there.
type bounded struct {
	most, least int32
	others      int32
	surge       bool
}

// basicShares is CalculateReplicaCountsForBasicCanary of Argo Rollouts 1.10.1, which
// keeps between the bounds: first up as far as there is room, the stable set before the
// new one, then down as far as enough pods are Ready. stable is nil where the new revision
// is the stable one, or none is.
func basicShares(replicas, weight int32, fresh standing, stable *standing, b bounded) shares {
	desired := approximate(replicas, weight, b.surge)
	out, has := shares{fresh: fresh.want}, standing{}
	if stable != nil {
		has = *stable
		out.stable = has.want
	} else {
		desired = shares{fresh: replicas}
	}
	up := b.most - fresh.want - has.want - b.others
	grow := func(want *int32, to int32) {
		if more := min(to-*want, up); more > 0 {
			*want += more
			up -= more
		}
	}
	if stable != nil {
		grow(&out.stable, desired.stable)
	}
	grow(&out.fresh, desired.fresh)
	if b.others > 0 {
		return out
	}
	rising := desired.fresh >= fresh.want
	down := fresh.counts(!rising) + has.counts(rising) - b.least
	switch {
	case down <= 0:
	case !rising:
		out.fresh = fresh.shrunk(out.fresh, desired.fresh, down)
		out.fresh, out.stable = fitted(fresh, has, out.fresh, out.stable, b)
	case stable != nil:
		out.stable = has.shrunk(out.stable, desired.stable, down)
		out.stable, out.fresh = fitted(has, fresh, out.stable, out.fresh, b)
	}
	return out
}

// counts is what a set counts for as another is to lose pods: what is Ready, or all
// that it is to have where whether it is Ready does not matter.
func (s standing) counts(all bool) int32 {
	if all || s.want < s.ready {
		return s.want
	}
	return s.ready
}

// shrunk is how many pods a set is to have that may lose some.
func (s standing) shrunk(was, to, down int32) int32 {
	if s.want > to {
		return max(to, s.want-down)
	}
	return was
}

// fitted keeps the sum of both within the bounds, drain being the set that loses pods.
func fitted(drain, other standing, drains, keeps int32, b bounded) (int32, int32) {
	over := max(0, keeps+drains-b.most)
	ready := min(drain.ready, drains)
	keeps -= over
	ready += min(other.ready, keeps)
	lost, lacks := max(0, other.ready-keeps), max(0, b.least-ready)
	keeps += min(lost, lacks)
	return drains - max(0, keeps+drains-b.most), keeps
}

// approximate shares the pods by the weight as near as whole pods can be: rounded up or
// down, of so many pods or, where there may be more, of one more. It never rounds to
// nothing or to all.
func approximate(replicas, weight int32, surge bool) shares {
	if replicas == 0 {
		return shares{}
	}
	part := float64(replicas) * float64(weight) / 100
	up, down := int32(math.Ceil(part)), int32(math.Floor(part))
	whole := weight == 100 || weight == 0 || replicas == 1 && !surge
	tied := func(of int32) bool {
		_, rest := math.Modf(float64(of) * (float64(weight) / 100))
		return rest == 0.5
	}
	type option struct{ fresh, of int32 }
	var options []option
	add := func(of int32, upToo bool) {
		if upToo {
			options = append(options, option{up, of})
		}
		if !tied(of) && (down != 0 || whole) {
			options = append(options, option{down, of})
		}
	}
	add(replicas, up < replicas || whole)
	if surge {
		add(replicas+1, true)
	}
	if len(options) == 0 {
		return shares{stable: replicas}
	}
	off := func(o option) float64 { return math.Abs(float64(o.fresh*100)/float64(o.of) - float64(weight)) }
	best := slices.MinFunc(options, func(a, b option) int { return cmp.Compare(off(a), off(b)) })
	return shares{best.fresh, best.of - best.fresh}
}
