package controller

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// The bounds of what a price may cost a replica: whoever may create pods may ask
// for one, and admission must answer within two seconds.
const (
	pricesAtOnce = 2
	priceWithin  = time.Second
	maxImages    = 64
)

// errBusy says that other prices are being made.
var errBusy = errors.New("too many prices are asked for")

// pricer prices pods on every replica, out of caches. It is safe for concurrent use.
type pricer struct {
	reader client.Reader
	fleet  *kube.Fleet
	rules  func() *kube.Rules
	shapes *quoter
	clock  clock.PassiveClock
	// beating reports whether turns complete, so that what is free is true.
	beating func() bool
	slots   chan struct{}
	// seen says that the fleet has seen what was there at the start.
	seen atomic.Bool
}

func newPricer(reader client.Reader, rules func() *kube.Rules, shapes *quoter, beating func() bool, clk clock.PassiveClock) *pricer {
	return &pricer{reader: reader, fleet: kube.NewFleet(), rules: rules, shapes: shapes, clock: clk, beating: beating, slots: make(chan struct{}, pricesAtOnce)}
}

// price quotes the start of so many pods of a template. It waits for a free slot
// until ctx ends.
func (p *pricer) price(ctx context.Context, t kube.Template, pods int) (v1alpha1.PodQuote, error) {
	rules := p.rules()
	if rules == nil || !p.seen.Load() {
		return v1alpha1.PodQuote{}, errNotYet("rules, nodes and pods are not all read yet")
	}
	if n := len(t.Pods.Spec.Containers) + len(t.Pods.Spec.InitContainers); n > maxImages {
		return v1alpha1.PodQuote{}, fmt.Errorf("pricing %s: %d containers, want %d at most", t.Owner, n, maxImages)
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return v1alpha1.PodQuote{}, errBusy
	}
	var budgets v1alpha1.PullBudgetList
	if err := p.reader.List(ctx, &budgets, client.UnsafeDisableDeepCopy); err != nil {
		return v1alpha1.PodQuote{}, fmt.Errorf("listing PullBudgets: %w", err)
	}
	held, err := heldIn(ctx, p.reader, t.Namespace.Name)
	if err != nil {
		return v1alpha1.PodQuote{}, err
	}
	terms := rules.Terms(t)
	known := p.known(rules.Budgeted(&t.Pods.Spec, t.Namespace.Labels))
	now := p.clock.Now()
	quote := kube.Quote(kube.ToQuote{
		ToPrice: kube.ToPrice{Namespace: t.Namespace, Template: t.Pods, Replicas: pods, EachNode: t.EachNode, Fleet: p.fleet, Rules: rules},
		Budgets: budgets.Items, Manifests: func(image core.Image) int { return known[image] },
		Class: terms.Class, Now: now, Turning: p.beating(),
	})
	quote.DeleteFirst = string(terms.DeleteFirst)
	quote.NotHeld, quote.Gated, quote.MaxGated = string(terms.Reason), int32(held), int32(terms.MaxGated)
	if terms.Hold {
		quote.HoldUntil = now.Add(terms.MaxHold).UTC().Truncate(time.Second)
	}
	return quote, nil
}

// known is how many manifests images are made of; what is not known is looked up
// behind the answer.
func (p *pricer) known(images []kube.Budgeted) map[core.Image]int {
	known := map[core.Image]int{}
	for _, image := range images {
		known[image.Image] = p.shapes.manifests(image)
	}
	return known
}

// heldIn counts the held pods of a namespace, and those that held Jobs will make.
func heldIn(ctx context.Context, reader client.Reader, namespace string) (int, error) {
	var held corev1.PodList
	err := reader.List(ctx, &held, client.InNamespace(namespace), client.MatchingFields{indexHeld: "true"}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return 0, fmt.Errorf("listing held pods: %w", err)
	}
	var jobs batchv1.JobList
	if err := reader.List(ctx, &jobs, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelHeld}, client.UnsafeDisableDeepCopy); err != nil {
		return 0, fmt.Errorf("listing held jobs: %w", err)
	}
	pods := len(held.Items)
	for i := range jobs.Items {
		if gate.Suspended(&jobs.Items[i]) {
			pods += kube.JobPods(&jobs.Items[i])
		}
	}
	return pods, nil
}

// fleetWatch keeps a pricer's fleet up to date, on every replica.
type fleetWatch struct {
	cache  cache.Cache
	pricer *pricer
}

// NeedLeaderElection says that every replica prices.
func (w *fleetWatch) NeedLeaderElection() bool { return false }

// Start watches nodes and pods until ctx ends. It implements manager.Runnable.
func (w *fleetWatch) Start(ctx context.Context) error {
	fleet := w.pricer.fleet
	see := func(o any) {
		switch o := o.(type) {
		case *corev1.Node:
			fleet.Node(o)
		case *corev1.Pod:
			fleet.Pod(o)
		}
	}
	handler := toolscache.ResourceEventHandlerFuncs{
		AddFunc:    see,
		UpdateFunc: func(_, o any) { see(o) },
		DeleteFunc: func(o any) {
			if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			switch o := o.(type) {
			case *corev1.Node:
				fleet.NodeGone(o.Name)
			case *corev1.Pod:
				fleet.PodGone(kube.PodID(o))
			}
		},
	}
	var synced []toolscache.InformerSynced
	for _, object := range []client.Object{&corev1.Node{}, &corev1.Pod{}} {
		informer, err := w.cache.GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		defer func() { _ = informer.RemoveEventHandler(registration) }()
		synced = append(synced, registration.HasSynced)
	}
	w.pricer.seen.Store(waitFor(ctx, synced))
	<-ctx.Done()
	return nil
}
