package engine

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

// Decision is the answer of one turn. It changes nothing by itself: the caller
// observes a Booking for each pod that it releases, then writes.
type Decision struct {
	// ID names the decision in release marks, Events and traces.
	ID string    `json:"id"`
	At time.Time `json:"at"`
	// Releases and Holds are sorted by the order of release.
	Releases []Release `json:"releases,omitempty"`
	Holds    []Hold    `json:"holds,omitempty"`
	// Probes are the readings wanted, each due at its time, sorted by time.
	Probes []Probe `json:"probes,omitempty"`
	// Wake is when to decide again if nothing is observed before; never zero
	// while something is held.
	Wake     time.Time `json:"wake,omitzero"`
	Accounts []View    `json:"accounts,omitempty"`
	// Failing are the workload revisions and nodes that failing pulls are put down to,
	// sorted.
	Failing []Failing `json:"failing,omitempty"`
}

// Failing is a workload revision or a node of which pulls fail. A revision is held
// while its breaker is not closed; of a node it is told, and it is not preferred.
type Failing struct {
	// Workload and Revision are set for a revision, Node for a node.
	Workload string      `json:"workload,omitempty"`
	Revision string      `json:"revision,omitempty"`
	Node     core.NodeID `json:"node,omitempty"`
	feedback.View
}

// Release lets Count pods of a group go.
type Release struct {
	Group  core.GroupID `json:"group"`
	Count  int          `json:"count"`
	Reason core.Reason  `json:"reason"`
	// Pods are the very pods, where it matters which (override, expired hold, held
	// nodes); otherwise the caller chooses, oldest first.
	Pods []core.PodID `json:"pods,omitempty"`
	// Nodes are preferred, best first; empty: no preference.
	Nodes []core.NodeID `json:"nodes,omitempty"`
	// Cost is what the release may be charged at most, per account, sorted.
	Cost []Cost `json:"cost,omitempty"`
}

// Cost is units of one account.
type Cost struct {
	Account core.AccountID `json:"account"`
	Units   core.Units     `json:"units"`
}

// Hold keeps Count pods of a group.
type Hold struct {
	Group  core.GroupID `json:"group"`
	Count  int          `json:"count"`
	Reason core.Reason  `json:"reason"`
	// Account is what the group waits for, empty where it is not an account.
	Account core.AccountID `json:"account,omitempty"`
	// Need is what all Count pods may cost on Account, Free what the class may
	// spend there now.
	Need core.Units `json:"need"`
	Free core.Units `json:"free"`
	// Ahead is how many held pods go before this group on Account.
	Ahead int `json:"ahead"`
	// Expected is when the last of them may go, as a range; zero: not known.
	Expected quota.Range `json:"expected,omitzero"`
}

// Probe asks for a reading of an account, not before At.
type Probe struct {
	Account core.AccountID `json:"account"`
	At      time.Time      `json:"at"`
	// Twice asks for another right after the first was answered, and for both to be
	// observed before the next decision: together they tell whether the registry
	// charges for them.
	Twice bool `json:"twice,omitempty"`
}

// View is the books of one account, for status and people.
type View struct {
	Account core.AccountID `json:"account"`
	quota.Books
	// Held counts pods that wait for this account, Demand what they may cost.
	Held   int        `json:"held"`
	Demand core.Units `json:"demand"`
	// Paused says that a person paused it.
	Paused bool `json:"paused,omitempty"`
	// Breaker tells whether failing pulls paused it, by what and until when.
	Breaker feedback.View `json:"breaker"`
}
