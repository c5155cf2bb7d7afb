package scenario

import (
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Entry is a moment of the timeline with one thing that happens. Entries of the
// same moment happen in the order of the file.
type Entry struct {
	// At is the time since the start.
	At time.Duration `json:"at"`
	// Scale changes the replicas of a workload.
	Scale *Scale `json:"scale,omitempty"`
	// SetImage rolls a workload to another image.
	SetImage *SetImage `json:"setImage,omitempty"`
	// Rollback rolls a workload to the image before.
	Rollback *Rollback `json:"rollback,omitempty"`
	// AddNodes adds cold nodes.
	AddNodes *AddNodes `json:"addNodes,omitempty"`
	// RemoveNodes takes the oldest nodes away with their pods, as a spot market does.
	RemoveNodes *RemoveNodes `json:"removeNodes,omitempty"`
}

// Scale changes the replicas of a workload.
type Scale struct {
	Workload string `json:"workload"`
	Replicas int    `json:"replicas"`
}

// SetImage rolls a workload to another image.
type SetImage struct {
	Workload string `json:"workload"`
	Image    string `json:"image"`
}

// Rollback rolls a workload to the image before.
type Rollback struct {
	Workload string `json:"workload"`
}

// AddNodes adds cold nodes to a pool.
type AddNodes struct {
	Pool  string `json:"pool"`
	Count int    `json:"count"`
}

// RemoveNodes takes the oldest nodes of a pool away.
type RemoveNodes struct {
	Pool  string `json:"pool"`
	Count int    `json:"count"`
}

// Fault is one thing that goes wrong, and after For goes back.
type Fault struct {
	// At is the time since the start.
	At time.Duration `json:"at"`
	// For is how long; 0s is until the end of the run. What happens in a moment, as a
	// purge, does not read it.
	For time.Duration `json:"for,omitempty"`
	// Quota changes the limit of a limiter.
	Quota *QuotaFault `json:"quota,omitempty"`
	// Outage is a registry that does not answer as it should.
	Outage *Outage `json:"outage,omitempty"`
	// MirrorLoss sends the pulls of a mirror to the registry.
	MirrorLoss *MirrorLoss `json:"mirrorLoss,omitempty"`
	// NATCollapse sends the nodes of some egress groups out by another.
	NATCollapse *NATCollapse `json:"natCollapse,omitempty"`
	// CachePurge empties the image caches of some nodes.
	CachePurge *CachePurge `json:"cachePurge,omitempty"`
	// HeaderLies makes a registry's headers wrong.
	HeaderLies *HeaderLies `json:"headerLies,omitempty"`
	// ControllerRestart takes Pace's controller away for For, in every cluster; what it
	// knew is what it wrote to the cluster.
	ControllerRestart *ControllerRestart `json:"controllerRestart,omitempty"`
}

// QuotaFault changes the limit of a limiter.
type QuotaFault struct {
	Registry string `json:"registry"`
	// Limiter is its place in the registry's list.
	Limiter int `json:"limiter,omitempty"`
	// Limit of a window or of requests in flight, the burst of a bucket.
	Limit int64 `json:"limit"`
}

// OutageMode is how a registry fails.
type OutageMode string

// The modes.
const (
	OutageTimeout OutageMode = "Timeout"
	OutageReset   OutageMode = "Reset"
	Outage503     OutageMode = "503"
	HeadOnly429   OutageMode = "HeadOnly429"
	OutageSlow    OutageMode = "Slow"
)

// Outage is a registry that does not answer as it should.
type Outage struct {
	Registry string `json:"registry"`
	// Mode is Timeout, Reset, 503, HeadOnly429 or Slow.
	Mode OutageMode `json:"mode"`
	// Factor by which Slow stretches every answer and download.
	Factor float64 `json:"factor,omitempty"`
}

// MirrorLoss is a mirror that is gone.
type MirrorLoss struct {
	Mirror string `json:"mirror"`
}

// NATCollapse sends the nodes of some egress groups out by another.
type NATCollapse struct {
	// From is an egress group or a list of them.
	From Names `json:"from"`
	// To is the group whose addresses and bandwidth they share.
	To string `json:"to"`
}

// CachePurge empties the caches of some nodes; running pods keep running.
type CachePurge struct {
	Pool string `json:"pool"`
	// Fraction of the pool's nodes, above 0 and at most 1.
	Fraction float64 `json:"fraction"`
}

// LieMode is how headers are wrong.
type LieMode string

// The lies.
const (
	// LieOffset adds By to what remains.
	LieOffset LieMode = "Offset"
	// LieStuck repeats the last answer.
	LieStuck LieMode = "Stuck"
	// LieMissing says nothing.
	LieMissing LieMode = "Missing"
)

// HeaderLies makes a registry's headers wrong.
type HeaderLies struct {
	Registry string `json:"registry"`
	// Mode is Offset, Stuck or Missing.
	Mode LieMode `json:"mode"`
	// By is what Offset adds to what remains.
	By int64 `json:"by,omitempty"`
}

// ControllerRestart takes Pace's controller away for a time.
type ControllerRestart struct{}

// Policy is what paces a run: one of its fields.
type Policy struct {
	// Name that goals and results use.
	Name string `json:"name"`
	// Unpaced lets everything go.
	Unpaced *Unpaced `json:"unpaced,omitempty"`
	// FixedParallelism lets a number of nodes pull at a time, as pre-pullers do.
	FixedParallelism *FixedParallelism `json:"fixedParallelism,omitempty"`
	// StaticRate lets cold pulls go at a rate that somebody wrote down.
	StaticRate *StaticRate `json:"staticRate,omitempty"`
	// Pace is the controller.
	Pace *Pace `json:"pace,omitempty"`
}

// Unpaced lets everything go.
type Unpaced struct{}

// FixedParallelism lets a number of nodes pull at a time.
type FixedParallelism struct {
	// Nodes that pull at a time.
	Nodes int `json:"nodes"`
}

// StaticRate lets cold pulls go at a rate, whatever the registry says.
type StaticRate struct {
	// Rate of cold pulls, for the whole cluster; 0 is unlimited.
	Rate Rate `json:"rate"`
	// Burst of pulls at once.
	Burst int64 `json:"burst,omitempty"`
}

// Pace is the controller with a policy and budgets as a cluster would have them.
type Pace struct {
	// Policy is the spec of a PacePolicy.
	Policy v1alpha1.PacePolicySpec `json:"policy,omitempty"`
	// Budgets are specs of PullBudgets by the names of registries. A registry without
	// one gets the default; spec.registry may be left out.
	Budgets map[string]v1alpha1.PullBudgetSpec `json:"budgets,omitempty"`
}

// Goal is a statement about a result that must hold.
type Goal struct {
	// Policy that it is about.
	Policy string `json:"policy"`
	// Metric is the name of a figure of the result, as podReadySeconds.p95.
	Metric string `json:"metric"`
	// Op is ==, !=, <, <=, > or >=.
	Op string `json:"op"`
	// Value is a number; for seconds also a duration, as 25m.
	Value Value `json:"value"`
}
