package model

import "time"

// Outcome is what a run came to, in raw figures. "Counted pods" are those of
// workloads that were created at zero or later and not deleted before they were
// Ready.
type Outcome struct {
	// ReadyAfter is Ready less creation of the counted pods that became Ready before
	// the horizon, ReadyAt when they were; both ascending.
	ReadyAfter, ReadyAt []time.Duration
	// Unfinished counts those that did not, and those that a Rollout under way has not made.
	Unfinished int
	// Pulls are cold pulls that succeeded.
	Pulls int
	// FirstPullStart, LastPullStart: when the first manifest GET of the first and of
	// the last cold pull was accepted, over all attempts at it; negative without Pulls.
	FirstPullStart, LastPullStart time.Duration
	// UnitsCharged are the units that limiters[0] of every registry charged the own cluster.
	UnitsCharged int64
	// Throttled counts 429 answers to the own cluster, ThrottledAttempts the attempts
	// of kubelets that failed with one, ForeignThrottled the units that foreign use
	// was refused.
	Throttled, ThrottledAttempts, ForeignThrottled int64
	// QPSExceeded counts attempts that the kubelets' own registryPullQPS refused, PullCalls
	// all attempts.
	QPSExceeded, PullCalls int64
	// HeldNeverCharged counts pods that were held by the gate and then started
	// without any unit having been charged for them.
	HeldNeverCharged int
	// IdleNode is how long nodes that were added in the run stood, all together, before
	// a first pod of a workload was Ready on them.
	IdleNode time.Duration
	// End is when nothing was left to happen, at most the horizon; Events is how many
	// events happened until then, Digest the SHA-256 over all of them.
	End    time.Duration
	Events int64
	Digest [32]byte
	// Due is, for the bound, what one pull per node and image that was first pulled in
	// this run costs on each limiter, in order of registries and their limiters.
	Due []Due
	// Series is the course of the run.
	Series Series
	// Clusters are what each came to, in the order of the scenario; nil where there is
	// but one without a name.
	Clusters []ClusterOutcome
	// Steps are those of Rollouts in the order in which they began, StepsLeftOut how many
	// more there were than are kept.
	Steps        []StepOutcome
	StepsLeftOut int
}

// StepOutcome is how a step of a Rollout went.
type StepOutcome struct {
	Step
	// Image is the first of the pods.
	Image ImageID
	// Began is when it did, Ended when it was done; negative: it was not, or was left for
	// another revision.
	Began, Ended time.Duration
	// Opens is how many pods of its revision there may be after a gate, Asked how often
	// that asked, Held the last Reason of a hold, Went why it went on.
	Opens, Asked int
	Held, Went   string
}

// ClusterOutcome is what one of several clusters came to. Units and answers of 429 are
// of its nodes' requests; what its pacer's probes were charged is in the whole alone.
type ClusterOutcome struct {
	Pulls, Unfinished       int
	UnitsCharged, Throttled int64
	LastPullStart           time.Duration
}

// Due is units of one limiter by account: by address for limiters per EgressIP, one
// account for others. It leaves foreign use to the reader.
type Due struct {
	Registry RegistryID
	Limiter  int // index in the registry's list
	Units    []int64
}

// Series is the course of a run on at most some hundred points, Step apart: index i
// is the time from i*Step to (i+1)*Step.
type Series struct {
	Step time.Duration
	// Ready is how many counted pods were Ready at the end of the step, Throttled how
	// many 429 answers came in it, InFlight the most pulls under way at once, Held how
	// many pods the gate held at its end.
	Ready, Throttled, InFlight, Held []int64
	// Remaining is what the first account of each limiter had left at the end of each
	// step.
	Remaining []RemainingSeries
}

// RemainingSeries is the budget of one limiter in time.
type RemainingSeries struct {
	Registry RegistryID
	Limiter  int // index in the registry's list
	Left     []int64
}
