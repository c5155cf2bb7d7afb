package setup

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// pageSize bounds one answer of the API server.
const pageSize = 500

// Found is what a search found of Pace on objects that are not Pace's.
type Found struct {
	Left     view.Left
	Searched view.Searched
	// Marked are copies of the objects that carry something of Pace.
	Marked []client.Object
}

// Search looks at every pod, node and workload of the cluster.
func Search(ctx context.Context, c client.Reader) (Found, error) {
	var found Found
	lists := []struct {
		what  string
		list  client.ObjectList
		count *int
	}{
		{"pods", &corev1.PodList{}, &found.Searched.Pods},
		{"nodes", &corev1.NodeList{}, &found.Searched.Nodes},
		{"deployments", &appsv1.DeploymentList{}, &found.Searched.Workloads},
		// The Deployment controller copies annotations to them, and `kubectl rollout
		// undo` back from them.
		{"replicasets", &appsv1.ReplicaSetList{}, &found.Searched.Workloads},
		{"statefulsets", &appsv1.StatefulSetList{}, &found.Searched.Workloads},
		{"daemonsets", &appsv1.DaemonSetList{}, &found.Searched.Workloads},
		{"jobs", &batchv1.JobList{}, &found.Searched.Workloads},
	}
	for _, l := range lists {
		err := each(ctx, c, l.list, func(obj client.Object) {
			*l.count++
			found.note(obj)
		})
		if err != nil {
			return found, fmt.Errorf("searching %s: %w", l.what, err)
		}
	}
	return found, nil
}

// note counts what Pace left on an object.
func (f *Found) note(obj client.Object) {
	clean := obj.DeepCopyObject().(client.Object)
	took := gate.Clean(clean)
	if took.Total() == 0 {
		return
	}
	f.Left.Gates += took.Gates
	f.Left.Taints += took.Taints
	f.Left.Pauses += took.Restored
	f.Left.Annotations += took.Marks
	f.Marked = append(f.Marked, obj.DeepCopyObject().(client.Object))
}

// Sweep cleans the objects that a search found. An object that is gone, or that
// somebody changed meanwhile, is left to the next search.
func Sweep(ctx context.Context, c client.Client, marked []client.Object, sum *view.Uninstall) error {
	for _, obj := range marked {
		before := obj.DeepCopyObject().(client.Object)
		took := gate.Clean(obj)
		err := cluster.PatchLocked(ctx, c, before, obj)
		if err == nil {
			err = clearStatus(ctx, c, obj)
		}
		switch {
		case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
			continue
		case err != nil:
			return fmt.Errorf("cleaning %s/%s: %w", before.GetNamespace(), before.GetName(), err)
		}
		sum.Released += took.Gates
		sum.Untainted += took.Taints
		sum.Restored += took.Restored
		sum.Stripped++
	}
	return nil
}

// clearStatus takes our condition off a pod or node as the API server has it; those of
// others stay, whatever their owners write meanwhile.
func clearStatus(ctx context.Context, c client.Client, obj client.Object) error {
	before := obj.DeepCopyObject().(client.Object)
	took := 0
	switch o := obj.(type) {
	case *corev1.Pod:
		took = gate.Forget(o)
	case *corev1.Node:
		took = gate.ForgetNode(o)
	}
	if took == 0 {
		return nil
	}
	return c.Status().Patch(ctx, obj, client.StrategicMergeFrom(before), client.FieldOwner(cluster.FieldManager))
}

// each visits every object of a list, page by page.
func each(ctx context.Context, c client.Reader, list client.ObjectList, visit func(client.Object)) error {
	for next := ""; ; {
		if err := c.List(ctx, list, client.Limit(pageSize), client.Continue(next)); err != nil {
			return err
		}
		err := meta.EachListItem(list, func(o runtime.Object) error {
			if obj, ok := o.(client.Object); ok {
				visit(obj)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}
