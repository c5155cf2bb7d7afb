package model

import "github.com/pullpace/pace/simulate/kernel"

// stage is which answer a pull waits for. Containerd asks HEAD, is told 401, gets a
// token, asks HEAD again, and then gets what it lacks. CRI-O gets the first
// manifest instead of the second HEAD, also for an image that is there.
type stage uint8

const (
	stageResolve stage = iota // all that comes before the first GET, where none of it can be refused
	stageHead
	stageToken
	stageHeadAgain
	stageFirst  // GET of the first manifest
	stageMore   // GET of the platform's manifest, behind an index
	stageConfig // GET of the config
	stageLayers
	stageJoined // waits for a pull of the same image on the node
)

// pull is one call of the kubelet to the runtime.
type pull struct {
	pod   PodID
	node  int32
	image int32
	// next links pulls that are free, joined to another, or wait for slots; sibling those of
	// a node.
	next, sibling int32
	joined        int32 // head of those that joined this one
	mirror        int32 // whom it asks; None is the registry
	stage         stage
	sends         uint8 // of the request that it waits for
	verdict       verdict
	failed        Cause
	account       AddressID
	holds         bool // a unit of a limit of concurrency that counts pulls
	waits         bool // in the node's queue for slots
	started       kernel.Time
	timer         kernel.Ticket
	layers        []layerState
	asked         int32 // layers before it were asked for or are there
	unpacked      int32 // layers before it are unpacked
	unpacking     bool
	loading       int32 // downloads under way
	requests      int64
}

// layerState is how far a layer of a pull is.
type layerState uint8

const (
	layerWanted layerState = iota
	layerElsewhere
	layerLoading
	layerLoaded
	layerThere // before the pull
)

// place is an image on a node.
type place struct{ node, image int32 }

func placeOf(p *pull) place { return place{p.node, p.image} }

func (w *World) newPull() int32 {
	if i := w.freePulls; i != None {
		w.freePulls = w.pulls[i].next
		return i
	}
	w.pulls = append(w.pulls, pull{})
	return int32(len(w.pulls) - 1)
}

// freePull takes a pull off its node.
func (w *World) freePull(i int32) {
	p := &w.pulls[i]
	w.series.inFlight--
	at := &w.nodes[p.node].pulls
	for *at != i {
		at = &w.pulls[*at].sibling
	}
	*at = p.sibling
	p.timer = kernel.NoTicket
	p.next = w.freePulls
	w.freePulls = i
}
