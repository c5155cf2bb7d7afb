package plan

// Standing is how a pool and its cluster stand when one more node might be held.
type Standing struct {
	// Pool is how many nodes the pool has, that one included, Held how many of the others
	// are held.
	Pool, Held int
	// Others is how many other nodes of the cluster take pods.
	Others int
}

// leastOpen is how many nodes of a cluster take pods whatever is held, so that what
// holds and what a node needs to become ready always has a place.
const leastOpen = 2

// MayHold reports whether the node may be held: never the last nodes that take pods, and
// never more than half of a pool.
func (s Standing) MayHold() bool {
	return s.Others >= leastOpen && 2*(s.Held+1) <= s.Pool
}
