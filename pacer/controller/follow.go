package controller

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// follow calls see for every object of some kinds that is there or changes, and gone for
// every one that is not there any more. It returns when what was there was seen, or false
// when ctx ended before; stop ends it.
func follow(ctx context.Context, c cache.Cache, see, gone func(client.Object), kinds ...client.Object) (seen bool, stop func(), err error) {
	handler := toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { see(o.(client.Object)) },
		UpdateFunc: func(before, o any) {
			was, is := before.(client.Object), o.(client.Object)
			if was.GetUID() != is.GetUID() { // its end was missed
				gone(was)
			}
			see(is)
		},
		DeleteFunc: func(o any) {
			if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			if object, ok := o.(client.Object); ok {
				gone(object)
			}
		},
	}
	var undo []func()
	stop = func() {
		for _, u := range undo {
			u()
		}
	}
	var synced []toolscache.InformerSynced
	for _, object := range kinds {
		informer, err := c.GetInformer(ctx, object)
		if err != nil {
			stop()
			return false, nil, fmt.Errorf("watching %T: %w", object, err)
		}
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			stop()
			return false, nil, fmt.Errorf("watching %T: %w", object, err)
		}
		undo = append(undo, func() { _ = informer.RemoveEventHandler(registration) })
		synced = append(synced, registration.HasSynced)
	}
	return waitFor(ctx, synced), stop, nil
}
