package model

import "time"

// Identifiers are dense: the index in the scenario's list of that name where there
// is one. Nodes count on from the initial ones, pool by pool; pods are numbered as
// they are created.
type (
	PodID      int32
	NodeID     int32
	WorkloadID int32
	ImageID    int32
	PoolID     int32
	EgressID   int32
	MirrorID   int32
	RegistryID int32
	// AddressID is one public address: those of the first egress come first.
	AddressID int32
)

// None is the identifier of nothing, in any of the types above.
const None = -1

// A Pacer decides when pods that it holds may go. A world without one (nil) is
// unpaced and pays nothing for it. The world calls it from within its events, one
// call at a time; all times are since the start. It may act on the world from every
// call: what it asks for takes effect after the call has returned.
type Pacer interface {
	// Begin is called once at time zero: the initial world stands, nothing was
	// charged. Initial nodes, and pods that run already, are read from the world and
	// not observed; pods pending at zero are then asked about by Gate as all others.
	Begin(w *World)
	// Gate says whether the pod that is being created is held by the gate.
	Gate(pod PodID) bool
	// Observe tells what happened. It is called very often: look at Kind first.
	Observe(e Event)
	// Answer brings what a probe that was asked for has learned.
	Answer(r Reading)
}

// A NodeGate is a Pacer that may hold nodes that join in the run.
type NodeGate interface {
	// GateNode says whether the node that joins is held: it takes no pods then, those of
	// DaemonSets neither, and is observed right after as added.
	GateNode(node NodeID) bool
}

// EventKind says what an Event is about.
type EventKind uint8

// The kinds of events and which fields beside Kind they set.
const (
	// NodeAdded: Node has joined, cold. Its DaemonSet pods begin to pull at once, unless
	// it is held.
	NodeAdded EventKind = iota
	// NodeGone: Node has left, its pods before it.
	NodeGone
	// NodeComing: an autoscaler asks for a node of Pool, which takes its time to come.
	NodeComing
	// NodePurged: images of Node were removed, by garbage collection or a fault.
	NodePurged
	// PodUnschedulable: no node has room for Pod.
	PodUnschedulable
	// PodBound: Pod was bound to Node. Gated pods never are.
	PodBound
	// PullBegan: the kubelet of Node attempts to pull Image for Pod. Here and in the two
	// that follow Pod is None for a pod of a DaemonSet; of such pods nothing else is told.
	PullBegan
	// PullFailed: that attempt failed because of Cause. It is told anew per attempt.
	PullFailed
	// PullFinished: Image is on Node as Pod needs it, be it that it was there already
	// (then without PullBegan).
	PullFinished
	// PullsDone: Pod has all its images and needs no more pulls.
	PullsDone
	// PodReady: Pod is Ready on Node.
	PodReady
	// PodGone: Pod was deleted.
	PodGone
	// WorkloadChanged: Workload was scaled or has another image (a new Revision).
	WorkloadChanged
	// TimerFired: the timer that was set with Timer is due.
	TimerFired
	// ControllerLost, ControllerBack: a restart of the controller begins (it forgets
	// all, and nothing that it asks for is done) and ends.
	ControllerLost
	ControllerBack
	// StepTaken: Workload, a Rollout, took a step, or its last.
	StepTaken
)

// Cause says why an attempt to pull failed.
type Cause uint8

// The causes.
const (
	// NoCause: it did not fail.
	NoCause Cause = iota
	// Throttled: the registry answered 429, as often as the runtime asked.
	Throttled
	// QPSExceeded: the kubelet's own registryPullQPS refused it; nothing was sent.
	QPSExceeded
	// Unavailable: the registry answered by 5xx, or the node left.
	Unavailable
	// TimedOut: the registry did not answer.
	TimedOut
	// WasReset: it closed the connection.
	WasReset
)

// Event is one thing that happened, now.
type Event struct {
	Kind     EventKind
	Cause    Cause
	Pod      PodID
	Node     NodeID
	Image    ImageID
	Workload WorkloadID
	Pool     PoolID
	// Timer is the number that was given to World.SetTimer.
	Timer int32
}

// Reading is the answer to a probe.
type Reading struct {
	Registry RegistryID
	Address  AddressID
	// Ref is the number that was given to World.Probe.
	Ref int32
	// SentAt is when the request left, At when its answer came.
	SentAt, At time.Duration
	// Status is the HTTP status; 0: no answer (timeout or reset).
	Status int
	// Known says that the answer carried the headers that follow, about the first
	// limiter of the registry that tells: units that one account may spend per
	// Window, and has left.
	Known            bool
	Limit, Remaining int64
	Window           time.Duration
}

// PodPhase is how far a pod has come.
type PodPhase uint8

// The phases, in their order.
const (
	PodGated   PodPhase = iota // held by the gate
	PodPending                 // without gate, on no node yet
	PodBinding                 // on a node, needs its image
	PodPulled                  // has its image, starts
	PodRunning                 // Ready
	PodDeleted
)

// Pod is what the API server knows of a pod.
type Pod struct {
	// Workload is None for pods of the pools' own DaemonSets.
	Workload WorkloadID
	// Revision is that of its workload that it runs, see World.Images.
	Revision int32
	// Daemon says that it belongs to a DaemonSet, of a pool or a workload.
	Daemon bool
	// Node is None until it is bound.
	Node NodeID
	// Created is negative for pods that ran before the start.
	Created time.Duration
	Phase   PodPhase
}

// Node is what the API server knows of a node besides its images.
type Node struct {
	Pool PoolID
	// Zone is a number by name over all pools.
	Zone   int32
	Egress EgressID
	// Address is the public address that its pulls should come from: of a collapse
	// of NATs nobody is told.
	Address AddressID
	// Held says that it takes no pods yet, Gone that it has left.
	Held, Gone bool
}

// Pool is what is known of a node pool.
type Pool struct {
	// Nodes are there, Held of them take no pods yet, Coming are asked for, and an
	// autoscaler may ask for More.
	Nodes, Held, Coming, More int
	// Places is how many more pods the nodes take, Open how many nodes take some.
	Places, Open int
}

// Workload is what the API server knows of a workload.
type Workload struct {
	// Revision is wanted; revisions are numbered by their lists of images, so that a
	// rollback returns to a number. Back is the one that a rollback would return to, the
	// same where there is none.
	Revision, Back int32
	// Replicas are wanted, Current are of this revision, More are still to be created
	// of it, and Rolling says that pods of another revision remain.
	Replicas, Current, More int
	Rolling                 bool
}
