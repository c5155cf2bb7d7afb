package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

// Registerer takes metrics; see prometheus.Registerer.
type Registerer = prometheus.Registerer

// rulesWatch keeps the admitter's rules up to date, on every replica.
type rulesWatch struct {
	cache    cache.Cache
	reader   client.Reader
	admitter *admitter
}

// NeedLeaderElection says that every replica admits.
func (w *rulesWatch) NeedLeaderElection() bool { return false }

// Start reads the rules whenever a PullBudget or PacePolicy changes, until ctx
// ends. It implements manager.Runnable.
func (w *rulesWatch) Start(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { note() }, DeleteFunc: func(any) { note() },
		UpdateFunc: func(before, after any) {
			if b, ok := before.(client.Object); ok && b.GetGeneration() != after.(client.Object).GetGeneration() {
				note()
			}
		},
	}
	for _, object := range []client.Object{&v1alpha1.PullBudget{}, &v1alpha1.PacePolicy{}} {
		informer, err := w.cache.GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		defer func() { _ = informer.RemoveEventHandler(registration) }()
	}
	note()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		if err := w.read(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "rules not read")
			time.AfterFunc(time.Second, note)
		}
	}
}

// read reads all PullBudgets and PacePolicies. Those that cannot be used are left
// out; their status says so.
func (w *rulesWatch) read(ctx context.Context) error {
	var budgets v1alpha1.PullBudgetList
	if err := w.reader.List(ctx, &budgets); err != nil {
		return fmt.Errorf("listing PullBudgets: %w", err)
	}
	var policies v1alpha1.PacePolicyList
	if err := w.reader.List(ctx, &policies); err != nil {
		return fmt.Errorf("listing PacePolicies: %w", err)
	}
	rules, err := kube.NewRules(budgets.Items, policies.Items)
	if err != nil {
		log.FromContext(ctx).Info("some rules cannot be used", "cause", err.Error())
	}
	w.admitter.rules.Store(rules)
	return nil
}
