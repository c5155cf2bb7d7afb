package plan

// Canary is what a canary of Argo Rollouts says of how many pods its steps make.
type Canary struct {
	// Replicas is how many pods are wanted in all.
	Replicas int
	Steps    []CanaryStep
	// Routed says that traffic is shared by a router and not by the number of pods.
	Routed bool
	// MaxWeight is what weights are parts of; 0 is 100. MinPods is the least of pods where
	// there are any.
	MaxWeight, MinPods int
}

// CanaryStep is what of a step says how many pods there are; those that say nothing of it
// are pauses, analyses and the like.
type CanaryStep struct {
	SetWeight      *int32       `json:"setWeight"`
	SetCanaryScale *CanaryScale `json:"setCanaryScale"`
}

// CanaryScale says it apart from the traffic. It counts with a router alone.
type CanaryScale struct {
	Replicas           *int32 `json:"replicas"`
	Weight             *int32 `json:"weight"`
	MatchTrafficWeight bool   `json:"matchTrafficWeight"`
}

// Opens is how many pods of the new revision there may be once the gate at a step is
// passed, and the number of the step that makes them: of the next one that sets a
// weight or a scale, or of none, where all pods are made. It reports false for a step
// that there is not.
func (c Canary) Opens(gate int) (pods, by int, ok bool) {
	if gate < 0 || gate >= len(c.Steps) {
		return 0, 0, false
	}
	for next := gate + 1; next < len(c.Steps); next++ {
		if s := c.Steps[next]; s.SetWeight != nil || c.Routed && s.SetCanaryScale != nil {
			return c.PodsAt(next), next, true
		}
	}
	return c.Replicas, len(c.Steps), true
}

// PodsAt is how many pods of the new revision a step brings about at most: Argo
// rounds, this rounds up. Source: utils/replicaset/canary.go of v1.10.1.
func (c Canary) PodsAt(step int) int {
	weight, scale := int32(0), (*CanaryScale)(nil)
	for _, s := range c.Steps[:step+1] {
		if s.SetWeight != nil {
			weight = *s.SetWeight
		}
		if s.SetCanaryScale != nil && c.Routed {
			scale = s.SetCanaryScale
		}
	}
	whole := c.MaxWeight
	if whole == 0 {
		whole = 100
	}
	switch {
	case scale == nil || scale.MatchTrafficWeight:
		return c.share(weight, whole)
	case scale.Replicas != nil:
		return max(int(*scale.Replicas), 0)
	case scale.Weight != nil:
		return c.share(*scale.Weight, 100)
	}
	return c.share(weight, whole)
}

// share is a part of the pods, rounded up.
func (c Canary) share(weight int32, of int) int {
	pods := (c.Replicas*int(weight) + of - 1) / of
	if pods > 0 {
		pods = max(pods, c.MinPods)
	}
	return min(pods, max(c.Replicas, c.MinPods))
}

// MaxStandIns bounds how many pods stand for those of a step: whoever may write a
// Rollout may write any number of replicas into it. More than that are counted as they
// come.
const MaxStandIns = 5000

// StandIns is how many pods stand for those that a gate opens, beside those of the
// revision that live: so that what was let go is at no time forgotten and at no time
// booked twice, each goes as a real one comes.
func StandIns(opens, live int) int { return min(max(0, opens-live), MaxStandIns) }
