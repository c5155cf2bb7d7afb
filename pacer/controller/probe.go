package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/pacer/registry"
)

// The pace of requests to registries over all accounts, far below any limiter of
// requests that is known, and what follows a probe that could not be sent.
const (
	probesPerSecond = 10
	shapesPerSecond = 5
	probeRetry      = 10 * time.Second
)

// asker asks one registry as one identity; *registry.Client is one.
type asker interface {
	Probe(ctx context.Context, repository string) (quota.Observation, error)
	Shape(ctx context.Context, ref string) (manifests int, digest string, err error)
}

var _ asker = (*registry.Client)(nil)

// prober asks registries what is left and what images are made of. Its results
// wait for the next turn. It is safe for concurrent use.
type prober struct {
	// open makes an asker; it is registry.New with credentials in production.
	open func(ctx context.Context, budget *v1alpha1.PullBudget) (asker, error)
	// distant asks from egress groups; nil: everything is asked from here. egressOf
	// is the egress group of an account, and called by the turn alone.
	distant  *distant
	egressOf func(core.AccountID) string
	metrics  *Metrics
	now      func() time.Time
	wake     func()
	probes   *rate.Limiter
	shapes   *rate.Limiter

	mu       sync.Mutex
	inFlight map[core.AccountID]bool
	notYet   map[core.AccountID]time.Time
	// sample is an image of each account, for registries without a repository
	// that is made for probes.
	sample  map[core.AccountID]core.Image
	results []engine.Event
	running sync.WaitGroup
}

func newProber(open func(context.Context, *v1alpha1.PullBudget) (asker, error), m *Metrics, now func() time.Time, wake func()) *prober {
	return &prober{
		open: open, metrics: m, now: now, wake: wake,
		probes: rate.NewLimiter(probesPerSecond, probesPerSecond), shapes: rate.NewLimiter(shapesPerSecond, shapesPerSecond),
		inFlight: map[core.AccountID]bool{}, notYet: map[core.AccountID]time.Time{}, sample: map[core.AccountID]core.Image{},
	}
}

// wait returns when nothing is in flight any more.
func (p *prober) wait() { p.running.Wait() }

// take returns the results since the last call.
func (p *prober) take() []engine.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.results
	p.results = nil
	return out
}

func (p *prober) deliver(events ...engine.Event) {
	p.mu.Lock()
	p.results = append(p.results, events...)
	p.mu.Unlock()
	p.wake()
}

// busy reports whether an account cannot be asked at now, because an answer is
// awaited or the last try failed before it was sent.
func (p *prober) busy(id core.AccountID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight[id] || now.Before(p.notYet[id])
}

// ask sends the probes that are due, one at a time for each account.
func (p *prober) ask(ctx context.Context, now time.Time, probes []engine.Probe, budgetOf func(core.AccountID) *v1alpha1.PullBudget) {
	for _, due := range probes {
		if due.At.After(now) {
			break
		}
		budget := budgetOf(due.Account)
		if budget == nil || p.busy(due.Account, now) {
			continue
		}
		repository, ok := p.claim(due.Account, budget, now)
		if !ok {
			continue
		}
		from := ""
		if p.distant != nil && budget.Spec.MeteredByAddress() {
			from = p.egressOf(due.Account)
		}
		p.running.Go(func() { p.probe(ctx, due, from, budget, repository) })
	}
}

// claim notes that an account is being asked, and for what. ok is false when no
// image of it is known yet; then nothing waits for it either.
func (p *prober) claim(id core.AccountID, budget *v1alpha1.PullBudget, now time.Time) (repository string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	repository = p.repository(id, budget)
	if repository == "" {
		p.notYet[id] = now.Add(probeRetry)
		return "", false
	}
	p.inFlight[id] = true
	return repository, true
}

// repository is what to ask a registry for; the lock is held.
func (p *prober) repository(id core.AccountID, budget *v1alpha1.PullBudget) string {
	if budget.Spec.Probe != nil && budget.Spec.Probe.Repository != "" {
		return budget.Spec.Probe.Repository
	}
	if name := registry.DefaultRepository(budget.Spec.Registry); name != "" {
		return name
	}
	return string(p.sample[id])
}

// probe asks once, or twice in a row, and delivers what came back together.
func (p *prober) probe(ctx context.Context, due engine.Probe, egress string, budget *v1alpha1.PullBudget, repository string) {
	var readings []engine.Event
	for range asks(due) {
		result, err := p.send(ctx, due.Account, egress, budget, repository)
		if err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "probe failed", "account", due.Account)
		}
		if result == nil || ctx.Err() != nil {
			p.metrics.probed(due.Account, "unsent")
			break
		}
		p.metrics.probed(due.Account, outcome(result.Status))
		readings = append(readings, engine.Event{Reading: &engine.Reading{Account: due.Account, Observation: *result}})
		if err != nil {
			break
		}
	}
	p.mu.Lock()
	delete(p.inFlight, due.Account)
	if len(readings) == 0 {
		p.notYet[due.Account] = p.now().Add(probeRetry)
	}
	p.mu.Unlock()
	if len(readings) > 0 && ctx.Err() == nil {
		p.deliver(readings...)
	}
}

// asks is how often a probe asks.
func asks(due engine.Probe) int {
	if due.Twice {
		return 2
	}
	return 1
}

// send asks once, from an egress group unless that is empty; a nil result means that
// nothing was sent.
func (p *prober) send(ctx context.Context, id core.AccountID, egress string, budget *v1alpha1.PullBudget, repository string) (*quota.Observation, error) {
	if err := p.probes.Wait(ctx); err != nil {
		return nil, err
	}
	if egress != "" {
		o, err := p.distant.ask(ctx, id, egress, budget, repository)
		return &o, err
	}
	client, err := p.open(ctx, budget)
	if err != nil {
		return nil, err
	}
	sent := p.now()
	o, err := client.Probe(ctx, repository)
	if o.SentAt.IsZero() {
		// An answer that never came is an observation too: it counts as missed.
		o.SentAt = sent
	}
	return &o, err
}

// outcome is a bounded name for a status.
func outcome(status int) string {
	switch {
	case status == 0:
		return "none"
	case status == 429:
		return "429"
	case status >= 200 && status < 600:
		return fmt.Sprintf("%dxx", status/100)
	}
	return "other"
}

// lookAt asks once what each image is made of; what cannot be known stays unknown,
// which counts as the dearer kind.
func (p *prober) lookAt(ctx context.Context, images []kube.PacedImage, budgetOf func(core.AccountID) *v1alpha1.PullBudget) {
	for _, image := range images {
		budget := budgetOf(image.Account)
		if budget == nil {
			continue
		}
		p.mu.Lock()
		if p.sample[image.Account] == "" {
			delete(p.notYet, image.Account)
		}
		p.sample[image.Account] = image.Image
		p.mu.Unlock()
		if !budget.ProbesCharged() {
			p.running.Go(func() { p.shape(ctx, image, budget) })
		}
	}
}

func (p *prober) shape(ctx context.Context, image kube.PacedImage, budget *v1alpha1.PullBudget) {
	if p.shapes.Wait(ctx) != nil {
		return
	}
	client, err := p.open(ctx, budget)
	if err != nil {
		log.FromContext(ctx).V(1).Info("image not looked at", "image", image.Image, "cause", err.Error())
		return
	}
	manifests, _, err := client.Shape(ctx, string(image.Image))
	if err != nil {
		log.FromContext(ctx).V(1).Info("image not looked at", "image", image.Image, "cause", err.Error())
		return
	}
	p.deliver(engine.Event{Shape: &engine.ImageShape{Image: image.Image, Manifests: manifests}})
}
