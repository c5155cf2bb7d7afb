package engine

// name is what pods call their group or node by. It finds the one that has the name at
// present in one step, where a name of its own in each pod takes memory and a search.
type name[K ~string, T any] struct {
	id K
	is *T // nil: not seen yet, or gone
	// pods are how many use it: a name may come and go before and after what it is of.
	pods int
}

// of is what a name is of at present; of no name it is nothing.
func (n *name[K, T]) of() *T {
	if n == nil {
		return nil
	}
	return n.is
}

// names are those that are in use, or of something that is there.
type names[K ~string, T any] map[K]*name[K, T]

// give makes a name be of something, or with nil of nothing any more.
func (n names[K, T]) give(id K, is *T) {
	x := n.named(id)
	x.is = is
	n.tidy(x)
}

func (n names[K, T]) named(id K) *name[K, T] {
	known := n[id]
	if known == nil {
		known = &name[K, T]{id: id}
		n[id] = known
	}
	return known
}

// swap is the name that a pod goes by from now on, in place of another. likely is one
// that it may be, as pods come many of a group at a time; nil: nobody knows.
func (n names[K, T]) swap(old *name[K, T], id K, likely *name[K, T]) *name[K, T] {
	if old != nil && old.id == id {
		return old
	}
	next := likely
	if likely == nil || likely.id != id || likely.tidied() {
		next = n.named(id)
	}
	next.pods++
	n.leave(old)
	return next
}

// leave notes that a pod uses a name no more.
func (n names[K, T]) leave(old *name[K, T]) {
	if old != nil {
		old.pods--
		n.tidy(old)
	}
}

// tidy forgets a name that nobody uses and that is of nothing.
func (n names[K, T]) tidy(x *name[K, T]) {
	if x.tidied() {
		delete(n, x.id)
	}
}

// tidied reports whether a name is forgotten.
func (n *name[K, T]) tidied() bool { return n.pods == 0 && n.is == nil }
