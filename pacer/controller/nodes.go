package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// askRightsEvery is how often it is asked whether nodes may be patched, while a policy
// holds nodes: the role may come or go while we run. Where they may not be, it is asked
// more often: nodes that come meanwhile are not held.
const (
	askRightsEvery = 30 * time.Second
	askRightsSoon  = 2 * time.Second
)

// nodeRights tells whether the API server lets us hold nodes. Only the turn uses it.
type nodeRights struct {
	client client.Client
	asked  time.Time
	may    bool
	why    string
}

// look asks again when it is time.
func (r *nodeRights) look(ctx context.Context, now time.Time, wanted bool) bool {
	every := askRightsEvery
	if !r.may {
		every = askRightsSoon
	}
	if !wanted || now.Sub(r.asked) < every {
		return r.may
	}
	r.asked, r.may, r.why = now, true, ""
	for _, sub := range []string{"", "status"} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "patch", Resource: "nodes", Subresource: sub}}}
		if err := r.client.Create(ctx, review); err != nil {
			r.may, r.why = false, "asking whether nodes may be patched: "+err.Error()
			break
		}
		if !review.Status.Allowed {
			r.may, r.why = false, "the controller may not patch nodes: `kubectl pace install --node-waves` gives it the role"
		}
	}
	return r.may
}

// readNodes takes in what no event tells of nodes.
func (t *Turn) readNodes(ctx context.Context, now time.Time) {
	tracker := t.world.tracker
	may := t.rights.look(ctx, now, tracker.NodePolicy() != "")
	for _, ev := range tracker.NodesHoldable(now, may) {
		t.tell(now, ev)
	}
	for _, ev := range tracker.ClusterAutoscaler(now, t.feed.hasAutoscaler()) {
		t.tell(now, ev)
	}
	for _, ev := range tracker.Advance(now) {
		t.tell(now, ev)
	}
}

// holdsInFlight is how many holds of nodes are written at once: each must be there before
// its node takes pods, which is a matter of seconds.
const holdsInFlight = 32

// nodeHolding is a node that is being held.
type nodeHolding struct {
	kube.WaitingNode
	note string
	err  error
}

// holdNodes puts a hold on the new nodes that a decision does not let go, in the time
// before they take pods. What is not written at once is looked at again in the next
// turn, as it is then.
func (t *Turn) holdNodes(ctx context.Context, d engine.Decision) {
	tracker, now := t.world.tracker, t.clock.Now()
	wanted, pass := tracker.Waiting(d)
	for _, w := range pass {
		if gate.NodeHeld(w.Node) {
			t.excess = append(t.excess, kube.NodeRelease{Node: w.Node, Reason: core.Excluded})
			continue
		}
		t.passNode(now, w.Node, core.Excluded)
	}
	// As many as are written in the time of the releases of a turn.
	wanted = wanted[:min(len(wanted), holdsInFlight/patchesInFlight*t.writes.bound(mostWrites))]
	if len(wanted) == 0 {
		return
	}
	reasons := map[core.GroupID]engine.Hold{}
	for _, h := range d.Holds {
		reasons[h.Group] = h
	}
	var group errgroup.Group
	group.SetLimit(holdsInFlight)
	holds := make([]nodeHolding, len(wanted))
	for i, w := range wanted {
		h := reasons[w.Group]
		holds[i] = nodeHolding{WaitingNode: w, note: string(cmp.Or(h.Reason, core.WaitingForBudget)) + ": " + messageOf("node", h, "", w.Until)}
		group.Go(func() error {
			holds[i].err = t.releaser.holdNode(ctx, w.Node, w.Until, holds[i].note)
			return nil
		})
	}
	_ = group.Wait() // every error is kept with its node
	for _, h := range holds {
		t.heldNode(ctx, now, h)
	}
}

// heldNode tells how the hold of a node ended.
func (t *Turn) heldNode(ctx context.Context, now time.Time, h nodeHolding) {
	switch {
	case h.err == nil:
		t.metrics.nodes.held()
		t.events.Eventf(h.Node, nil, corev1.EventTypeNormal, string(core.NodeHeld), "Hold", "%s", cut("held: "+h.note, maxNote))
	case errors.Is(h.err, errGone):
	case apierrors.IsConflict(h.err):
		// Somebody else writes to it: the next turn decides on it as it is.
	default:
		t.metrics.nodes.failed()
		log.FromContext(ctx).Error(h.err, "node not held", "node", h.Node.Name)
		t.passNode(now, h.Node, core.ReleaseRefused)
	}
}

// nodeText explains a Reason for a node.
func nodeText(r core.Reason) string {
	switch r {
	case core.Excluded:
		return "too few nodes would have been left to take pods"
	case core.NotOptedIn:
		return "no policy holds nodes"
	}
	return text(r)
}

func (t *Turn) passNode(now time.Time, n *corev1.Node, why core.Reason) {
	for _, ev := range t.world.tracker.PassNode(now, n, why) {
		t.tell(now, ev)
	}
}

// leavingNodes are the nodes that a decision lets go, and those that nobody may hold
// any more.
func (t *Turn) leavingNodes(d engine.Decision) []*going {
	var out []*going
	chosen := map[string]bool{}
	add := func(n *corev1.Node, group core.GroupID, reason core.Reason, cost []v1alpha1.MarkCost) {
		if !chosen[n.Name] {
			chosen[n.Name] = true
			out = append(out, &going{node: n, ids: []core.PodID{kube.NodePodID(n)}, group: group, reason: reason,
				letting: gate.Letting{Mark: v1alpha1.ReleaseMark{Decision: d.ID, Time: d.At.UTC(), Reason: string(reason), Cost: cost}}})
		}
	}
	for _, f := range t.world.tracker.FreedNodes() {
		add(f.Node, "", f.Reason, nil)
	}
	for _, f := range t.excess {
		add(f.Node, "", f.Reason, nil)
	}
	t.excess = nil
	for _, r := range d.Releases {
		nodes := t.world.tracker.ChooseNodes(r)
		for _, n := range nodes {
			add(n, r.Group, r.Reason, share(r.Cost, r.Count))
		}
	}
	return out
}

// looseAgain is how long a node is left alone whose marks could not be taken off.
const looseAgain = 10 * time.Second

// tidyNodes takes our marks off nodes that somebody else let go, and our taint off
// nodes that it came back to after we let them go.
func (t *Turn) tidyNodes(ctx context.Context, d engine.Decision) {
	now := t.clock.Now()
	for _, loose := range t.world.tracker.LooseNodes(now) {
		if now.Before(t.looseUntil[loose.Node.UID]) {
			continue
		}
		mark := v1alpha1.ReleaseMark{Decision: d.ID, Time: now.UTC(), Reason: string(loose.Reason)}
		if at := gate.NodeReleasedAt(loose.Node); !at.IsZero() {
			mark.Time = at.UTC()
		}
		t.looseUntil[loose.Node.UID] = now.Add(looseAgain)
		err := t.releaser.letNode(ctx, loose.Node, mark)
		switch {
		case err == nil:
			if gate.NodeReleasedAt(loose.Node).IsZero() {
				t.metrics.nodes.released(loose.Reason)
				t.events.Eventf(loose.Node, nil, corev1.EventTypeNormal, string(loose.Reason), "Release", "somebody let the node go: its taint is not put back%s", t.orders.who(loose.Node, loose.Reason))
			}
		case !errors.Is(err, errGone):
			log.FromContext(ctx).Error(err, "marks not taken off", "node", loose.Node.Name)
		}
	}
	for uid, until := range t.looseUntil {
		if now.After(until) {
			delete(t.looseUntil, uid)
		}
	}
}

// holdNode writes the hold of a node as a patch under optimistic lock: the list of
// taints is one value, and what others put on it meanwhile must not be lost. A node
// that takes pods by then is left alone.
func (r *releaser) holdNode(ctx context.Context, n *corev1.Node, until time.Time, why string) error {
	for attempt := 0; ; attempt++ {
		next := n.DeepCopy()
		if !gate.HoldNode(next, until) {
			return nil
		}
		next.Annotations[v1alpha1.AnnotationHoldReason] = cut(why, maxNote)
		err := r.patchNode(ctx, n, next)
		if err == nil || !apierrors.IsConflict(err) || attempt >= conflictRetries {
			return err
		}
		if n, err = r.rereadNode(ctx, n); err != nil {
			return err
		}
		if !gate.NodeHeld(n) && (!gate.NodeReleasedAt(n).IsZero() || kube.TakesPods(n)) {
			return errGone
		}
	}
}

// letNode writes the release of a node, as holdNode writes its hold.
func (r *releaser) letNode(ctx context.Context, n *corev1.Node, mark v1alpha1.ReleaseMark) error {
	for attempt := 0; ; attempt++ {
		next := n.DeepCopy()
		gate.LetNode(next, mark)
		err := r.patchNode(ctx, n, next)
		if err == nil || !apierrors.IsConflict(err) || attempt >= conflictRetries {
			return err
		}
		if n, err = r.rereadNode(ctx, n); err != nil {
			return err
		}
	}
}

func (r *releaser) patchNode(ctx context.Context, before, next *corev1.Node) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err := r.client.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldManager))
	switch {
	case apierrors.IsNotFound(err):
		return errGone
	case err != nil:
		return fmt.Errorf("writing node %s: %w", before.Name, err)
	}
	return nil
}

// rereadNode fetches a node again; another of the same name is not it.
func (r *releaser) rereadNode(ctx context.Context, n *corev1.Node) (*corev1.Node, error) {
	var now corev1.Node
	err := r.live.Get(ctx, client.ObjectKeyFromObject(n), &now)
	switch {
	case apierrors.IsNotFound(err), err == nil && now.UID != n.UID:
		return nil, errGone
	case err != nil:
		return nil, fmt.Errorf("reading node %s again: %w", n.Name, err)
	}
	return &now, nil
}
