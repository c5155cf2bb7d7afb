package controller

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/kube"
)

// How Argo Rollouts is looked for, and for how long a turn waits for what is known of
// it: where the permission is missing it never comes, and pods must not wait for it.
const (
	argoEvery  = 30 * time.Second
	argoWithin = 10 * time.Second
)

// argoKind begins the kinds of Argo's objects in a feed: what they are about is taken
// in before them.
const argoKind = 100

// argoWatch watches Rollouts and AnalysisRuns where a cluster has them. A cluster
// without Argo Rollouts is asked now and then whether it has by now.
type argoWatch struct {
	config *rest.Config
	http   *http.Client
	scheme *runtime.Scheme
	mapper meta.RESTMapper
	feed   *feed
	runs   *runs
	ways   *ways
}

// start begins to watch. It waits for what is there, but not for ever.
func (a *argoWatch) start(ctx context.Context) {
	if a == nil {
		return
	}
	if a.present() {
		a.watch(ctx)
		return
	}
	go func() {
		tick := time.NewTicker(argoEvery)
		defer tick.Stop()
		for !a.present() {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		a.watch(ctx)
	}()
}

// present reports whether the cluster knows both kinds.
func (a *argoWatch) present() bool {
	for _, o := range argoObjects() {
		gvk := o.GroupVersionKind()
		if _, err := a.mapper.RESTMapping(schema.GroupKind{Group: gvk.Group, Kind: gvk.Kind}, gvk.Version); err != nil {
			return false
		}
	}
	return true
}

func argoObjects() []*unstructured.Unstructured {
	return []*unstructured.Unstructured{kube.NewRollout(), kube.NewRun()}
}

// watch connects the feed with the informers of both kinds.
func (a *argoWatch) watch(ctx context.Context) {
	if err := a.subscribe(ctx); err != nil && ctx.Err() == nil {
		log.FromContext(ctx).Error(err, "Argo Rollouts is not watched: steps of Rollouts are held until it is")
	}
}

func (a *argoWatch) subscribe(ctx context.Context) error {
	c, err := cache.New(a.config, cache.Options{HTTPClient: a.http, Scheme: a.scheme, Mapper: a.mapper, DefaultTransform: kube.TrimArgo})
	if err != nil {
		return fmt.Errorf("watching Argo Rollouts: %w", err)
	}
	var synced []toolscache.InformerSynced
	for i, object := range argoObjects() {
		informer, err := c.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %s: %w", object.GetKind(), err)
		}
		registration, err := informer.AddEventHandler(a.handler(argoKind + i))
		if err != nil {
			return fmt.Errorf("watching %s: %w", object.GetKind(), err)
		}
		synced = append(synced, registration.HasSynced)
	}
	go func() {
		if err := c.Start(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "watch of Argo Rollouts ended")
		}
	}()
	soon, cancel := context.WithTimeout(ctx, argoWithin)
	defer cancel()
	if !waitFor(soon, synced) && ctx.Err() == nil {
		return fmt.Errorf("nothing of Argo Rollouts was read within %s: is the ClusterRole pacer-rollouts there?", argoWithin)
	}
	return nil
}

// handler puts changes of one kind into the feed, and notes at once which runs wait.
func (a *argoWatch) handler(kind int) toolscache.ResourceEventHandler {
	put := func(o any, gone bool) {
		if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = last.Obj
		}
		u, ok := o.(*unstructured.Unstructured)
		if !ok {
			return
		}
		a.ways.see(u, gone)
		if run, is := kube.ReadRun(u); is && u.GetKind() == kube.NewRun().GetKind() {
			a.runs.see(run, gone)
		}
		a.feed.put(kind, u, gone)
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { put(o, false) },
		UpdateFunc: func(_, o any) { put(o, false) },
		DeleteFunc: func(o any) { put(o, true) },
	}
}
