package scenario

import "time"

// Step is one step of a Rollout's canary: one of its fields. The steps are taken from the
// moment at which the workload gets another image. Before the first that sets a weight
// there are no pods of it, and after the last there are no others.
type Step struct {
	// Gate asks Pace whether the pods that the next weight or scale makes may be made, as
	// an analysis by the template pull-budget does. Where nothing is Pace it is no step.
	Gate *Gate `json:"gate,omitempty"`
	// SetWeight is the percentage of pods that run the new image, and is done when they
	// are Ready.
	SetWeight *int32 `json:"setWeight,omitempty"`
	// SetCanaryScale says how many pods run the new image apart from the traffic; only
	// with trafficRouting.
	SetCanaryScale *CanaryScale `json:"setCanaryScale,omitempty"`
	// Pause waits.
	Pause *Pause `json:"pause,omitempty"`
}

// Gate asks Pace until it allows.
type Gate struct {
	// Interval from an answer to the next question.
	Interval time.Duration `json:"interval,omitempty"`
}

// Pause waits for a time. Nobody is there who would end one without.
type Pause struct {
	// Duration of the pause.
	Duration time.Duration `json:"duration"`
}

// CanaryScale is a number of pods: one of its fields.
type CanaryScale struct {
	// Replicas of the new image.
	Replicas *int32 `json:"replicas,omitempty"`
	// Weight is the percentage of all pods.
	Weight *int32 `json:"weight,omitempty"`
	// MatchTrafficWeight goes back to what the weight says.
	MatchTrafficWeight bool `json:"matchTrafficWeight,omitempty"`
}

// TrafficRouting says that a router shares the traffic of a Rollout: pods of the new
// image come on top of all that were there, which go half a minute after the last step.
type TrafficRouting struct{}
