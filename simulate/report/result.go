package report

// Result is the answer of a simulation: what each policy came to on one
// scenario. Its figures are those of replication 0; what is known of the others
// is in a policy's spread.
//
// Null is where there is no such figure: a time that was not reached within the
// horizon, a ratio to nothing.
type Result struct {
	// Scenario is the name in the file.
	Scenario string `json:"scenario"`
	// ScenarioSHA256 is the hash of the scenario as it was run, defaults filled in.
	ScenarioSHA256 string `json:"scenarioSHA256,omitempty"`
	// Version is the program's.
	Version string `json:"version,omitempty"`
	// Seed is what all random draws derive from.
	Seed uint64 `json:"seed"`
	// Replications counts the runs of each policy.
	Replications int `json:"replications"`
	// HorizonSeconds is when a run ends, whatever is unfinished.
	HorizonSeconds float64 `json:"horizonSeconds,omitempty"`
	// Policies are in the order of the scenario.
	Policies []Policy `json:"policies"`
	// Goals are in the order of the scenario.
	Goals []Goal `json:"goals"`
	// WallSeconds is how long the whole took on this machine.
	WallSeconds float64 `json:"wallSeconds"`
	// EventsPerSecond are simulated events of all runs in a second of wall time.
	EventsPerSecond float64 `json:"eventsPerSecond"`
	// LogSHA256 is the hash over the event digests of all runs, by policy and then
	// by replication. The same scenario, seed and version give the same.
	LogSHA256 string `json:"logSHA256"`
}

// Policy is what one policy came to.
type Policy struct {
	// Name is the policy's in the scenario.
	Name string `json:"name"`
	// MakespanSeconds is when the last pod was Ready, of all that were created at or
	// after zero and belong to no DaemonSet.
	MakespanSeconds *float64 `json:"makespanSeconds"`
	// FirstPullStartSeconds is when the first manifest of a cold pull was given.
	FirstPullStartSeconds *float64 `json:"firstPullStartSeconds"`
	// LastPullStartSeconds is when the first manifest of the last cold pull was given.
	LastPullStartSeconds *float64 `json:"lastPullStartSeconds"`
	// PodReadySeconds is how long pods took from their creation until they were Ready.
	PodReadySeconds Quantiles `json:"podReadySeconds"`
	// HalfReadySeconds is when half of the pods were Ready.
	HalfReadySeconds *float64 `json:"halfReadySeconds"`
	// Pulls counts cold pulls that succeeded.
	Pulls int64 `json:"pulls"`
	// UnitsCharged is what the first limiter of every registry charged this cluster.
	UnitsCharged int64 `json:"unitsCharged"`
	// Throttled counts answers of 429 to this cluster.
	Throttled int64 `json:"throttled"`
	// ThrottledAttempts counts attempts of kubelets that failed with one.
	ThrottledAttempts int64 `json:"throttledAttempts"`
	// ForeignThrottled counts units that others asked for and were refused.
	ForeignThrottled int64 `json:"foreignThrottled"`
	// UnfinishedPods counts pods that were not Ready at the horizon.
	UnfinishedPods int64 `json:"unfinishedPods"`
	// HeldNeverCharged counts pods that were held and then charged nothing.
	HeldNeverCharged int64 `json:"heldNeverCharged"`
	// IdleNodeHours sums how long nodes that were added in the run stood before a first
	// pod was Ready on them.
	IdleNodeHours float64 `json:"idleNodeHours"`
	// Bound is the least that any policy could take.
	Bound Bound `json:"bound"`
	// RatioToBound is LastPullStartSeconds over the bound; null where that is 0.
	RatioToBound *float64 `json:"ratioToBound"`
	// Events counts simulated events.
	Events int64 `json:"events"`
	// Clusters are what each of several came to, in the order of the scenario; the other
	// figures are of all together.
	Clusters []Cluster `json:"clusters,omitempty"`
	// Steps are those of Rollouts, in the order in which they began, a thousand at most.
	Steps []Step `json:"steps,omitempty"`
	// Notes say what the figures do not, as where a cluster would do otherwise.
	Notes []string `json:"notes,omitempty"`
	// Spread is what the figures were over all replications, by the name of the
	// metric; it is there with more than one.
	Spread map[string]Spread `json:"spread,omitempty"`
	// Series are curves of replication 0, for the page.
	Series []Series `json:"-"`
}

// Cluster is what one of several clusters came to.
type Cluster struct {
	// Name is the cluster's in the scenario.
	Name string `json:"name"`
	// Pulls counts cold pulls that succeeded on its nodes.
	Pulls int64 `json:"pulls"`
	// UnitsCharged is what the first limiter of every registry charged for its nodes.
	UnitsCharged int64 `json:"unitsCharged"`
	// Throttled counts answers of 429 to its nodes.
	Throttled int64 `json:"throttled"`
	// UnfinishedPods counts its pods that were not Ready at the horizon.
	UnfinishedPods int64 `json:"unfinishedPods"`
	// LastPullStartSeconds is when the first manifest of its last cold pull was given.
	LastPullStartSeconds *float64 `json:"lastPullStartSeconds"`
}

// Step is one step of a Rollout: when it started, how long it waited, and when the
// Rollout went on.
type Step struct {
	// Workload is the Rollout's name in the scenario, Image what it rolls out.
	Workload string `json:"workload"`
	Image    string `json:"image"`
	// Step is its place in the Rollout's list, from 0, Does what it is, as setWeight 10.
	Step int    `json:"step"`
	Does string `json:"does"`
	// StartedSeconds is when it began.
	StartedSeconds float64 `json:"startedSeconds"`
	// WaitedSeconds is how long it lasted; null where it was not done at the end of the
	// run, or another image came before it was.
	WaitedSeconds *float64 `json:"waitedSeconds"`
	// WentOnSeconds is when it was done; null where it was not.
	WentOnSeconds *float64 `json:"wentOnSeconds"`
	// Opens is how many pods of the image there may be after a gate, Asked how often it
	// asked.
	Opens int `json:"opens,omitempty"`
	Asked int `json:"asked,omitempty"`
	// Held is the last Reason for which a gate was held, Went why it was let through.
	Held string `json:"held,omitempty"`
	Went string `json:"went,omitempty"`
}

// Gate reports whether the step is a gate.
func (s Step) Gate() bool { return s.Does == GateStep }

// Why says in Reasons why a gate was held and let through.
func (s Step) Why() string {
	if s.Held != "" && s.Went != "" {
		return s.Held + ", then " + s.Went
	}
	return s.Held + s.Went
}

// GateStep is what a gate does.
const GateStep = "gate"

// Quantiles are of seconds, by nearest rank. One that a pod reaches which was not
// Ready at the horizon is null.
type Quantiles struct {
	P50  *float64 `json:"p50"`
	P90  *float64 `json:"p90"`
	P95  *float64 `json:"p95"`
	P99  *float64 `json:"p99"`
	Max  *float64 `json:"max"`
	Mean *float64 `json:"mean"`
}

// Bound is when the last pull can start at the earliest: the largest over all
// limiters, for one pull of each image to each node that first got it in this
// run, with accounts that are full and others who take their mean.
type Bound struct {
	// Seconds is the bound without a reserve; null where it can never start.
	Seconds *float64 `json:"seconds"`
	// WithReserveSeconds is the bound where what the policy keeps back is not there.
	WithReserveSeconds *float64 `json:"withReserveSeconds"`
	// LimitedBy is the limiter that gives it, by its path; "none" where it is 0.
	LimitedBy string `json:"limitedBy"`
}

// Spread is a figure over all replications. A value is null where the figure was.
type Spread struct {
	P50 *float64 `json:"p50"`
	Min *float64 `json:"min"`
	Max *float64 `json:"max"`
}

// Goal is one demand of the scenario and whether it was met.
type Goal struct {
	// Policy is whom it is asked of.
	Policy string `json:"policy"`
	// Metric is the name of a figure of a policy, as podReadySeconds.p95.
	Metric string `json:"metric"`
	// Op is ==, !=, <, <=, > or >=.
	Op string `json:"op"`
	// Value is what is compared with; times are in seconds.
	Value float64 `json:"value"`
	// Actual is the figure of replication 0.
	Actual *float64 `json:"actual"`
	// Met says that it held in every replication.
	Met bool `json:"met"`
	// MissedIn counts replications in which it did not hold.
	MissedIn int `json:"missedIn,omitempty"`
}

// Series is one curve of a policy: a value that holds from its time until the
// next.
type Series struct {
	// Name says what is counted, and of what.
	Name string
	// Kind groups curves of policies in one picture.
	Kind   Kind
	Points []Point
}

// Kind is what a curve shows.
type Kind int

// The kinds of curves, in the order of the page.
const (
	Remaining Kind = iota
	Ready
	Throttled
	InFlight
)

// Point is a value from a time on.
type Point struct {
	Seconds, Value float64
}

// Missed counts goals that were missed.
func (r Result) Missed() int {
	missed := 0
	for _, g := range r.Goals {
		if !g.Met {
			missed++
		}
	}
	return missed
}

// Names are the policies'.
func (r Result) Names() []string {
	names := make([]string, len(r.Policies))
	for i, p := range r.Policies {
		names[i] = p.Name
	}
	return names
}
