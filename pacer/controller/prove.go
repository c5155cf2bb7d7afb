package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/proof"
)

// How often the gate is proven, how often while it is not, how soon when something
// hints that it fails, and for how long the API server is waited for.
const (
	proveEvery   = time.Minute
	proveSoonest = time.Second
	proveAgain   = 5 * time.Second
	proveTimeout = 10 * time.Second
)

// anyImage stands in the dry run for the controller's own image where that is not
// known, which is outside a cluster.
const anyImage = "ghcr.io/pullpace/pacer:dev"

// prover asks every minute whether pods come back gated, and says so on every
// PacePolicy. It is safe for concurrent use.
//
// It writes past the turn, under optimistic lock, since a turn that is not completed
// is one of the things that it tells of.
type prover struct {
	asker   proof.Asker
	client  client.Client
	metrics *Metrics
	clock   clock.PassiveClock
	// self is the pod that this program runs in.
	self client.ObjectKey
	// now makes the next dry run come soon.
	now chan struct{}

	mu   sync.Mutex
	last proof.Answer
	at   time.Time
}

func newProver(c client.Client, live client.Reader, o Options, m *Metrics, clk clock.PassiveClock) *prover {
	return &prover{
		asker: proof.Asker{Client: c, Live: live, Namespace: o.Namespace, Webhook: o.WebhookConfig,
			Owner: v1alpha1.FieldManager, Now: clk.Now},
		client: c, metrics: m, clock: clk, now: make(chan struct{}, 1),
		self: client.ObjectKey{Namespace: o.Namespace, Name: o.Identity},
	}
}

// NeedLeaderElection says that one replica asks.
func (p *prover) NeedLeaderElection() bool { return true }

// Start asks until ctx ends. It implements manager.Runnable.
func (p *prover) Start(ctx context.Context) error {
	for {
		wait := p.prove(ctx)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-p.now:
			timer.Reset(proveSoonest)
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil
			case <-timer.C:
			}
		}
	}
}

// hurry has the next dry run come soon: something hints that the gate fails.
func (p *prover) hurry() {
	select {
	case p.now <- struct{}{}:
	default:
	}
}

// prove asks once, tells everybody, and returns when to ask again.
func (p *prover) prove(ctx context.Context) time.Duration {
	asking, cancel := context.WithTimeout(ctx, proveTimeout)
	defer cancel()
	answer := p.asker.Ask(asking, p.image(asking))
	if ctx.Err() != nil {
		return proveAgain
	}
	p.mu.Lock()
	before := p.last
	p.last, p.at = answer, p.clock.Now()
	p.mu.Unlock()
	p.metrics.proved(answer)
	if before.Reason != answer.Reason {
		log.FromContext(ctx).Info("gate looked at", "reason", answer.Reason, "answer", answer.String())
	}
	if err := p.tell(asking); err != nil {
		// The next turn says it, or the next dry run.
		log.FromContext(ctx).V(1).Info("gate not told of", "cause", err.Error())
	}
	if answer.Gated() {
		return proveEvery
	}
	return proveAgain
}

// image is that of this program: what may run here already no policy of the cluster
// refuses.
func (p *prover) image(ctx context.Context) string {
	var self corev1.Pod
	if p.client.Get(ctx, p.self, &self) != nil || len(self.Spec.Containers) == 0 {
		return anyImage
	}
	return self.Spec.Containers[0].Image
}

// tell writes the condition on every PacePolicy.
func (p *prover) tell(ctx context.Context) error {
	var policies v1alpha1.PacePolicyList
	if err := p.client.List(ctx, &policies); err != nil {
		return fmt.Errorf("listing PacePolicies: %w", err)
	}
	for i := range policies.Items {
		policy := &policies.Items[i]
		next := policy.DeepCopy()
		p.fill(policy.Generation, &next.Status)
		patch := client.MergeFromWithOptions(policy, client.MergeFromWithOptimisticLock{})
		err := p.client.Status().Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager))
		if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("writing the status of PacePolicy %q: %w", policy.Name, err)
		}
	}
	return nil
}

// fill puts what is known of the gate into a status; nothing before the first dry
// run.
func (p *prover) fill(generation int64, status *v1alpha1.PacePolicyStatus) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() {
		return
	}
	c := metav1.Condition{
		Type: v1alpha1.ConditionGateActive, Status: metav1.ConditionFalse, Reason: p.last.Reason,
		Message: cut(p.last.String(), maxMessage), ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(p.at),
	}
	if p.last.Gated() {
		c.Status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&status.Conditions, c)
	status.GateAskedAt = new(metav1.NewTime(p.at.Truncate(time.Second)))
}
