package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// pool is what the nodes of a pool have in common.
type pool struct {
	cluster int32
	egress  EgressID
	zones   []int32 // by name over all pools
	nic     float64 // bytes per second, 0 is unlimited
	room    int32
	cold    bool
	warm    []int32

	serial     bool
	parallel   int32 // 0 is no bound
	qps        pace
	crio       bool
	sends      uint8
	slots      int32 // 0 is no bound
	unpack     float64
	sandbox    times
	start      times
	daemonSets []int32 // images
	scaler     int32   // None without autoscaler

	size    int32 // nodes that stand
	made    int32 // nodes that ever stood: the number of the next
	booting int32
	held    int32 // nodes that stand and take no pods yet
	// free is how many pods the nodes take still, open how many nodes take some.
	free, open int32
	oldest     []int32 // nodes in order of age, for those that go
}

// node is a machine: its room, its kubelet's queue and its runtime's slots.
type node struct {
	pool    PoolID
	zone    int32
	address AddressID
	room    int32 // pods of workloads that it takes still
	// joined is when it came, negative before the start; idle says that no pod of
	// a workload was Ready on it yet.
	joined kernel.Time
	gone   bool
	idle   bool
	held   bool // by the pacer: no pod goes to it
	// tick is where in a second its kubelet looks at its queue of pods.
	tick kernel.Time
	qps  pace

	pods    int32 // head of the list of its pods
	head    int32 // the kubelet's queue of pods that wait to pull
	tail    int32
	pulling int32 // pulls that the kubelet has under way
	failing int32 // pods that back off
	// pulls heads the list of pulls under way; waiting and last are the queue of those
	// that wait for a download slot.
	pulls         int32
	waiting, last int32
	// busy and filling: the queue, the slots are being served further up the stack.
	busy, filling bool
	slots         int32 // downloads under way
	rtt           kernel.Stream
}

func (w *World) newPool(s *scenario.NodePool, names *names) pool {
	p := pool{cluster: names.cluster[s.Cluster], egress: EgressID(names.egress[s.Egress]), nic: s.NIC.BytesPerSecond(), room: int32(s.PodsPerNode), cold: s.Cold,
		serial: s.Kubelet.SerializeImagePulls, parallel: int32(s.Kubelet.MaxParallelImagePulls),
		qps:  newPace(float64(s.Kubelet.RegistryPullQPS), s.Kubelet.RegistryBurst),
		crio: s.Runtime.Type == scenario.CRIO, sends: uint8(min(max(s.Runtime.AttemptsOn429, 1), 255)),
		slots: int32(s.Runtime.MaxConcurrentDownloads), unpack: s.Runtime.Unpack.BytesPerSecond(),
		sandbox: newTimes(s.Runtime.Sandbox), start: newTimes(s.Runtime.Start), scaler: None}
	for _, zone := range s.Zones {
		p.zones = append(p.zones, names.zone(zone))
	}
	if len(p.zones) == 0 {
		p.zones = []int32{names.zone("")}
	}
	for _, name := range s.Warm {
		p.warm = append(p.warm, names.image[name])
	}
	for _, name := range s.DaemonSets {
		p.daemonSets = append(p.daemonSets, names.image[name])
	}
	return p
}

// addNode makes a node of a pool, with nothing on it but what the pool bakes in.
func (w *World) addNode(id PoolID) int32 {
	p := &w.pools[id]
	i := int32(len(w.nodes))
	w.nodes = append(w.nodes, node{
		pool: id, zone: p.zones[int(p.made)%len(p.zones)], address: w.egresses[p.egress].address(p.made),
		joined: w.now, idle: true, tick: kernel.Time(w.dice(rollTick, uint64(i)).rollOne() * float64(time.Second)), qps: p.qps,
		pods: None, head: None, tail: None, pulls: None, waiting: None, last: None,
	})
	if w.drawsRTT {
		w.nodes[i].rtt = w.streams.Stream(uint64(i), "rtt")
	}
	w.makeRoom(&w.nodes[i], p.room)
	p.made++
	p.size++
	p.oldest = append(p.oldest, i)
	w.caches.grow()
	for _, image := range p.warm {
		w.preload(i, image)
	}
	return i
}

// preload puts an image on a node, as it was there before the start.
func (w *World) preload(n, image int32) {
	w.caches.put(n, cacheWhole, image)
	w.caches.put(n, cacheIndex, image)
	w.caches.put(n, cacheManifest, image)
	for _, layer := range w.images[image].layers {
		w.caches.put(n, cacheLayers, layer)
	}
}

// makeRoom gives a node room for more pods, or takes some.
func (w *World) makeRoom(n *node, pods int32) {
	p := &w.pools[n.pool]
	if n.room == 0 && pods > 0 {
		p.open++
	}
	n.room += pods
	p.free += pods
	if n.room == 0 && pods < 0 {
		p.open--
	}
}

// join adds a node in the run: cold, its DaemonSets' pods first, unless it is held.
func (w *World) join(id PoolID) {
	n := w.addNode(id)
	w.record(recNode, n, int64(id))
	gate, gates := w.pacer.(NodeGate)
	held := gates && !w.lost && gate.GateNode(NodeID(n))
	if held {
		nd := &w.nodes[n]
		nd.held = true
		w.pools[id].held++
		w.makeRoom(nd, -nd.room)
	}
	w.observe(Event{Kind: NodeAdded, Node: NodeID(n)})
	if !held {
		w.takesPods(n)
	}
}

// unhold has a held node take pods.
func (w *World) unhold(n int32) {
	nd := &w.nodes[n]
	if !nd.held {
		return
	}
	nd.held = false
	w.pools[nd.pool].held--
	w.makeRoom(nd, w.pools[nd.pool].room)
	w.record(recLetGo, n, 0)
	w.takesPods(n)
}

// takesPods has the pods of DaemonSets and the scheduler's come to a node.
func (w *World) takesPods(n int32) {
	w.serveNode(n)
	w.planes[w.pools[w.nodes[n].pool].cluster].scheduler.offer(w, n)
}

// serveNode puts the pods of DaemonSets on a node.
func (w *World) serveNode(n int32) {
	p := &w.pools[w.nodes[n].pool]
	for _, image := range p.daemonSets {
		w.daemonPod(n, image)
	}
	for id := range w.workloads {
		l := &w.workloads[id]
		if l.kind == scenario.DaemonSet && l.allows(w.nodes[n].pool) {
			w.daemonWorkloadPod(WorkloadID(id), n)
		}
	}
}

// leave takes a node away with its pods.
func (w *World) leave(n int32) {
	nd := &w.nodes[n]
	nd.gone = true
	if nd.held {
		nd.held = false
		w.pools[nd.pool].held--
	}
	w.makeRoom(nd, -nd.room)
	w.pools[nd.pool].size--
	w.stopIdle(nd)
	for nd.pods != None {
		w.deletePod(PodID(nd.pods))
	}
	w.record(recGone, n, 0)
	w.observe(Event{Kind: NodeGone, Node: NodeID(n)})
}

// stopIdle ends the time in which an added node had no pod Ready.
func (w *World) stopIdle(n *node) {
	if n.idle && n.joined >= 0 {
		w.out.IdleNode += w.now.Sub(n.joined)
	}
	n.idle = false
}
