package plan

import "github.com/pullpace/pace/pacer/core"

// Fair is start-time fair queueing: units served per weight for each namespace of
// a class. A namespace that returns starts where the least served active one
// stands, so that idling earns no credit.
type Fair map[core.Class]map[string]float64

// Activate makes the namespaces of a class the ones that wait now.
func (f Fair) Activate(class core.Class, waiting []string) {
	old, next := f[class], make(map[string]float64, len(waiting))
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
	if _, ok := f[class][namespace]; ok {
		f[class][namespace] += units / float64(max(weight, 1))
	}
}
