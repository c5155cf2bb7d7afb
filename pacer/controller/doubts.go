package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
)

// doubter tells workloads that their pulls go out without the login that a
// PullBudget is for: nobody else would, since such pulls work until the anonymous
// limit is met. Only the turn uses it.
type doubter struct {
	reader client.Reader
	events recorder.EventRecorder
	told   map[doubtful]bool
	// charged are the PullBudgets of which it was told that their probes cost.
	charged map[string]bool
}

// doubtful is a workload and the PullBudget under which its pulls should go.
type doubtful struct {
	owner  kube.Owner
	budget string
}

func newDoubter(r client.Reader, e recorder.EventRecorder) *doubter {
	return &doubter{reader: r, events: e, told: map[doubtful]bool{}, charged: map[string]bool{}}
}

// tell records an Event on each workload of which it became known since the last
// call.
func (d *doubter) tell(ctx context.Context, w *world, decision engine.Decision) {
	now := map[doubtful]string{}
	for name, budget := range w.budgets {
		if owners := w.tracker.Anonymous(name); len(owners) > 0 {
			for _, o := range owners {
				now[doubtful{o, name}] = anonymously + noSecret(budget, []kube.Owner{o}) + fmt.Sprintf("; PullBudget %q is for pulls with a login", name)
			}
		}
	}
	for _, v := range decision.Accounts {
		name := w.tracker.BudgetOf(v.Account)
		budget := w.budgets[name]
		if v.Doubt != quota.DoubtUnseen || budget == nil || budget.Spec.Identity != v1alpha1.Credentials {
			continue
		}
		for _, o := range w.tracker.Drawing(v.Account) {
			if key := (doubtful{o, name}); now[key] == "" {
				now[key] = fmt.Sprintf("%swhat was pulled does not show on %s of PullBudget %q", anonymously, v.Account, name)
			}
		}
	}
	d.tellCharged(w, decision)
	for key, note := range now {
		if !d.told[key] {
			d.told[key] = d.say(ctx, key.owner, note)
		}
	}
	for key := range d.told {
		if now[key] == "" {
			delete(d.told, key)
		}
	}
}

// tellCharged records an Event on each PullBudget whose registry was found to charge for
// its probes since the last call.
func (d *doubter) tellCharged(w *world, decision engine.Decision) {
	now := map[string]bool{}
	for _, v := range decision.Accounts {
		name := w.tracker.BudgetOf(v.Account)
		budget := w.budgets[name]
		if v.HeadsCharged.IsZero() || v.Grade == quota.GradeOK || budget == nil {
			continue
		}
		if !d.charged[name] && !now[name] {
			d.events.Eventf(budget, nil, corev1.EventTypeWarning, probesCharged, "Probe", "%s",
				cut(string(v.Account)+": "+charged(v1alpha1.AccountStatusOf(v, engine.AccountState{})), maxNote))
		}
		now[name] = true
	}
	d.charged = now
}

// say records one Event and reports whether it did.
func (d *doubter) say(ctx context.Context, owner kube.Owner, note string) bool {
	if owner.Kind != "Deployment" {
		return true // the condition of the PullBudget names it
	}
	var target appsv1.Deployment
	if d.reader.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, &target) != nil {
		return false // gone, or not in the cache yet: a later turn says it
	}
	d.events.Eventf(&target, nil, corev1.EventTypeWarning, string(core.IdentityMismatch), "Pull", "%s", cut(note, maxNote))
	return true
}
