package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// bookEvery is how often the status of one PullBudget is written at most, unless
// releases wait for it.
const bookEvery = 2 * time.Second

// bookkeeper writes what is known into the status of PullBudgets. Only the leader
// writes, so that no lock is needed.
type bookkeeper struct {
	client client.Client
	// prover tells whether pods come back gated; nil: nobody looks.
	prover *prover
	// written is what was written last, by PullBudget.
	written map[string]writtenStatus
	// policiesAt is when the status of PacePolicies was looked at last.
	policiesAt time.Time
}

// writtenStatus is a status as it was written.
type writtenStatus struct {
	uid types.UID
	// essence is what of it is worth another write when it changes.
	essence []byte
	at      time.Time
	status  v1alpha1.PullBudgetStatus
}

// page is what is to be written: a decision, what must survive a restart, and
// whose it is.
type page struct {
	decision engine.Decision
	state    engine.State
	world    *world
	orders   *orders
	rights   *nodeRights
	// booked says that releases wait until it is written.
	booked bool
	// shadows is what policies say of their Shadow.
	shadows map[string]*v1alpha1.ShadowStatus
}

func newBookkeeper(c client.Client) *bookkeeper {
	return &bookkeeper{client: c, written: map[string]writtenStatus{}}
}

// write brings every PullBudget's status up to date. With booked it writes at
// once whatever changed, and any failure is an error.
func (b *bookkeeper) write(ctx context.Context, now time.Time, p page) error {
	if err := b.enter(ctx, now, b.due(now, p)); err != nil {
		return err
	}
	for name := range b.written {
		if p.world.budgets[name] == nil {
			delete(b.written, name)
		}
	}
	if p.booked {
		return nil
	}
	return b.writePolicies(ctx, now, p)
}

// due is what every PullBudget should say that may be written now.
func (b *bookkeeper) due(now time.Time, p page) []entry {
	views := map[core.AccountID]engine.View{}
	for _, v := range p.decision.Accounts {
		views[v.Account] = v
	}
	states := map[core.AccountID]engine.AccountState{}
	for _, s := range p.state.Accounts {
		states[s.Account] = s
	}
	var due []entry
	for _, name := range slices.Sorted(maps.Keys(p.world.budgets)) {
		budget := p.world.budgets[name]
		last := b.written[name]
		if last.uid != budget.UID {
			last = writtenStatus{uid: budget.UID, status: budget.Status}
		}
		if !p.booked && now.Sub(last.at) < bookEvery {
			continue
		}
		var accounts []v1alpha1.AccountStatus
		for _, id := range p.world.tracker.Accounts(name) {
			view := views[id]
			view.Account = id
			accounts = append(accounts, v1alpha1.AccountStatusOf(view, states[id]))
		}
		next := statusOf(now, budget, last.status, accounts, p.world)
		next.Overrides = p.orders.of(name, last.status.Overrides)
		due = append(due, entry{budget: budget, last: last, next: next})
	}
	return due
}

// writePolicies brings the status of PacePolicies up to date.
func (b *bookkeeper) writePolicies(ctx context.Context, now time.Time, p page) error {
	w := p.world
	if now.Sub(b.policiesAt) < bookEvery {
		return nil
	}
	b.policiesAt = now
	held, slipped, older := w.tracker.HeldByPolicy(), w.tracker.Slipped(), w.tracker.Overlapped()
	for _, name := range slices.Sorted(maps.Keys(w.policies)) {
		policy := w.policies[name]
		next := policy.DeepCopy()
		next.Status.Held = int32(min(held[name], math.MaxInt32))
		next.Status.Slipped, next.Status.NewestSlipped = int32(min(slipped[name], math.MaxInt32)), w.tracker.NewestSlipped(name)
		next.Status.ObservedGeneration = policy.Generation
		if s := p.shadows[name]; s != nil {
			next.Status.Shadow = s
		}
		conditions := []metav1.Condition{usable("PacePolicy", name, w), noneSlipped(next.Status)}
		if c, holds := nodesHeld(policy, w, p.rights); holds {
			conditions = append(conditions, c)
		} else {
			meta.RemoveStatusCondition(&next.Status.Conditions, v1alpha1.ConditionNodesHeld)
		}
		if older[name] != "" {
			conditions = append(conditions, overlapped(older[name]))
		} else {
			meta.RemoveStatusCondition(&next.Status.Conditions, "Overlapped")
		}
		for _, c := range conditions {
			c.ObservedGeneration, c.LastTransitionTime = policy.Generation, metav1.NewTime(now)
			meta.SetStatusCondition(&next.Status.Conditions, c)
		}
		b.prover.fill(policy.Generation, &next.Status)
		if equality.Semantic.DeepEqual(policy.Status, next.Status) {
			continue
		}
		err := b.client.Status().Patch(ctx, next, client.MergeFrom(policy), client.FieldOwner(v1alpha1.FieldManager))
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("writing the status of PacePolicy %q: %w", name, err)
		}
	}
	return nil
}

// entry is the status that one PullBudget should have.
type entry struct {
	budget *v1alpha1.PullBudget
	last   writtenStatus
	next   v1alpha1.PullBudgetStatus
}

// enter writes what changed, a few at a time: releases wait for it, and on a busy API
// server one after another take seconds.
func (b *bookkeeper) enter(ctx context.Context, now time.Time, due []entry) error {
	var group errgroup.Group
	group.SetLimit(patchesInFlight)
	written := make([]*writtenStatus, len(due))
	for i, e := range due {
		group.Go(func() (err error) {
			written[i], err = b.enterOne(ctx, now, e)
			return err
		})
	}
	err := group.Wait()
	for i, w := range written {
		if w != nil {
			b.written[due[i].budget.Name] = *w
		}
	}
	return err
}

// enterOne writes a status unless it is what was written last; nil: nothing was written.
func (b *bookkeeper) enterOne(ctx context.Context, now time.Time, e entry) (*writtenStatus, error) {
	essence, err := json.Marshal(roughly(e.next))
	if err != nil {
		return nil, fmt.Errorf("encoding the status of PullBudget %q: %w", e.budget.Name, err)
	}
	if bytes.Equal(essence, e.last.essence) {
		return nil, nil
	}
	text, err := json.Marshal(map[string]any{"status": e.next})
	if err != nil {
		return nil, fmt.Errorf("encoding the status of PullBudget %q: %w", e.budget.Name, err)
	}
	target := &v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: e.budget.Name}}
	err = b.client.Status().Patch(ctx, target, client.RawPatch(types.MergePatchType, text), client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("writing the status of PullBudget %q: %w", e.budget.Name, err)
	}
	return &writtenStatus{uid: e.budget.UID, essence: essence, at: now, status: e.next}, nil
}

// roughly is a status without what moves with the clock alone.
func roughly(s v1alpha1.PullBudgetStatus) v1alpha1.PullBudgetStatus {
	s.Accounts = slices.Clone(s.Accounts)
	for i := range s.Accounts {
		if f := s.Accounts[i].Forecast; f != nil {
			s.Accounts[i].Forecast = &v1alpha1.Forecast{From: metav1.NewTime(f.From.Truncate(forecastStep)), To: metav1.NewTime(f.To.Truncate(forecastStep))}
		}
	}
	return s
}

// forecastStep is how far a forecast must move to be written again.
const forecastStep = 10 * time.Second

// statusOf is the status that a PullBudget should have.
func statusOf(now time.Time, budget *v1alpha1.PullBudget, last v1alpha1.PullBudgetStatus, accounts []v1alpha1.AccountStatus, w *world) v1alpha1.PullBudgetStatus {
	next := v1alpha1.PullBudgetStatus{Accounts: accounts, ObservedGeneration: budget.Generation}
	next.Conditions = slices.Clone(last.Conditions)
	for _, c := range []metav1.Condition{usable("PullBudget", budget.Name, w), reading(accounts, budget, w.tracker.Anonymous(budget.Name)), flowing(accounts), sufficient(accounts), ownImageApart(budget.Name, w)} {
		c.ObservedGeneration = budget.Generation
		c.LastTransitionTime = metav1.NewTime(now)
		meta.SetStatusCondition(&next.Conditions, c)
	}
	return next
}
