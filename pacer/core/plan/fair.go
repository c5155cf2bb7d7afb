package plan

import (
	"slices"

	"github.com/pullpace/pace/pacer/core"
)

// Fair is start-time fair queueing: units served per weight for each namespace of
// a class. A namespace that returns starts where the least served active one
// stands, so that idling earns no credit.
type Fair map[core.Class]map[string]*float64

// Activate makes the namespaces of a class the ones that wait now.
func (f Fair) Activate(class core.Class, waiting []string) {
	old := f[class]
	if len(old) == len(waiting) && !slices.ContainsFunc(waiting, func(ns string) bool { return old[ns] == nil }) {
		return // the same as before
	}
	next := make(map[string]*float64, len(waiting))
	least, found := 0.0, false
	for _, ns := range waiting {
		if v := old[ns]; v != nil && (!found || *v < least) {
			least, found = *v, true
		}
	}
	if !found {
		for _, v := range old {
			least = max(least, *v)
		}
	}
	for _, ns := range waiting {
		next[ns] = old[ns]
		if next[ns] == nil {
			next[ns] = new(least)
		}
	}
	f[class] = next
}

// Served is how much a namespace was served.
func (f Fair) Served(class core.Class, namespace string) float64 {
	if served := f[class][namespace]; served != nil {
		return *served
	}
	return 0
}

// Serve books units to a waiting namespace of the given weight; 0 weighs 1.
func (f Fair) Serve(class core.Class, namespace string, units float64, weight int) {
	if served := f[class][namespace]; served != nil {
		*served += units / float64(max(weight, 1))
	}
}

// Clone is a copy that goes on by itself.
func (f Fair) Clone() Fair {
	out := make(Fair, len(f))
	for class, of := range f {
		out[class] = make(map[string]*float64, len(of))
		for namespace, served := range of {
			out[class][namespace] = new(*served)
		}
	}
	return out
}
