package controller

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/kube"
)

// heldBoard shows whose pods are held, and when the first of them goes whatever the
// budget. Alerts about pods that are not ready are inhibited by it.
type heldBoard struct {
	display
	pods, expiry *prometheus.Desc
}

var _ prometheus.Collector = (*heldBoard)(nil)

func newHeldBoard() *heldBoard {
	b := &heldBoard{}
	labels := []string{"namespace", "kind", "workload", "class"}
	b.pods = b.describe("workload_held_pods", "Pods of a workload held now; of those that are not among the first 200 in sum, as (other).", labels...)
	b.expiry = b.describe("workload_hold_expiry_timestamp_seconds", "When the first hold of the workload's pods ends by its bound.", labels...)
	return b
}

// waiting is how many pods of a workload and class are held, and when the first hold
// ends.
type waiting struct {
	holding
	pods   int
	expiry time.Time
}

type holding struct {
	owner kube.Owner
	class string
}

// others is who stands for those that are not named.
func others() holding {
	return holding{kube.Owner{Kind: unnamed, Namespace: unnamed, Name: unnamed}, unnamed}
}

// join adds what is held of the same, or of many that are not named.
func (w *waiting) join(pods int, expiry time.Time) {
	w.pods += pods
	if !expiry.IsZero() && (w.expiry.IsZero() || expiry.Before(w.expiry)) {
		w.expiry = expiry
	}
}

// observe shows the holds of a decision from now on.
func (b *heldBoard) observe(d engine.Decision, t *kube.Tracker) {
	byOwner, rest := map[holding]*waiting{}, waiting{holding: others()}
	for _, h := range d.Holds {
		g, ok := t.Group(h.Group)
		if !ok || g.Pinned { // new nodes are shown elsewhere
			continue
		}
		owner, ok := kube.ParseOwner(g.Workload)
		if !ok { // an owner may call its kind as it likes
			rest.join(h.Count, t.FirstExpiry(h.Group))
			continue
		}
		key := holding{owner, g.Class.String()}
		if byOwner[key] == nil {
			byOwner[key] = &waiting{holding: key}
		}
		byOwner[key].join(h.Count, t.FirstExpiry(h.Group))
	}
	all := make([]waiting, 0, len(byOwner))
	for _, w := range byOwner {
		all = append(all, *w)
	}
	var shown readings
	for _, w := range mostHeld(all, rest) {
		labels := []string{w.owner.Namespace, w.owner.Kind, w.owner.Name, w.class}
		shown.add(b.pods, float64(w.pods), labels...)
		if !w.expiry.IsZero() {
			shown.add(b.expiry, seconds(w.expiry), labels...)
		}
	}
	b.show(shown)
}

// mostHeld are those with most held pods, and in sum the rest.
func mostHeld(all []waiting, rest waiting) []waiting {
	slices.SortFunc(all, func(x, y waiting) int {
		return cmp.Or(cmp.Compare(y.pods, x.pods), cmp.Compare(x.owner.String(), y.owner.String()), cmp.Compare(x.class, y.class))
	})
	named := min(len(all), namedHolds)
	for _, w := range all[named:] {
		rest.join(w.pods, w.expiry)
	}
	if rest.pods == 0 {
		return all
	}
	return append(all[:named:named], rest)
}
