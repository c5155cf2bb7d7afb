package plan

import (
	"slices"

	"github.com/pullpace/pace/pacer/core"
)

// Fair is start-time fair queueing: units served per weight for each namespace of
// a class. A namespace that returns starts where the least served active one
// stands, so that idling earns no credit.
type Fair map[core.Class]map[string]float64

// Activate makes the namespaces of a class the ones that wait now.
func (f Fair) Activate(class core.Class, waiting []string) {
	old := f[class]
	if len(old) == len(waiting) && !slices.ContainsFunc(waiting, func(ns string) bool { _, ok := old[ns]; return !ok }) {
		return // the same as before
	}
	next := make(map[string]float64, len(waiting))
	least, found := 0.0, false
	for _, ns := range waiting {
		if v, ok := old[ns]; ok && (!found || v < least) {
			least, found = v, true
		}
	}
	if !found {
		for _, v := range old {
			least = max(least, v)
		}
	}
	for _, ns := range waiting {
		if v, ok := old[ns]; ok {
			next[ns] = v
		} else {
			next[ns] = least
		}
	}
	f[class] = next
}

// Serve books units to a waiting namespace of the given weight; 0 weighs 1.
func (f Fair) Serve(class core.Class, namespace string, units float64, weight int) {
	of := f[class]
	if served, ok := of[namespace]; ok {
		of[namespace] = served + units/float64(max(weight, 1))
	}
}
