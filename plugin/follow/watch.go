package follow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
)

// Watch keeps what the API server holds of one Deployment or Argo Rollout.
type Watch struct {
	// Changed receives after something changed; changes in between are merged.
	Changed <-chan struct{}

	key string
	// generation is the least that the rollout to watch has: a list may be older
	// than the change that began it.
	generation int64
	// argo is the Rollout as last read before; nil: it is a Deployment.
	argo   *cluster.Argo
	stores [4]cache.Store // workloads, replica sets, pods, analysis runs
}

// Start watches a Deployment, its ReplicaSets and its pods until ctx ends. It
// returns when all three were listed once. d is the Deployment as last written or
// read: what is older is not taken for the state of its rollout.
func Start(ctx context.Context, c client.WithWatch, d *appsv1.Deployment) (*Watch, error) {
	return (&Watch{}).start(ctx, c, d, kept{&appsv1.Deployment{}, func() client.ObjectList { return &appsv1.DeploymentList{} }})
}

// StartArgo is Start of an Argo Rollout, with its AnalysisRuns.
func StartArgo(ctx context.Context, c client.WithWatch, a *cluster.Argo) (*Watch, error) {
	w := &Watch{argo: a}
	return w.start(ctx, c, a.AsDeployment(), kept{kube.NewRollout(), func() client.ObjectList { return kube.NewRollouts() }},
		kept{kube.NewRun(), func() client.ObjectList { return kube.NewRuns() }})
}

// kept is a kind that is watched.
type kept struct {
	object client.Object
	list   func() client.ObjectList
}

// start watches the workload itself, its ReplicaSets and pods, and what else of its
// namespace tells of it.
func (w *Watch) start(ctx context.Context, c client.WithWatch, d *appsv1.Deployment, workload kept, more ...kept) (*Watch, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("reading the selector of %s: %w", cluster.WorkloadOf(d), err)
	}
	changed := make(chan struct{}, 1)
	w.Changed, w.key, w.generation = changed, d.Namespace+"/"+d.Name, d.Generation
	here := client.InNamespace(d.Namespace)
	labelled := client.MatchingLabelsSelector{Selector: selector}
	named := client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", d.Name)}
	var synced []cache.InformerSynced
	watch := func(k kept, opts ...client.ListOption) {
		store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
			ListerWatcher: source{c, k.list, append(opts, here)}, ObjectType: k.object, Handler: notify(changed),
		})
		w.stores[len(synced)] = store
		synced = append(synced, informer.HasSynced)
		go informer.RunWithContext(ctx)
	}
	watch(workload, named)
	watch(kept{&appsv1.ReplicaSet{}, func() client.ObjectList { return &appsv1.ReplicaSetList{} }}, labelled)
	watch(kept{&corev1.Pod{}, func() client.ObjectList { return &corev1.PodList{} }}, labelled)
	for _, k := range more {
		watch(k)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil, fmt.Errorf("watching %s: %w", cluster.WorkloadOf(d), context.Cause(ctx))
	}
	return w, nil
}

// World returns what is known now; false when the workload is gone.
func (w *Watch) World() (World, bool) {
	var world World
	obj, found, err := w.stores[0].GetByKey(w.key)
	if err != nil || !found {
		return World{}, false
	}
	switch o := obj.(type) {
	case *appsv1.Deployment:
		world.Deployment = o
	case *unstructured.Unstructured:
		a, err := w.argo.Later(o)
		if err != nil {
			return World{}, false
		}
		world.Deployment, world.Argo = a.AsDeployment(), a
		world.Steps = a.At(w.runs())
	default:
		return World{}, false
	}
	d := world.Deployment
	world.Generation = w.generation
	for _, obj := range w.stores[1].List() {
		if rs, ok := obj.(*appsv1.ReplicaSet); ok && metav1.IsControlledBy(rs, d) {
			world.Sets = append(world.Sets, *rs)
		}
	}
	for _, obj := range w.stores[2].List() {
		if pod, ok := obj.(*corev1.Pod); ok {
			world.Pods = append(world.Pods, *pod)
		}
	}
	slices.SortFunc(world.Pods, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return world, true
}

// runs are the AnalysisRuns of the namespace.
func (w *Watch) runs() []unstructured.Unstructured {
	var out []unstructured.Unstructured
	for _, obj := range w.stores[3].List() {
		if u, ok := obj.(*unstructured.Unstructured); ok {
			out = append(out, *u)
		}
	}
	return out
}

// notify tells of a change without ever blocking.
func notify(changed chan<- struct{}) cache.ResourceEventHandler {
	tell := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { tell() },
		UpdateFunc: func(any, any) { tell() },
		DeleteFunc: func(any) { tell() },
	}
}

// source lists and watches one kind.
type source struct {
	client client.WithWatch
	list   func() client.ObjectList
	opts   []client.ListOption
}

// IsWatchListSemanticsUnSupported keeps the reflector to list and watch: a single
// Deployment is no load, and every API server speaks it.
func (source) IsWatchListSemanticsUnSupported() bool { return true }

// List implements cache.ListerWatcher.
func (s source) List(o metav1.ListOptions) (runtime.Object, error) {
	return s.ListWithContext(context.Background(), o)
}

// Watch implements cache.ListerWatcher.
func (s source) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return s.WatchWithContext(context.Background(), o)
}

// ListWithContext implements cache.ListerWatcherWithContext.
func (s source) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	list := s.list()
	err := s.client.List(ctx, list, s.options(o)...)
	return list, err
}

// WatchWithContext implements cache.ListerWatcherWithContext.
func (s source) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return s.client.Watch(ctx, s.list(), s.options(o)...)
}

func (s source) options(o metav1.ListOptions) []client.ListOption {
	return append(slices.Clone(s.opts), &client.ListOptions{Raw: &o, Limit: o.Limit, Continue: o.Continue})
}
