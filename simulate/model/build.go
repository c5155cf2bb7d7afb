package model

import (
	"slices"
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// image is what a registry serves.
type image struct {
	registry  RegistryID
	manifests int32
	layers    []int32
}

// names find what the scenario calls by name; in a run everything is an index.
type names struct {
	registry, egress, mirror, pool, image, workload, cluster, zones map[string]int32
}

func index[T any](list []T, name func(*T) string) map[string]int32 {
	out := make(map[string]int32, len(list))
	for i := range list {
		out[name(&list[i])] = int32(i)
	}
	return out
}

func newNames(s *scenario.Spec) names {
	return names{
		registry: index(s.Registries, func(x *scenario.Registry) string { return x.Name }),
		egress:   index(s.Egress, func(x *scenario.Egress) string { return x.Name }),
		mirror:   index(s.Mirrors, func(x *scenario.Mirror) string { return x.Name }),
		pool:     index(s.NodePools, func(x *scenario.NodePool) string { return x.Name }),
		image:    index(s.Images, func(x *scenario.Image) string { return x.Name }),
		workload: index(s.Workloads, func(x *scenario.Workload) string { return x.Name }),
		cluster:  index(s.Clusters, func(x *string) string { return *x }),
		zones:    map[string]int32{},
	}
}

// zone is the number of a zone, the same in all pools.
func (n *names) zone(name string) int32 {
	i, ok := n.zones[name]
	if !ok {
		i = int32(len(n.zones))
		n.zones[name] = i
	}
	return i
}

func (n *names) egresses(list scenario.Names) []int32 {
	out := make([]int32, len(list))
	for i, name := range list {
		out[i] = n.egress[name]
	}
	return out
}

func newWorld(spec *scenario.Spec, replication int, pacer Pacer) *World {
	w := &World{
		spec: spec, pacer: pacer, names: newNames(spec), horizon: kernel.Time(spec.Horizon),
		streams: kernel.Streams{Seed: spec.Seed, Replication: replication},
		queue:   kernel.NewQueue(1024), digest: kernel.NewDigest(), freePulls: None, freeLoads: None, begun: map[place]kernel.Time{},
		planes: newPlanes(spec),
	}
	looks := w.streams.Stream(0, "kubelets")
	w.looks = looks.Uint64()
	for i := range w.planes {
		w.planes[i].probes = w.streams.Stream(uint64(i), "probes")
	}
	for i := range spec.Egress {
		w.addEgress(&spec.Egress[i])
	}
	for i := range spec.Registries {
		w.registries = append(w.registries, newRegistry(&spec.Registries[i], len(w.addresses)))
	}
	w.addImages()
	for i := range spec.Mirrors {
		m := &spec.Mirrors[i]
		w.mirrors = append(w.mirrors, w.newMirror(m, &w.names))
		for _, name := range m.For {
			r := &w.registries[w.names.registry[name]]
			r.mirrors = append(r.mirrors, int32(i))
		}
	}
	for i := range w.registries {
		w.drawsRTT = w.drawsRTT || !w.registries[i].rtt.constant
	}
	for i := range w.mirrors {
		w.drawsRTT = w.drawsRTT || !w.mirrors[i].rtt.constant
	}
	w.newLinks()
	w.reserve()
	w.addPools()
	w.addWorkloads()
	w.series = w.newRecorder()
	w.out.FirstPullStart, w.out.LastPullStart = -1, -1
	for range spec.Clusters {
		w.out.Clusters = append(w.out.Clusters, ClusterOutcome{LastPullStart: -1})
	}
	return w
}

// reserve makes room for the pods that there will be at least.
func (w *World) reserve() {
	pods, nodes := 0, 0
	for i := range w.spec.Workloads {
		most := w.spec.Workloads[i].Replicas
		for _, e := range w.spec.Timeline {
			if e.Scale != nil && e.Scale.Workload == w.spec.Workloads[i].Name {
				most = max(most, e.Scale.Replicas)
			}
		}
		pods += most
	}
	for i := range w.spec.NodePools {
		nodes += w.spec.NodePools[i].Nodes
	}
	w.pods = make([]pod, 0, pods)
	w.nodes = make([]node, 0, nodes)
	w.caches.bits = make([]uint64, 0, nodes*w.caches.stride())
	w.out.ReadyAfter = make([]time.Duration, 0, pods)
	w.out.ReadyAt = make([]time.Duration, 0, pods)
}

func (w *World) addImages() {
	layers := map[string]int32{}
	for i := range w.spec.Images {
		s := &w.spec.Images[i]
		im := image{registry: RegistryID(w.names.registry[s.Registry]), manifests: 1}
		if s.MultiArch {
			im.manifests = 2
		}
		for _, l := range s.Layers {
			id, ok := layers[l.Digest]
			if !ok {
				id = int32(len(w.layers))
				layers[l.Digest] = id
				w.layers = append(w.layers, int64(l.Size))
			}
			if !slices.Contains(im.layers, id) { // as empty layers are, it is had once
				im.layers = append(im.layers, id)
			}
		}
		w.images = append(w.images, im)
	}
	w.caches = newCaches(len(w.images), len(w.layers))
}

func (w *World) addPools() {
	for i := range w.spec.NodePools {
		s := &w.spec.NodePools[i]
		p := w.newPool(s, &w.names)
		if s.Autoscaler != nil {
			p.scaler = int32(len(w.scalers))
			w.scalers = append(w.scalers, w.newScaler(PoolID(i), s.Autoscaler))
		}
		w.pools = append(w.pools, p)
	}
	w.zoneCount = int32(len(w.names.zones))
	w.now = -1 // before the start
	for i := range w.pools {
		for range w.spec.NodePools[i].Nodes {
			n := w.addNode(PoolID(i))
			if !w.pools[i].cold {
				for _, image := range w.pools[i].daemonSets {
					w.preload(n, image)
				}
			}
		}
	}
	w.now = 0
}

func (w *World) addWorkloads() {
	for i := range w.spec.Workloads {
		s := &w.spec.Workloads[i]
		l := workload{kind: s.Kind, startup: newTimes(s.Startup), surge: s.Strategy.MaxSurge, missing: s.Strategy.MaxUnavailable, replicas: int32(s.Replicas)}
		if s.ImagePullPolicy == scenario.Always {
			l.flags |= podAlways
		}
		if s.Kind == scenario.DaemonSet {
			l.flags |= podDaemon
		}
		l.cluster = w.names.cluster[s.Cluster]
		l.pools = w.poolsFor(s)
		names := s.Images
		if len(names) == 0 {
			names = []string{s.Image}
		}
		images := make([]int32, len(names))
		for j, name := range names {
			images[j] = w.names.image[name]
		}
		if s.Kind == scenario.Rollout {
			l.canary = newCanary(s)
		}
		w.workloads = append(w.workloads, l)
		first := w.addSet(WorkloadID(i), images)
		w.workloads[i].current, w.workloads[i].last = first, first
	}
	for i := range w.planes {
		w.planes[i].scheduler.boards = make([]board, len(w.workloads))
	}
}

// poolsFor are the pools whose nodes a workload may use; nil is all.
func (w *World) poolsFor(s *scenario.Workload) []bool {
	if len(s.NodePools) == 0 && len(w.planes) == 1 {
		return nil
	}
	pools := make([]bool, len(w.pools))
	for i := range w.pools {
		pools[i] = len(s.NodePools) == 0 && w.spec.NodePools[i].Cluster == s.Cluster
	}
	for _, name := range s.NodePools {
		pools[w.names.pool[name]] = true
	}
	return pools
}

// begin makes the world as it is before time zero, and puts what will happen into
// the queue: faults first, then the pods that are pending at zero, then the
// timeline.
func (w *World) begin() {
	for i := range w.workloads {
		if !w.spec.Workloads[i].Cold {
			w.settleIn(WorkloadID(i))
		}
	}
	if w.pacer != nil {
		w.pacer.Begin(w)
	}
	for i := range w.spec.Faults {
		w.ahead++
		w.queue.Push(kernel.Time(w.spec.Faults[i].At), dueFault, i)
	}
	w.ahead++
	w.queue.Push(0, dueStart, 0)
	for i := range w.spec.Timeline {
		w.ahead++
		w.queue.Push(kernel.Time(w.spec.Timeline[i].At), dueTimeline, i)
	}
	for r := range w.registries {
		for e := range w.egresses {
			if f, ok := w.newForeign(RegistryID(r), EgressID(e), w.spec.Egress[e].Foreign); ok {
				w.foreigns = append(w.foreigns, f)
				w.queue.Push(f.next(), dueForeign, len(w.foreigns)-1)
			}
		}
	}
}

// settleIn makes the pods of a workload that run before the start.
func (w *World) settleIn(id WorkloadID) {
	l := &w.workloads[id]
	w.now = -1
	defer func() { w.now = 0 }()
	if l.canary != nil {
		l.canary.stable, w.sets[l.current].want = l.current, l.replicas
	}
	if l.kind == scenario.DaemonSet {
		for n := range w.nodes {
			if l.allows(w.nodes[n].pool) && !w.pools[w.nodes[n].pool].cold {
				w.runsAlready(w.newPod(l.current), int32(n))
			}
		}
		return
	}
	for range l.replicas {
		n := w.schedulerOf(id).place(w, id, None)
		if n == None {
			return // dueStart has the rest created
		}
		w.schedulerOf(id).boards[id].occupy(w, n)
		w.makeRoom(&w.nodes[n], -1)
		w.runsAlready(w.newPod(l.current), n)
	}
}

// runsAlready makes a pod Ready on a node that holds its images, unless the pool's
// caches are empty at the start.
func (w *World) runsAlready(id PodID, n int32) {
	p := &w.pods[id]
	s := &w.sets[p.set]
	w.put(id, n)
	p = &w.pods[id]
	p.phase = PodRunning
	p.step = uint8(len(s.images))
	w.open--
	s.pending.remove(w, id)
	s.ready.add(w, id)
	w.nodes[n].idle = false
	if w.pools[w.nodes[n].pool].cold {
		return
	}
	for _, image := range s.images {
		w.preload(n, image)
	}
}

// start creates what is pending at zero: the pods of DaemonSets on cold pools,
// cold workloads, and what found no room before.
func (w *World) start() {
	for n := range w.nodes {
		if w.pools[w.nodes[n].pool].cold {
			w.serveNode(int32(n))
		}
	}
	for i := range w.workloads {
		l := &w.workloads[i]
		if l.kind == scenario.DaemonSet {
			if w.spec.Workloads[i].Cold {
				for n := range w.nodes {
					if l.allows(w.nodes[n].pool) && !w.pools[w.nodes[n].pool].cold {
						w.daemonWorkloadPod(WorkloadID(i), int32(n))
					}
				}
			}
			continue
		}
		for w.sets[l.current].total() < l.replicas {
			w.createPod(l.current)
		}
	}
}

// outcome is what a run came to.
func (w *World) outcome() *Outcome {
	o := &w.out
	o.End = time.Duration(w.now)
	for i := range w.pods {
		p := &w.pods[i]
		if p.created >= 0 && p.flags&podDaemon == 0 && p.phase != PodRunning && p.phase != PodDeleted {
			o.Unfinished++
			if o.Clusters != nil {
				o.Clusters[w.workloads[w.sets[p.set].workload].cluster].Unfinished++
			}
		}
	}
	w.countUnmade()
	for i := range w.nodes {
		w.stopIdle(&w.nodes[i])
	}
	for i := range w.registries {
		for j := range w.registries[i].limiters {
			l := &w.registries[i].limiters[j]
			o.Due = append(o.Due, Due{Registry: RegistryID(i), Limiter: j, Units: l.due})
			if j == 0 {
				o.UnitsCharged += l.charged
			}
		}
	}
	o.Series = w.series.end(w)
	slices.Sort(o.ReadyAfter)
	o.Events = w.events
	o.Digest = w.digest.Sum()
	return o
}
