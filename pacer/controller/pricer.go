package controller

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
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
	held   *heldCount
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

func newPricer(reader client.Reader, held *heldCount, rules func() *kube.Rules, shapes *quoter, beating func() bool, clk clock.PassiveClock) *pricer {
	return &pricer{reader: reader, held: held, fleet: kube.NewFleet(), rules: rules, shapes: shapes, clock: clk, beating: beating, slots: make(chan struct{}, pricesAtOnce)}
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
	held, err := p.held.in(t.Namespace.Name)
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
	see := func(o client.Object) {
		switch o := o.(type) {
		case *corev1.Node:
			fleet.Node(o)
		case *corev1.Pod:
			fleet.Pod(o)
		}
	}
	gone := func(o client.Object) {
		switch o := o.(type) {
		case *corev1.Node:
			fleet.NodeGone(o.Name)
		case *corev1.Pod:
			fleet.PodGone(kube.PodID(o))
		}
	}
	seen, stop, err := follow(ctx, w.cache, see, gone, &corev1.Node{}, &corev1.Pod{})
	if err != nil {
		return err
	}
	defer stop()
	w.pricer.seen.Store(seen)
	<-ctx.Done()
	return nil
}
