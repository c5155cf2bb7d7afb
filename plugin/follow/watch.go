package follow

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch keeps what the API server holds of one Deployment.
type Watch struct {
	// Changed receives after something changed; changes in between are merged.
	Changed <-chan struct{}

	key string
	// generation is the least that the rollout to watch has: a list may be older
	// than the change that began it.
	generation int64
	stores     [3]cache.Store // deployments, replica sets, pods
}

// Start watches a Deployment, its ReplicaSets and its pods until ctx ends. It
// returns when all three were listed once. d is the Deployment as last written or
// read: what is older is not taken for the state of its rollout.
func Start(ctx context.Context, c client.WithWatch, d *appsv1.Deployment) (*Watch, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("reading the selector of deploy/%s: %w", d.Name, err)
	}
	changed := make(chan struct{}, 1)
	w := &Watch{Changed: changed, key: d.Namespace + "/" + d.Name, generation: d.Generation}
	labelled := client.MatchingLabelsSelector{Selector: selector}
	named := client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", d.Name)}
	sources := []source{
		{c, func() client.ObjectList { return &appsv1.DeploymentList{} }, []client.ListOption{client.InNamespace(d.Namespace), named}},
		{c, func() client.ObjectList { return &appsv1.ReplicaSetList{} }, []client.ListOption{client.InNamespace(d.Namespace), labelled}},
		{c, func() client.ObjectList { return &corev1.PodList{} }, []client.ListOption{client.InNamespace(d.Namespace), labelled}},
	}
	types := []client.Object{&appsv1.Deployment{}, &appsv1.ReplicaSet{}, &corev1.Pod{}}
	synced := make([]cache.InformerSynced, 0, len(sources))
	for i, src := range sources {
		store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
			ListerWatcher: src, ObjectType: types[i], Handler: notify(changed),
		})
		w.stores[i] = store
		synced = append(synced, informer.HasSynced)
		go informer.RunWithContext(ctx)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil, fmt.Errorf("watching deploy/%s: %w", d.Name, context.Cause(ctx))
	}
	return w, nil
}

// World returns what is known now; false when the Deployment is gone.
func (w *Watch) World() (World, bool) {
	var world World
	obj, found, err := w.stores[0].GetByKey(w.key)
	if err != nil || !found {
		return World{}, false
	}
	d, ok := obj.(*appsv1.Deployment)
	if !ok {
		return World{}, false
	}
	world.Deployment, world.Generation = d, w.generation
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
	return world, true
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
