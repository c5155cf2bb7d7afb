package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// HeldJobs lists the Jobs that Pace suspended, oldest first; namespace "" is all.
func HeldJobs(ctx context.Context, c client.Reader, namespace string) ([]batchv1.Job, error) {
	var list batchv1.JobList
	if err := c.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelHeld: "true"}); err != nil {
		return nil, fmt.Errorf("listing jobs: %w", err)
	}
	held := slices.DeleteFunc(list.Items, func(j batchv1.Job) bool { return !gate.Suspended(&j) || j.DeletionTimestamp != nil })
	slices.SortFunc(held, func(a, b batchv1.Job) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return held, nil
}

// JobGroup is a held Job as one group of the pods that it would run.
func JobGroup(j *batchv1.Job) view.HeldGroup {
	g := view.HeldGroup{
		Namespace: j.Namespace, Workload: Target{Kind: Job, Name: j.Name}.String(), Pods: kube.JobPods(j),
		Since: j.CreationTimestamp.Time, Until: gate.HoldUntil(j),
	}
	g.Reason, g.Message = HoldReason(j)
	return g
}
