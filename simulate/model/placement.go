package model

// board is the nodes as the scheduler sees them for one workload: a heap of them
// for each zone, by how many pods of the workload they have. An entry is stale if
// its node has another number by now or no room, and is dropped when it comes to
// the top; whoever changes a number or gives room puts a new one in.
type board struct {
	built   bool
	full    bool // no node had room when last looked
	hungry  bool // some of its pods wait for room
	waiting ring
	counts  []int32 // pods of the workload by node
	zones   []int32 // and by zone
	heaps   [][]uint64
}

func entry(count, n int32) uint64 { return uint64(count)<<32 | uint64(uint32(n)) }

// build enters all nodes that have room, in their order, which makes heaps of them.
func (b *board) build(w *World, id WorkloadID) {
	b.built = true
	b.counts = make([]int32, len(w.nodes))
	b.zones = make([]int32, w.zoneCount)
	b.heaps = make([][]uint64, w.zoneCount)
	for n := range w.nodes {
		if nd := &w.nodes[n]; nd.room > 0 && w.workloads[id].allows(nd.pool) {
			b.heaps[nd.zone] = append(b.heaps[nd.zone], entry(0, int32(n)))
		}
	}
}

// best is the node for the next pod, None if no node has room.
func (b *board) best(w *World) int32 {
	var least uint64
	best := int32(None)
	for z := range b.heaps {
		b.heaps[z] = b.clean(w, b.heaps[z])
		if h := b.heaps[z]; len(h) > 0 {
			if best == None || b.zones[z] < b.zones[best] || b.zones[z] == b.zones[best] && h[0] < least {
				best, least = int32(z), h[0]
			}
		}
	}
	if best == None {
		return None
	}
	return int32(uint32(least))
}

// clean drops entries from the top of a heap until one holds.
func (b *board) clean(w *World, h []uint64) []uint64 {
	for len(h) > 0 {
		n := int32(uint32(h[0]))
		if b.counts[n] == int32(h[0]>>32) && w.nodes[n].room > 0 {
			break
		}
		last := len(h) - 1
		h[0] = h[last]
		h = h[:last]
		down(h)
	}
	return h
}

// bestOf is best among given nodes.
func (b *board) bestOf(w *World, id WorkloadID, nodes []NodeID) int32 {
	best := int32(None)
	var bestZone int32
	var least uint64
	for _, n := range nodes {
		nd := &w.nodes[n]
		if nd.room <= 0 || !w.workloads[id].allows(nd.pool) {
			continue
		}
		zone, e := b.zones[nd.zone], entry(b.count(int32(n)), int32(n))
		if best == None || zone < bestZone || zone == bestZone && e < least {
			best, bestZone, least = int32(n), zone, e
		}
	}
	return best
}

func (b *board) count(n int32) int32 {
	if int(n) < len(b.counts) {
		return b.counts[n]
	}
	return 0
}

// occupy notes a pod more on a node, before its room is taken.
func (b *board) occupy(w *World, n int32) {
	b.reach(n)
	b.counts[n]++
	zone := w.nodes[n].zone
	b.zones[zone]++
	if h := b.heaps[zone]; len(h) > 0 && int32(uint32(h[0])) == n {
		h[0] = entry(b.counts[n], n)
		down(h)
		return
	}
	b.push(w, n)
}

// leave notes a pod less on a node.
func (b *board) leave(w *World, n int32) {
	b.counts[n]--
	b.zones[w.nodes[n].zone]--
}

func (b *board) reach(n int32) {
	for int(n) >= len(b.counts) {
		b.counts = append(b.counts, 0)
	}
}

// push enters a node with its present number.
func (b *board) push(w *World, n int32) {
	b.reach(n)
	zone := w.nodes[n].zone
	h := append(b.heaps[zone], entry(b.counts[n], n))
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if h[parent] <= h[i] {
			break
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
	b.heaps[zone] = h
}

// down moves the top of a heap to its place.
func down(h []uint64) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if h[i] <= h[child] {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
