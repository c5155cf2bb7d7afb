package engine

import (
	"cmp"
	"slices"
)

// World is everything that is known, for a start or a resync. What it does not
// name is gone; the books keep their readings and what they learned.
type World struct {
	Events []Event `json:"events"`
}

// eventsInOrder sorts the events of a world so that each comes after what it names, and
// what proves an image to be present before what would ask for it: the order in
// which a world is listed must not matter.
func eventsInOrder(events []Event) []Event {
	events = lasting(events)
	inOrder := func(a, b Event) int {
		rankA, keyA := a.rank()
		rankB, keyB := b.rank()
		return cmp.Or(cmp.Compare(rankA, rankB), cmp.Compare(keyA, keyB))
	}
	if slices.IsSortedFunc(events, inOrder) {
		return events
	}
	events = slices.Clone(events)
	slices.SortStableFunc(events, inOrder)
	return events
}

// lasting are the events of a world without those of what came and went in it: it may be
// told as it was learned.
func lasting(events []Event) []Event {
	if !slices.ContainsFunc(events, func(ev Event) bool { return ev.gone() != "" }) {
		return events
	}
	gone := map[string]bool{}
	var out []Event
	for _, ev := range slices.Backward(events) {
		if key := ev.gone(); key != "" {
			gone[key] = true
		} else if !gone[ev.key()] {
			out = append(out, ev)
		}
	}
	slices.Reverse(out)
	return out
}

// key names what an event is of, gone what it says the end of; empty for an event that
// says neither.
func (ev Event) key() string {
	switch {
	case ev.Account != nil:
		return "account/" + string(ev.Account.ID)
	case ev.Node != nil:
		return "node/" + string(ev.Node.ID)
	case ev.Pool != nil:
		return "pool/" + string(ev.Pool.ID)
	case ev.Group != nil:
		return "group/" + string(ev.Group.ID)
	case ev.Pod != nil:
		return "pod/" + string(ev.Pod.ID)
	}
	return ""
}

func (ev Event) gone() string {
	switch {
	case ev.AccountGone != "":
		return "account/" + string(ev.AccountGone)
	case ev.NodeGone != "":
		return "node/" + string(ev.NodeGone)
	case ev.PoolGone != "":
		return "pool/" + string(ev.PoolGone)
	case ev.GroupGone != "":
		return "group/" + string(ev.GroupGone)
	case ev.PodGone != "":
		return "pod/" + string(ev.PodGone)
	}
	return ""
}

// rank is where an event belongs in a world, and its key among its like.
func (ev Event) rank() (int, string) {
	switch {
	case ev.Account != nil:
		return 0, string(ev.Account.ID)
	case ev.Shape != nil:
		return 1, string(ev.Shape.Image)
	case ev.Node != nil:
		return 2, string(ev.Node.ID)
	case ev.Pool != nil:
		return 3, string(ev.Pool.ID)
	case ev.Group != nil:
		return 4, string(ev.Group.ID)
	case ev.Pod != nil && ev.Pod.Phase == PodPulled:
		return 5, string(ev.Pod.ID)
	case ev.Pod != nil:
		return 6, string(ev.Pod.ID)
	}
	return 7, ""
}
