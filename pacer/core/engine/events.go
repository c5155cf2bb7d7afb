package engine

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/quota"
)

// Event is one thing that became known. Exactly one field is set. Events are
// upserts: the same event twice changes nothing the second time, and the last
// one about a key wins, so an informer may replay them freely. An event that
// names something not seen yet (a pod's group) is kept and takes effect when
// the other arrives.
type Event struct {
	Account     *Account       `json:"account,omitempty"`
	AccountGone core.AccountID `json:"accountGone,omitempty"`
	Node        *Node          `json:"node,omitempty"`
	NodeGone    core.NodeID    `json:"nodeGone,omitempty"`
	Pool        *Pool          `json:"pool,omitempty"`
	PoolGone    core.PoolID    `json:"poolGone,omitempty"`
	Group       *Group         `json:"group,omitempty"`
	GroupGone   core.GroupID   `json:"groupGone,omitempty"`
	Pod         *Pod           `json:"pod,omitempty"`
	PodGone     core.PodID     `json:"podGone,omitempty"`
	Shape       *ImageShape    `json:"shape,omitempty"`
	Reading     *Reading       `json:"reading,omitempty"`
	Failed      *PullFailed    `json:"failed,omitempty"`
	Override    *Override      `json:"override,omitempty"`
	// Released books a release that the caller is about to carry out. It must be
	// observed before the write, so that a crash in between errs towards holding.
	Released *Booking `json:"released,omitempty"`
	// Refused says that the write of a release was refused; the pod is gated still.
	Refused core.PodID `json:"refused,omitempty"`
	// Withdrawn says that a release was booked and not written for want of time; the pod
	// is gated still, and may go with the next decision.
	Withdrawn core.PodID `json:"withdrawn,omitempty"`
}

// Account is what a registry meters, with the settings of the PullBudget that
// declares it.
type Account struct {
	ID core.AccountID `json:"id"`
	// Host is the registry host as in image references.
	Host string `json:"host"`
	// Egress limits the account to nodes of that egress group; empty: every node.
	Egress string `json:"egress,omitempty"`
	// Credentials says that pulls of this account are authenticated.
	Credentials bool `json:"credentials,omitempty"`
	// Settings are the rules for its budget.
	Settings quota.Settings `json:"settings"`
	// RollbackNeed is what rollbacks may have to pull besides what the groups' Back
	// says; kept free when Settings.RollbackReserve is set.
	RollbackNeed core.Units `json:"rollbackNeed,omitempty"`
	// Paused holds everything that draws on the account until it is cleared.
	Paused bool `json:"paused,omitempty"`
	// Breaker says when failing pulls pause the account, and for how long.
	Breaker feedback.Settings `json:"breaker,omitzero"`
	// Resumed is when a person last ordered to go on: it closes a breaker that was
	// opened before, of the account and of what is judged with it.
	Resumed time.Time `json:"resumed,omitzero"`
	// Generation is of what declares the account. With another one what was found out
	// about its probes is found out anew.
	Generation int64 `json:"generation,omitempty"`
}

// Node is one node and what is known of its image cache.
type Node struct {
	ID     core.NodeID `json:"id"`
	Egress string      `json:"egress,omitempty"`
	Zone   string      `json:"zone,omitempty"`
	// BootID changes when the node boots; what was known of its cache from its
	// containers is then forgotten.
	BootID string `json:"bootID,omitempty"`
	// Images are the names that the node itself lists, in any order.
	Images []core.Image `json:"images,omitempty"`
	// Truncated says that the list was cut, so that absence proves nothing.
	Truncated bool `json:"truncated,omitempty"`
	// DiskPressure empties what is believed about the cache beyond Images.
	DiskPressure bool `json:"diskPressure,omitempty"`
	// AlwaysCosts says that its runtime asks for the manifest by GET even when
	// the image is present (CRI-O).
	AlwaysCosts bool `json:"alwaysCosts,omitempty"`
	// Coming says that it is asked for and not there yet: it has no image, and nothing
	// was sent from it. What is set aside for it is free again once it is gone, be it
	// that the node that it became takes its place.
	Coming bool `json:"coming,omitempty"`
}

// Pool is the set of nodes that pods with the same constraints may use.
type Pool struct {
	ID    core.PoolID   `json:"id"`
	Nodes []core.NodeID `json:"nodes"`
	// Growth is what comes where pods find no room; nil: no node is ever added.
	Growth *Growth `json:"growth,omitempty"`
}

// Growth is what is known of the nodes that an autoscaler adds to a pool.
type Growth struct {
	// Egress are the groups that they may be of; empty: any.
	Egress []string `json:"egress,omitempty"`
	// Images are those that they come with.
	Images []core.Image `json:"images,omitempty"`
	// Bundle are the images that each of them pulls for itself: those of its DaemonSets.
	Bundle []ImageUse `json:"bundle,omitempty"`
}

// Room is what the nodes of a pool take of a group, those that are coming included.
// The pods of all groups that are on no node yet are not taken off it.
type Room struct {
	// Pods is how many more of its pods fit, Nodes on how many nodes.
	Pods  int `json:"pods"`
	Nodes int `json:"nodes"`
}

// Size is what a pod asks of a node.
type Size struct {
	MilliCPU int64 `json:"milliCPU,omitempty"`
	Memory   int64 `json:"memory,omitempty"`
}

// Lane says what a group's pods are for, which decides whether they may be held.
type Lane string

// The lanes. Repair and rollback go first, are counted, and are never refused.
const (
	LaneNormal   Lane = ""
	LaneRepair   Lane = "Repair"
	LaneRollback Lane = "Rollback"
)

// ImageUse is one image of a group's pods and the accounts that pulling it may
// draw on: for a node the first account whose Egress is empty or the node's.
type ImageUse struct {
	Image core.Image `json:"image"`
	// Accounts are candidates in order of preference; empty: no budget paces it.
	Accounts []core.AccountID `json:"accounts,omitempty"`
	// Always says that every start asks the registry (imagePullPolicy Always).
	Always bool `json:"always,omitempty"`
}

// Waves limits how many nodes, zones or egress groups pull for one group at once.
type Waves struct {
	// By is "Node", "Zone" or "Egress".
	By string `json:"by,omitempty"`
	// Size is how many of them may pull at once; 0: the budget decides.
	Size int `json:"size,omitempty"`
	// Canary is how many pods of a revision must be past their pulls before the
	// others follow; 0: none.
	Canary int `json:"canary,omitempty"`
}

// Group is what pods alike share. Pods that we did not hold belong to groups
// too: their pulls are counted.
type Group struct {
	ID        core.GroupID `json:"id"`
	Namespace string       `json:"namespace"`
	// Workload is "Kind/namespace/name" of the owner a person knows.
	Workload string     `json:"workload"`
	Revision string     `json:"revision,omitempty"`
	Class    core.Class `json:"class"`
	// Weight is the share of its namespace among namespaces of the class; 0 is 1.
	Weight int  `json:"weight,omitempty"`
	Lane   Lane `json:"lane,omitempty"`
	// Whole says that its held pods go together or not at all: they are the pods of
	// one suspended Job. No wave bounds them.
	Whole bool `json:"whole,omitempty"`
	// Pinned says that each of its pods can only go to the node that it names, and is
	// priced there: they are nodes that are held, with the images that such a node pulls.
	// Which of them go is decided, and said by Release.Pods. Pool names those nodes.
	Pinned bool `json:"pinned,omitempty"`
	// Images are the distinct images of a pod, init containers first.
	Images []ImageUse  `json:"images"`
	Pool   core.PoolID `json:"pool"`
	// Room is what its pool takes of its pods; nil: not known, as if there were enough.
	// Size is what one of them asks for; pods of no size are all alike.
	Room *Room `json:"room,omitempty"`
	Size Size  `json:"size,omitzero"`
	// Back are images that a rollback of the group's rollout, while it is under
	// way, would run instead; what they lack is kept free for it.
	Back []ImageUse `json:"back,omitempty"`
	// More is how many pods of this revision are still to be created.
	More  int   `json:"more,omitempty"`
	Waves Waves `json:"waves,omitzero"`
	// Paused holds the group until it is cleared.
	Paused bool `json:"paused,omitempty"`
	// PauseOn says when failing pulls pause the revision.
	PauseOn feedback.Threshold `json:"pauseOn,omitzero"`
	// Resumed is when a person last ordered to go on: what failed before counts no
	// more against the revision.
	Resumed time.Time `json:"resumed,omitzero"`
}

// PodPhase is how far a pod is from needing no more pulls.
type PodPhase string

// The phases. A pod may skip any of them.
const (
	// Gated: our gate is on.
	PodGated PodPhase = "Gated"
	// Unbound: no gate of ours (or never one), no node yet.
	PodUnbound PodPhase = "Unbound"
	// Unschedulable: as Unbound, and the scheduler found no node.
	PodUnschedulable PodPhase = "Unschedulable"
	// Bound: on a node, and may still need pulls.
	PodBound PodPhase = "Bound"
	// Pulled: on a node and needs no more pulls.
	PodPulled PodPhase = "Pulled"
)

// Pod is one pod.
type Pod struct {
	ID      core.PodID   `json:"id"`
	Group   core.GroupID `json:"group"`
	Phase   PodPhase     `json:"phase"`
	Created time.Time    `json:"created"`
	// Node is where it is bound, or the one node it can only go to.
	Node core.NodeID `json:"node,omitempty"`
	// HoldUntil bounds the hold of a gated pod; zero: no bound known.
	HoldUntil time.Time `json:"holdUntil,omitzero"`
	// ReleasedAt is the time of its release mark; zero: it was never held by us.
	ReleasedAt time.Time `json:"releasedAt,omitzero"`
	// Started are the images of its containers that have started on Node.
	Started []core.Image `json:"started,omitempty"`
	// ForeignGate says that another owner's gate is on it.
	ForeignGate bool `json:"foreignGate,omitempty"`
}

// ImageShape is what one free HEAD tells of an image.
type ImageShape struct {
	Image core.Image `json:"image"`
	// Manifests is how many manifest GETs a cold pull sends: 1 single-arch, 2 index.
	Manifests int `json:"manifests"`
}

// Reading is what one probe of an account brought.
type Reading struct {
	Account core.AccountID `json:"account"`
	quota.Observation
}

// PullFailed says that an attempt of a pod to pull an image failed, and of what. It is
// an upsert by pod, image and At: the same again changes nothing, a later At is another
// attempt. What it says of the pod stands until the image starts there, the pod is past
// its pulls or gone; nobody has to take it back.
type PullFailed struct {
	Pod   core.PodID `json:"pod"`
	Image core.Image `json:"image"`
	// Account is what the pull draws on where the pod is; empty: none that is paced.
	Account core.AccountID `json:"account,omitempty"`
	// At is when the attempt was seen to have failed.
	At time.Time `json:"at"`
	feedback.Failure
}

// Override is a person's order to let go: of one pod or of a whole group.
type Override struct {
	Pod   core.PodID   `json:"pod,omitempty"`
	Group core.GroupID `json:"group,omitempty"`
	// Now asks for all at once; otherwise pods go one at each refill, and none after a
	// 429 until there are units.
	Now bool `json:"now,omitempty"`
}

// Booking books the release of one pod under a decision.
type Booking struct {
	Pod      core.PodID `json:"pod"`
	Decision string     `json:"decision"`
}
