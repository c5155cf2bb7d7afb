package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// statusLag is how late a node's own list of images may be: the kubelet renews
// it every 30 s and reports every 10 s.
const statusLag = 40 * time.Second

// node is a Node and what is believed of its cache.
type node struct {
	Node
	index int
	// listed is what the node says it has, sorted; believed is what was seen to start
	// or arrive there since its last boot.
	listed   []core.Image
	believed []sight
	// gained are images that came into its list since it is watched, by no pull that was
	// seen: it may have been one of a pod that nobody saw there yet.
	gained []sight
	pulls  []*pull
	first  [1]*pull // most have one at a time
	// trouble is set while failures are put down to the node.
	trouble *feedback.Breaker
}

// sight is an image that was seen on a node, and when last.
type sight struct {
	image core.Image
	at    time.Time
}

func (n *node) lists(image core.Image) bool {
	_, found := slices.BinarySearch(n.listed, image)
	return found
}

// sightOf is where an image is among those believed; -1: it is not.
func (n *node) sightOf(image core.Image) int {
	return slices.IndexFunc(n.believed, func(s sight) bool { return s.image == image })
}

// fleet is all nodes and, as sets of node indices, where each image is.
type fleet struct {
	names   names[core.NodeID, node]
	byIndex []*node
	free    []int
	present map[core.Image]*bitset
	alive   bitset
	// gained are the nodes that gained an image of late; swept is when older ones were last
	// taken out.
	gained map[core.Image]map[*node]bool
	swept  time.Time
	// getting are the nodes whose runtime asks by GET for images that it has.
	getting bitset
	egress  map[string]*bitset
	// edition is how often an image came to its first node or left its last.
	edition int
}

func newFleet() fleet {
	return fleet{names: names[core.NodeID, node]{}, present: map[core.Image]*bitset{}, gained: map[core.Image]map[*node]bool{}, egress: map[string]*bitset{}}
}

// find is the node of a name; nil if there is none.
func (f *fleet) find(id core.NodeID) *node { return f.names[id].of() }

// size is how many nodes there are.
func (f *fleet) size() int { return len(f.byIndex) - len(f.free) }

// reserve makes room for the nodes of a world.
func (f *fleet) reserve(events []Event) {
	nodes := 0
	for i := range events {
		if events[i].Node != nil {
			nodes++
		}
	}
	f.names, f.byIndex = make(names[core.NodeID, node], nodes), make([]*node, 0, nodes)
}

// upsert takes in what a node says now; of a world that is given at once nobody knows
// since when its nodes have what they list.
func (f *fleet) upsert(now time.Time, n Node, given bool) {
	known := f.find(n.ID)
	if known == nil {
		known = f.add(n)
	}
	if known.BootID != n.BootID || n.DiskPressure {
		f.forget(known, now, 0)
	} else if !n.Truncated && f.shorter(known, n.Images) {
		f.forget(known, now, statusLag)
	}
	f.setEgress(known, n.Egress)
	known.Node = n
	known.Images = nil // kept as a set
	if !slices.Equal(known.listed, n.Images) {
		before := known.listed
		f.setListed(known, n.Images)
		if !given {
			f.gain(now, known, before)
		}
	}
	if n.AlwaysCosts {
		f.getting.add(known.index)
	} else {
		f.getting.remove(known.index)
	}
}

func (f *fleet) add(n Node) *node {
	index := len(f.byIndex)
	if last := len(f.free) - 1; last >= 0 {
		index = f.free[last]
		f.free = f.free[:last]
	} else {
		f.byIndex = append(f.byIndex, nil)
	}
	known := &node{Node: Node{ID: n.ID, BootID: n.BootID}, index: index}
	known.pulls = known.first[:0]
	f.byIndex[index] = known
	f.names.give(n.ID, known)
	f.alive.add(index)
	f.egressSet("").add(index)
	return known
}

// drop forgets a node.
func (f *fleet) drop(id core.NodeID) {
	n := f.find(id)
	if n == nil {
		return
	}
	f.forget(n, time.Time{}, 0)
	f.setListed(n, nil)
	f.alive.remove(n.index)
	f.getting.remove(n.index)
	for _, set := range f.egress {
		set.remove(n.index)
	}
	f.names.give(id, nil)
	f.byIndex[n.index] = nil
	f.free = append(f.free, n.index)
}

// shorter reports whether images left the node's list: it cleaned up, and may
// have dropped what it never listed.
func (f *fleet) shorter(n *node, images []core.Image) bool {
	if len(images) >= len(n.listed) {
		return false
	}
	kept := 0
	for _, image := range images {
		if n.lists(image) {
			kept++
		}
	}
	return kept < len(n.listed)
}

// forget drops beliefs older than age.
func (f *fleet) forget(n *node, now time.Time, age time.Duration) {
	var gone []core.Image
	n.believed = slices.DeleteFunc(n.believed, func(s sight) bool {
		old := age <= 0 || now.Sub(s.at) >= age
		if old {
			gone = append(gone, s.image)
		}
		return old
	})
	for _, image := range gone {
		f.mark(n, image)
	}
}

func (f *fleet) setListed(n *node, images []core.Image) {
	previous := n.listed
	n.listed = slices.Clone(images)
	slices.Sort(n.listed)
	n.listed = slices.Compact(n.listed)
	for _, image := range previous {
		f.mark(n, image)
	}
	for _, image := range n.listed {
		f.mark(n, image)
	}
}

// gain notes which images are listed that were not before, but for those that a pull
// brought or brings.
func (f *fleet) gain(now time.Time, n *node, before []core.Image) {
	f.sweep(now)
	n.gained = slices.DeleteFunc(n.gained, func(s sight) bool { return !n.lists(s.image) })
	for _, image := range n.listed {
		_, known := slices.BinarySearch(before, image)
		pulled := slices.ContainsFunc(n.pulls, func(p *pull) bool { return p.image == image })
		if !known && !pulled && n.sightOf(image) < 0 {
			n.account(image)
			n.gained = append(n.gained, sight{image, now})
			if f.gained[image] == nil {
				f.gained[image] = map[*node]bool{}
			}
			f.gained[image][n] = true
		}
	}
}

// account notes that it is known how an image came to a node.
func (n *node) account(image core.Image) {
	n.gained = slices.DeleteFunc(n.gained, func(s sight) bool { return s.image == image })
}

// gainedSince reports whether an image came to a node after that by no pull that was seen.
func (n *node) gainedSince(image core.Image, since stamp) bool {
	return slices.ContainsFunc(n.gained, func(s sight) bool { return s.image == image && stampOf(s.at) > since })
}

// unseenFor is how long after a node gained an image the pod that pulled it may be unseen
// there: pods and nodes are watched apart. A node's list comes late itself, and no watch is
// expected to be later than that.
const unseenFor = statusLag

// sweep forgets which nodes gained an image so long ago that its pod was seen.
func (f *fleet) sweep(now time.Time) {
	if now.Sub(f.swept) < unseenFor {
		return
	}
	f.swept = now
	for image, nodes := range f.gained {
		maps.DeleteFunc(nodes, func(n *node, _ bool) bool { return !n.gainedSince(image, stampOf(now.Add(-unseenFor))) })
		if len(nodes) == 0 {
			delete(f.gained, image)
		}
	}
}

// newcomers is how many of some nodes gained an image after that by no pull that was seen.
func (f *fleet) newcomers(image core.Image, since stamp, among, and bitset) int {
	count := 0
	for n := range f.gained[image] {
		if f.byIndex[n.index] == n && among.has(n.index) && and.has(n.index) && n.gainedSince(image, since) {
			count++
		}
	}
	return count
}

// believe notes that an image was seen on a node.
func (f *fleet) believe(now time.Time, n *node, image core.Image) {
	n.account(image)
	if i := n.sightOf(image); i >= 0 {
		n.believed[i].at = now
		return
	}
	n.believed = append(n.believed, sight{image, now})
	f.mark(n, image)
}

// mark brings the set of an image up to date with what is known of one node.
func (f *fleet) mark(n *node, image core.Image) {
	set := f.present[image]
	if n.lists(image) || n.sightOf(image) >= 0 {
		if set == nil {
			set = &bitset{}
			f.present[image] = set
			f.edition++
		}
		set.add(n.index)
		return
	}
	if set != nil {
		set.remove(n.index)
		if !slices.ContainsFunc(*set, func(w uint64) bool { return w != 0 }) {
			delete(f.present, image)
			f.edition++
		}
	}
}

func (f *fleet) setEgress(n *node, egress string) {
	if n.Egress != "" {
		f.egressSet(n.Egress).remove(n.index)
	}
	if egress != "" {
		f.egressSet(egress).add(n.index)
	}
}

// egressSet is the nodes of an egress group; of "", every node.
func (f *fleet) egressSet(egress string) *bitset {
	set := f.egress[egress]
	if set == nil {
		set = &bitset{}
		f.egress[egress] = set
	}
	return set
}

// has is the set of nodes that need not ask for an image; nil when there is none.
func (f *fleet) has(use ImageUse) bitset {
	set := f.present[use.Image]
	if set == nil {
		return nil
	}
	if !use.Always || len(f.getting) == 0 {
		return *set
	}
	asked := make(bitset, len(*set))
	for w := range asked {
		asked[w] = (*set)[w] &^ f.getting.word(w)
	}
	return asked
}
