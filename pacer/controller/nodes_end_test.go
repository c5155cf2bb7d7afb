package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
)

// TestWhatAPersonLetsGoStaysFree takes the taint off by hand, in the ways that people and
// programs do.
func TestWhatAPersonLetsGoStaysFree(t *testing.T) {
	t.Parallel()
	untaint := func(n *corev1.Node) {
		n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint })
	}
	cases := map[string]func(*corev1.Node){
		"the taint alone": untaint,
		"all of it":       func(n *corev1.Node) { gate.Clean(n) },
		"all of it, with an order": func(n *corev1.Node) {
			gate.Clean(n)
			n.Annotations = map[string]string{v1alpha1.AnnotationOverride: v1alpha1.Order{By: "ann", Reason: "now", At: start}.String()}
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := makeBench(t, interceptor.Funcs{}, scaleUp(1, four()...)...)
			b.steps(2)
			b.edit("new-3", change)
			b.steps(2)
			b.wantWorn("after the edit", "new-1", "new-2")
			n := b.node("new-3")
			if reasonOf(n) != core.Override || n.Labels[v1alpha1.LabelHeld] != "" || n.Annotations[v1alpha1.AnnotationHoldUntil] != "" {
				t.Errorf("let go for %q, labels %v, annotations %v; want Override and no mark of a hold", reasonOf(n), n.Labels, n.Annotations)
			}
			b.restart().steps(2)
			b.wantWorn("after a restart", "new-1", "new-2")
		})
	}
}

// TestAnOrderLetsANodeGo follows `release node/NAME`.
func TestAnOrderLetsANodeGo(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(1, four()...)...)
	b.steps(1)
	b.edit("new-2", func(n *corev1.Node) {
		n.Annotations[v1alpha1.AnnotationOverride] = v1alpha1.Order{By: "ann", Reason: "now", At: b.clock.Now(), Now: true}.String()
	})
	b.steps(1)
	b.wantWorn("after the order", "new-1", "new-3")
	if got := reasonOf(b.node("new-2")); got != core.Override {
		t.Errorf("let go for %q, want Override", got)
	}
}

// TestATaintThatComesBackIsTakenOff is a node that Karpenter registers after it was let
// go: it puts the startup taints of its NodePool on it then.
func TestATaintThatComesBackIsTakenOff(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(100, four()...)...)
	b.steps(1)
	released := gate.NodeReleasedAt(b.node("new-0"))
	b.edit("new-0", func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, heldTaint()) })
	b.steps(1)
	b.wantWorn("after it came back")
	if n := b.node("new-0"); reasonOf(n) != core.Budget || !gate.NodeReleasedAt(n).Equal(released) {
		t.Errorf("let go for %q at %v, want as before: Budget at %v", reasonOf(n), gate.NodeReleasedAt(n), released)
	}
}

// TestHeldNodesAreFoundAgain ends the controller with nodes held and begins another.
func TestHeldNodesAreFoundAgain(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(1, four()...)...)
	b.steps(1)
	b.wantWorn("before", "new-1", "new-2", "new-3")
	// Meanwhile one registers that nobody is there to see, with the taint.
	if err := b.client.Create(t.Context(), newNode("late", registersHeld)); err != nil {
		t.Fatal(err)
	}
	b.clock.Step(30 * time.Second)
	next := b.restart()
	next.steps(1)
	next.wantWorn("right after", "late", "new-1", "new-2", "new-3")
	for range 5 * 60 {
		next.steps(1)
		for _, o := range next.list(&corev1.Node{}) {
			if n := o.(*corev1.Node); reasonOf(n) != "" && len(n.Status.Images) == 0 {
				next.arrived(n.Name)
			}
		}
	}
	next.wantWorn("five minutes later")
	if got := reasonOf(b.node("late")); got != core.Budget {
		t.Errorf("late was let go for %q, want Budget", got)
	}
}

// TestTheBoundOfANodeEnds has a budget that gives nothing for longer than a node may be
// held.
func TestTheBoundOfANodeEnds(t *testing.T) {
	t.Parallel()
	budget := makeBudget(1)
	budget.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{By: "ann"}.String()}
	b := makeBench(t, interceptor.Funcs{}, append([]client.Object{makeNamespace(nil), holdingNodes(), budget, agent(), oldNode("a"), oldNode("b"), oldNode("c")}, newNode("new-0"))...)
	b.steps(2)
	b.wantWorn("at first", "new-0")
	b.clock.Step(v1alpha1.DefaultNodeHold)
	b.steps(2)
	b.wantWorn("after its bound")
	if got := reasonOf(b.node("new-0")); got != core.HoldExpired {
		t.Errorf("let go for %q, want HoldExpired", got)
	}
}

// TestNoPolicyNoHold takes the policy away while nodes are held.
func TestNoPolicyNoHold(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(1, four()...)...)
	b.steps(1)
	policy := makePolicy()
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(policy), policy); err != nil {
		t.Fatal(err)
	}
	policy.Spec.Nodes.Hold, policy.Generation = false, 2
	if err := b.client.Update(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	b.see()
	b.steps(1)
	b.wantWorn("after the policy changed")
}

// TestWithoutTheRoleNoNodeIsHeld is an installation without --node-waves.
func TestWithoutTheRoleNoNodeIsHeld(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(1, append(four(), oldNode("old-4"))...)...)
	b.turn.rights = &nodeRights{client: denying{b.client}}
	b.steps(2)
	b.wantWorn("without the role")
	var policy v1alpha1.PacePolicy
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "default"}, &policy); err != nil {
		t.Fatal(err)
	}
	c := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionNodesHeld)
	if c == nil || c.Status != metav1.ConditionFalse || c.Reason != "Forbidden" || !strings.Contains(c.Message, "--node-waves") {
		t.Errorf("condition %+v, want False with what to do", c)
	}
	// The role comes: nodes that come then are held.
	b.turn.rights.client = allowing{b.client}
	b.steps(2)
	if err := b.client.Create(t.Context(), newNode("new-4")); err != nil {
		t.Fatal(err)
	}
	b.see()
	b.steps(1)
	if !slices.Contains(b.worn(), "new-4") {
		t.Errorf("held are %v, want new-4 among them: the role is there", b.worn())
	}
}

// denying is a cluster that lets us do nothing that we ask for.
type denying struct{ client.Client }

func (denying) Create(context.Context, client.Object, ...client.CreateOption) error { return nil }

// TestAHoldThatIsRefusedIsGivenUp is a policy engine that denies the patch.
func TestAHoldThatIsRefusedIsGivenUp(t *testing.T) {
	t.Parallel()
	deny := interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if n, ok := o.(*corev1.Node); ok && gate.NodeHeld(n) {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, n.Name, fmt.Errorf("denied"))
		}
		return c.Patch(ctx, o, p, opts...)
	}}
	b := makeBench(t, deny, scaleUp(1, four()...)...)
	b.steps(2)
	b.wantWorn("refused")
	for i := 1; i < 4; i++ {
		if reason, granted := b.turn.world.tracker.Granted(fmt.Sprintf("new-%d", i)); !granted || reason != core.ReleaseRefused {
			t.Errorf("node new-%d granted %v for %q, want as refused", i, granted, reason)
		}
	}
}

// TestNodesSayThatTheyWereLetGo writes the condition that readiness rules wait for.
func TestNodesSayThatTheyWereLetGo(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(2, append(four(), newNode("general", ofPool("general")))...)...)
	b.steps(2)
	for {
		_, x, ok := b.turn.explainer.pop()
		if !ok {
			break
		}
		if err := b.turn.explainer.write(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for _, o := range b.list(&corev1.Node{}) {
		for _, c := range o.(*corev1.Node).Status.Conditions {
			if c.Type == v1alpha1.ConditionPullBudgetGranted {
				got[o.GetName()] = string(c.Status) + " " + c.Reason
				if strings.HasPrefix(c.Message, "not held: ") {
					got[o.GetName()] += ", " + c.Message
				}
			}
		}
	}
	const late = "True Excluded, not held: it took pods before it could be held"
	want := map[string]string{"old-0": late, "old-1": late, "old-2": late, "old-3": late,
		"general": "True Excluded, not held: startupTaints of NodePool general do not name the taint pullpace.dev/held",
		"new-0":   "True Budget", "new-1": "False WaitingForBudget", "new-2": "False WaitingForBudget", "new-3": "False WaitingForBudget"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

// TestEveryReplicaHonoursTheBoundOfANode has no turn completed.
func TestEveryReplicaHonoursTheBoundOfANode(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(1, four()...)...)
	b.steps(1)
	follower := &bound{client: b.client, releaser: b.turn.releaser, events: b.events, metrics: b.turn.metrics, clock: b.clock, beating: func() bool { return false }}
	look := func(want ...string) {
		t.Helper()
		if err := follower.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.wantWorn("after a look", want...)
	}
	look("new-1", "new-2", "new-3")
	b.clock.Step(v1alpha1.DefaultNodeHold)
	look("new-2", "new-3") // one at a time
	look("new-3")
	if got := reasonOf(b.node("new-1")); got != core.HoldExpired {
		t.Errorf("let go for %q, want HoldExpired", got)
	}
}
