package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/kube"
)

// Events about breakers, besides those that are named after Reasons.
const (
	breakerTrying  = "BreakerTrying"
	breakerClosed  = "BreakerClosed"
	imageRecovered = "ImageRecovered"
	pullsFailing   = "PullsFailing"
	pullsRecovered = "PullsRecovered"
)

// alarms tells of every transition of a breaker: of an account on its PullBudget, of a
// revision on its workload, of a node on the node; never on pods, of which there may be
// thousands. Only the turn uses it.
type alarms struct {
	reader  client.Reader
	events  recorder.EventRecorder
	metrics *Metrics

	// accounts are the breakers as they were told of last, failing the revisions and
	// nodes.
	accounts map[core.AccountID]feedback.View
	failing  map[blamed]feedback.View
}

// blamed is what failing pulls are put down to.
type blamed struct{ workload, revision, node string }

func newAlarms(r client.Reader, e recorder.EventRecorder, m *Metrics) *alarms {
	return &alarms{reader: r, events: e, metrics: m, accounts: map[core.AccountID]feedback.View{}, failing: map[blamed]feedback.View{}}
}

// restore takes in what was told before: a new leader does not tell it again.
func (a *alarms) restore(budgets []v1alpha1.PullBudget) {
	for i := range budgets {
		for _, s := range budgets[i].Status.Accounts {
			if b := s.Breaker; b != nil && b.Cause != string(core.Paused) {
				a.accounts[core.AccountID(s.Account)] = feedback.View{State: feedback.State(b.State)}
			}
		}
	}
}

// tell tells of what changed since the last call.
func (a *alarms) tell(ctx context.Context, w *world, d engine.Decision) {
	seen := map[core.AccountID]bool{}
	for _, v := range d.Accounts {
		seen[v.Account] = true
		before := a.accounts[v.Account]
		before.State = cmp.Or(before.State, feedback.OK)
		now := v.Breaker
		now.State = cmp.Or(now.State, feedback.OK)
		a.accounts[v.Account] = now
		if moved(before, now) {
			a.metrics.transition(v.Account, now.State)
			a.tellAccount(w, v.Account, before, now)
		}
	}
	for id := range a.accounts {
		if !seen[id] {
			delete(a.accounts, id)
		}
	}
	a.tellFailing(ctx, w, d)
}

// moved reports whether a breaker is in another state, or in the same once more.
func moved(before, now feedback.View) bool {
	return before.State != now.State || before.Opened != 0 && now.Opened > before.Opened
}

// tellAccount records an Event on the PullBudget of an account.
func (a *alarms) tellAccount(w *world, id core.AccountID, before, now feedback.View) {
	budget := w.budgets[w.tracker.BudgetOf(id)]
	if budget == nil {
		return
	}
	kind, reason, note := corev1.EventTypeNormal, breakerClosed, "pulls succeed: pods go as the budget allows"
	switch now.State {
	case feedback.Paused:
		kind, reason = corev1.EventTypeWarning, string(core.BreakerOpen)
		note = "paused: " + pausedBy(now) + words(newest(w.tracker.FailingPulls(), func(f kube.FailingPull) bool { return f.Account == id && f.Class == now.Cause.Class }))
	case feedback.Trying:
		reason, note = breakerTrying, "the registry is asked again; then one pod is let go to try"
	default:
		if w.tracker.ResumedSince(id, before.Since) {
			return // the person's order is an Event already
		}
	}
	a.events.Eventf(budget, nil, kind, reason, "Breaker", "%s", cut(string(id)+": "+note, maxNote))
}

// pausedBy says by what something is paused and what comes next.
func pausedBy(v feedback.View) string {
	text := cmp.Or(v.Cause.String(), "pulls fail")
	if v.Until.IsZero() {
		return text + "; tried again after the next reading"
	}
	return text + "; tried again at " + v.Until.UTC().Format(time.TimeOnly) + " UTC at the soonest"
}

// newest is the failing pull that was seen last of those that match; nil: none does.
func newest(pulls []kube.FailingPull, match func(kube.FailingPull) bool) *kube.FailingPull {
	var found *kube.FailingPull
	for i := range pulls {
		if p := &pulls[i]; match(*p) && (found == nil || p.Last.After(found.Last)) {
			found = p
		}
	}
	return found
}

// words quotes a kubelet.
func words(f *kube.FailingPull) string {
	if f == nil || f.Message == "" {
		return ""
	}
	return fmt.Sprintf("; pod %s/%s: %s", f.Pod.Namespace, f.Pod.Name, cut(f.Message, maxWords))
}

// maxWords bounds what of a kubelet's message is shown.
const maxWords = 400

// tellFailing tells of revisions and nodes that failing pulls are put down to.
func (a *alarms) tellFailing(ctx context.Context, w *world, d engine.Decision) {
	now := map[blamed]feedback.View{}
	for _, f := range d.Failing {
		if f.State == feedback.OK {
			continue
		}
		key := blamed{f.Workload, f.Revision, string(f.Node)}
		now[key] = f.View
		if before, told := a.failing[key]; !told || before.Cause.Class != f.Cause.Class {
			if !a.begins(ctx, w, key, f.View) {
				delete(now, key) // not in the cache yet: a later turn says it
			}
		}
	}
	for key, before := range a.failing {
		if _, still := now[key]; !still {
			a.ends(ctx, w, key, before)
		}
	}
	a.failing = now
}

// begins tells that a revision or node fails; false: it is not there to be told of.
func (a *alarms) begins(ctx context.Context, w *world, key blamed, v feedback.View) bool {
	if key.node != "" {
		f := newest(w.tracker.FailingPulls(), func(f kube.FailingPull) bool { return f.Pod.Spec.NodeName == key.node })
		return a.say(ctx, nodeKey(key.node), corev1.EventTypeWarning, pullsFailing, "pulls fail on this node: "+v.Cause.String()+words(f))
	}
	owner, ok := kube.ParseOwner(key.workload)
	if !ok || !w.tracker.Enforced(owner) {
		return true // nothing of it is held
	}
	return a.say(ctx, owner, corev1.EventTypeWarning, string(core.ImageFailing), "no more pods of revision "+cmp.Or(key.revision, "-")+" are let go: "+failingImage(w.tracker, owner, key.revision, v))
}

// failingImage says of what a revision fails, what the kubelet says and what helps.
func failingImage(t *kube.Tracker, owner kube.Owner, revision string, v feedback.View) string {
	class := v.Cause.Class
	f := newest(t.FailuresOf(owner, revision), func(f kube.FailingPull) bool { return f.Class == class })
	text := cmp.Or(v.Cause.String(), string(class))
	if f != nil {
		text = fmt.Sprintf("%s: %s", f.Image, text)
	}
	info := class.Info()
	return fmt.Sprintf("%s; %s; %s%s", text, info.Text, info.Remedy, words(f))
}

// ends tells that a revision or node does not fail any more. A workload that is gone has
// nothing to be told.
func (a *alarms) ends(ctx context.Context, w *world, key blamed, before feedback.View) {
	if key.node != "" {
		a.say(ctx, nodeKey(key.node), corev1.EventTypeNormal, pullsRecovered, "pulls on this node succeed again")
		return
	}
	owner, ok := kube.ParseOwner(key.workload)
	if !ok || !w.tracker.Enforced(owner) || w.tracker.OwnerResumedSince(owner, before.Since) {
		return // it was not told, or a person's order is an Event already
	}
	a.say(ctx, owner, corev1.EventTypeNormal, imageRecovered, "revision "+cmp.Or(key.revision, "-")+" is let go again: its images can be pulled, or it is gone")
}

// nodeKey names a node as an owner.
func nodeKey(name string) kube.Owner { return kube.Owner{Kind: "Node", Name: name} }

// say records an Event on a workload or node and reports whether it is there.
func (a *alarms) say(ctx context.Context, owner kube.Owner, kind, reason, note string) bool {
	var object client.Object
	switch owner.Kind {
	case "Deployment":
		object = &appsv1.Deployment{}
	case "ReplicaSet":
		object = &appsv1.ReplicaSet{}
	case "Job":
		object = &batchv1.Job{}
	case kube.RolloutKind:
		object = kube.NewRollout()
	case "Node":
		object = &corev1.Node{}
	case "Pod":
		object = &corev1.Pod{}
	default:
		return true // of kinds that are not watched the metrics tell
	}
	if a.reader.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: owner.Name}, object) != nil {
		return false
	}
	a.events.Eventf(object, nil, kind, reason, "Pull", "%s", cut(note, maxNote))
	return true
}

// causesOf says of each hold of a group which failing pulls caused it, empty where none
// did, and of what kind they are, which is what of it is worth a new explanation.
func causesOf(t *kube.Tracker, d engine.Decision, holds []engine.Hold) (causes []string, kinds string) {
	causes = make([]string, len(holds))
	for i, h := range holds {
		switch h.Reason {
		case core.BreakerOpen:
			if at := slices.IndexFunc(d.Accounts, func(v engine.View) bool { return v.Account == h.Account }); at >= 0 {
				b := d.Accounts[at].Breaker
				causes[i] = fmt.Sprintf("%s is paused: %s; it is asked again, then one pod is let go to try, then the others as the budget allows",
					h.Account, cmp.Or(b.Cause.String(), "pulls fail"))
				kinds += string(b.Cause.Class)
			}
		case core.ImageFailing:
			g, _ := t.Group(h.Group)
			at := slices.IndexFunc(d.Failing, func(f engine.Failing) bool { return f.Workload == g.Workload && f.Revision == g.Revision })
			if owner, ok := kube.ParseOwner(g.Workload); ok && at >= 0 {
				v := d.Failing[at].View
				causes[i] = failingImage(t, owner, g.Revision, v) + "; goes on by itself when a pull of it succeeds"
				kinds += string(v.Cause.Class)
			}
		}
	}
	return causes, kinds
}
