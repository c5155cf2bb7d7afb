package controller

import (
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/pullpace/pace/pacer/kube"
)

// ways counts by which ways Rollouts with gates go past them. It is told of every change
// as it comes, not of the last state at a turn: their order tells the ways apart. It is
// safe for concurrent use.
type ways struct {
	count func(kube.Bypass)

	mu       sync.Mutex
	bypasses *kube.Bypasses
}

func newWays(c *claims, count func(kube.Bypass)) *ways {
	return &ways{count: count, bypasses: kube.NewBypasses(c.allowed)}
}

// see takes in a Rollout or an AnalysisRun.
func (w *ways) see(u *unstructured.Unstructured, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []kube.Bypass
	if u.GetKind() != kube.RolloutKind {
		if run, ok := kube.ReadRun(u); ok {
			found = w.bypasses.Run(run, gone)
		}
	} else if r, err := kube.ReadRollout(u); gone {
		w.bypasses.RolloutGone(u.GetUID())
	} else if err == nil {
		found = w.bypasses.Rollout(r)
	}
	for _, b := range found {
		w.count(b)
	}
}
