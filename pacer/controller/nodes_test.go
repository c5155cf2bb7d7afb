package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// holdingNodes is the policy that holds nodes.
func holdingNodes() *v1alpha1.PacePolicy {
	p := makePolicy()
	p.Spec.Nodes = &v1alpha1.Nodes{Hold: true}
	return p
}

// agent is a DaemonSet that runs one image on every node.
func agent() *appsv1.DaemonSet {
	d := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "agent", UID: "agent"}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "agent", Image: "acme/agent:1"}}
	return d
}

func notReadyTaint() corev1.Taint {
	return corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
}

func heldTaint() corev1.Taint {
	return corev1.Taint{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule}
}

func readiness(ready corev1.ConditionStatus) []corev1.NodeCondition {
	return []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
}

// oldNode is ready for days and has the image of the agent.
func oldNode(name string) *corev1.Node {
	n := makeNode(name)
	n.UID, n.CreationTimestamp = types.UID(name), metav1.NewTime(start.Add(-100*time.Hour))
	n.Status.Conditions = readiness(corev1.ConditionTrue)
	n.Status.NodeInfo.BootID = "boot-" + name
	n.Status.Images = []corev1.ContainerImage{{Names: []string{"docker.io/acme/agent:1"}}}
	return n
}

// newNode registers as the test begins and is not ready yet.
func newNode(name string, edit ...func(*corev1.Node)) *corev1.Node {
	n := makeNode(name)
	n.UID, n.CreationTimestamp = types.UID(name), metav1.NewTime(start)
	n.Spec.Taints = []corev1.Taint{notReadyTaint()}
	n.Status.Conditions = readiness(corev1.ConditionFalse)
	n.Status.NodeInfo.BootID = "boot-" + name
	for _, e := range edit {
		e(n)
	}
	return n
}

func registersHeld(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, heldTaint()) }

func ofPool(name string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[kube.LabelNodePool] = name }
}

// scaleUp is a cluster of four old nodes to which four new ones come, and a budget of so
// many pulls a minute.
func scaleUp(pulls int64, more ...client.Object) []client.Object {
	objects := []client.Object{makeNamespace(nil), holdingNodes(), makeBudget(pulls), agent()}
	for i := range 4 {
		objects = append(objects, oldNode(fmt.Sprintf("old-%d", i)))
	}
	return append(objects, more...)
}

func four(edit ...func(*corev1.Node)) []client.Object {
	var out []client.Object
	for i := range 4 {
		out = append(out, newNode(fmt.Sprintf("new-%d", i), edit...))
	}
	return out
}

func (b *bench) node(name string) *corev1.Node {
	b.t.Helper()
	var n corev1.Node
	if err := b.client.Get(b.t.Context(), client.ObjectKey{Name: name}, &n); err != nil {
		b.t.Fatalf("reading node %s: %v", name, err)
	}
	return &n
}

// edit changes a node as somebody else would, and lets the turn see it.
func (b *bench) edit(name string, change func(*corev1.Node)) {
	b.t.Helper()
	n := b.node(name)
	status := n.DeepCopy()
	change(status)
	if err := b.client.Status().Update(b.t.Context(), status); err != nil {
		b.t.Fatal(err)
	}
	n = b.node(name)
	change(n)
	if err := b.client.Update(b.t.Context(), n); err != nil {
		b.t.Fatal(err)
	}
	b.see()
}

// worn are the names of the nodes that wear our taint.
func (b *bench) worn() []string {
	b.t.Helper()
	var out []string
	for _, o := range b.list(&corev1.Node{}) {
		if gate.NodeHeld(o.(*corev1.Node)) {
			out = append(out, o.GetName())
		}
	}
	slices.Sort(out)
	return out
}

func (b *bench) wantWorn(when string, want ...string) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.worn()); diff != "" {
		b.t.Errorf("%s: nodes that wear the taint (-want +got):\n%s", when, diff)
	}
}

// steps takes so many turns, a second apart.
func (b *bench) steps(n int) {
	b.t.Helper()
	for range n {
		if err := b.take(time.Second); err != nil {
			b.t.Fatal(err)
		}
	}
}

// arrived has the agent run on nodes: they list its image, and are ready.
func (b *bench) arrived(names ...string) {
	b.t.Helper()
	for _, name := range names {
		b.edit(name, func(n *corev1.Node) {
			n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady })
			n.Status.Conditions = readiness(corev1.ConditionTrue)
			n.Status.Images = []corev1.ContainerImage{{Names: []string{"docker.io/acme/agent:1"}}}
		})
	}
}

// reasonOf is why a node was let go; empty: it was not.
func reasonOf(n *corev1.Node) core.Reason {
	mark, err := v1alpha1.ParseReleaseMark(n.Annotations[v1alpha1.AnnotationRelease])
	if err != nil {
		return ""
	}
	return core.Reason(mark.Reason)
}

// TestNewNodesWaitForTheBudget gives two pulls a minute to four new nodes that need one
// each: two go before they were ever held, two are held until the minute is over.
func TestNewNodesWaitForTheBudget(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(2, four()...)...)
	b.steps(1)
	b.wantWorn("first turn", "new-2", "new-3")
	for _, name := range []string{"new-0", "new-1"} {
		if n := b.node(name); reasonOf(n) != core.Budget || n.Labels[v1alpha1.LabelHeld] != "" {
			t.Errorf("node %s: let go for %q, label %q: want Budget and none", name, reasonOf(n), n.Labels[v1alpha1.LabelHeld])
		}
	}
	held := b.node("new-2")
	if diff := cmp.Diff([]corev1.Taint{notReadyTaint(), heldTaint()}, held.Spec.Taints); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	if got, want := gate.HoldUntil(held), start.Add(v1alpha1.DefaultNodeHold); !got.Equal(want) || held.Labels[v1alpha1.LabelHeld] != "true" {
		t.Errorf("hold until %v, label %q; want %v and true", got, held.Labels[v1alpha1.LabelHeld], want)
	}
	if why := held.Annotations[v1alpha1.AnnotationHoldReason]; !strings.HasPrefix(why, "WaitingForBudget: ") {
		t.Errorf("hold reason %q, want WaitingForBudget with numbers", why)
	}
	if said := strings.Join(b.said(), "\n"); strings.Count(said, "Normal NodeHeld held: ") != 2 {
		t.Errorf("Events:\n%s\nwant NodeHeld on two nodes", said)
	}
	b.arrived("new-0", "new-1")
	b.steps(30)
	b.wantWorn("half a minute later", "new-2", "new-3")
	b.steps(90)
	b.wantWorn("two minutes later")
	if n := b.node("new-3"); reasonOf(n) != core.Budget || n.Annotations[v1alpha1.AnnotationHoldUntil] != "" || n.Annotations[v1alpha1.AnnotationHoldReason] != "" {
		t.Errorf("node new-3: let go for %q, annotations %v", reasonOf(n), n.Annotations)
	}
}

// TestNodesGoUntaintedWhileThereIsBudget asks the API server for every write: decided
// first, a node that goes is never tainted.
func TestNodesGoUntaintedWhileThereIsBudget(t *testing.T) {
	t.Parallel()
	var tainted atomic.Bool // nodes are written side by side
	watch := interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if n, ok := o.(*corev1.Node); ok && gate.NodeHeld(n) {
			tainted.Store(true)
		}
		return c.Patch(ctx, o, p, opts...)
	}}
	b := makeBench(t, watch, scaleUp(100, four()...)...)
	b.steps(3)
	if tainted.Load() {
		t.Error("a node was tainted although the budget had its units")
	}
	for i := range 4 {
		if n := b.node(fmt.Sprintf("new-%d", i)); reasonOf(n) != core.Budget {
			t.Errorf("node %s: let go for %q, want Budget", n.Name, reasonOf(n))
		}
	}
}

func TestWhichNodesAreHeld(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		objects []client.Object
		want    []string
	}{
		"half of the cluster's":        {scaleUp(1, append(four(), newNode("new-4"), newNode("new-5"))...), []string{"new-1", "new-2", "new-3", "new-4", "new-5"}},
		"never more than half":         {append(scaleUp(1, four()...), newNode("new-4"), newNode("new-5"), newNode("new-6"), newNode("new-7")), []string{"new-2", "new-3", "new-4", "new-5", "new-6", "new-7"}},
		"none while all are new":       {append([]client.Object{makeNamespace(nil), holdingNodes(), makeBudget(1), agent()}, four()...), nil},
		"none of the last two":         {append([]client.Object{makeNamespace(nil), holdingNodes(), makeBudget(1), agent(), oldNode("old-0")}, four()...), nil},
		"none while the policy is off": {append([]client.Object{makeNamespace(nil), makePolicy(), makeBudget(1), agent()}, append(four(), oldNode("a"), oldNode("b"), oldNode("c"))...), nil},
		"none that pulls nothing":      {append([]client.Object{makeNamespace(nil), holdingNodes(), makeBudget(1)}, append(four(), oldNode("a"), oldNode("b"), oldNode("c"))...), nil},
		"none that is ready":           {scaleUp(1, four(func(n *corev1.Node) { n.Spec.Taints, n.Status.Conditions = nil, readiness(corev1.ConditionTrue) })...), nil},
		"one that is ready and not told so": {scaleUp(1, four(func(n *corev1.Node) { n.Status.Conditions = readiness(corev1.ConditionTrue) })...),
			[]string{"new-1", "new-2", "new-3"}},
		"none that boots again":                {scaleUp(1, four(func(n *corev1.Node) { n.CreationTimestamp = metav1.NewTime(start.Add(-time.Hour)) })...), nil},
		"none that Karpenter would make again": {scaleUp(1, four(ofPool("general"))...), nil},
		"one that registers with the taint":    {scaleUp(1, four(registersHeld)...), []string{"new-1", "new-2", "new-3"}},
		"one of Karpenter's that does":         {scaleUp(1, append(four(ofPool("general"), registersHeld), oldNode("old-4"))...), []string{"new-2", "new-3"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := makeBench(t, interceptor.Funcs{}, tc.objects...)
			b.steps(2)
			b.wantWorn("after two turns", tc.want...)
		})
	}
}

// TestAdoptsANodeThatRegistersHeld gives one that nobody but its taint holds the marks by
// which it is found without Pace.
func TestAdoptsANodeThatRegistersHeld(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(1, four(registersHeld)...)...)
	b.steps(1)
	n := b.node("new-3")
	if n.Labels[v1alpha1.LabelHeld] != "true" || !gate.HoldUntil(n).Equal(start.Add(v1alpha1.DefaultNodeHold)) || len(n.Spec.Taints) != 2 {
		t.Errorf("labels %v, hold until %v, taints %v", n.Labels, gate.HoldUntil(n), n.Spec.Taints)
	}
}

// TestAKnownNodeThatBootsAgainIsNotNew boots a node minutes after it joined.
func TestAKnownNodeThatBootsAgainIsNotNew(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, scaleUp(1, newNode("new-0"))...)
	b.steps(1)
	b.edit("new-0", func(n *corev1.Node) { n.Spec.Taints, n.Status.Conditions = nil, readiness(corev1.ConditionTrue) })
	b.steps(1)
	b.edit("new-0", func(n *corev1.Node) {
		n.Spec.Taints, n.Status.Conditions = []corev1.Taint{notReadyTaint()}, readiness(corev1.ConditionFalse)
		n.Status.NodeInfo.BootID = "second"
		delete(n.Annotations, v1alpha1.AnnotationRelease)
	})
	if err := b.client.Create(t.Context(), newNode("new-1")); err != nil {
		t.Fatal(err)
	}
	b.see()
	b.steps(1)
	b.wantWorn("after the boot", "new-1")
}

// TestAHoldKeepsTheTaintsOfOthers has another controller taint the node between our
// reading and our writing.
func TestAHoldKeepsTheTaintsOfOthers(t *testing.T) {
	t.Parallel()
	other := corev1.Taint{Key: "other.dev/starting", Effect: corev1.TaintEffectNoExecute}
	var raced sync.Map // by name; nodes are written side by side
	race := interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		n, isNode := o.(*corev1.Node)
		if _, before := raced.LoadOrStore(o.GetName(), true); isNode && !before {
			var now corev1.Node
			if err := c.Get(ctx, client.ObjectKeyFromObject(n), &now); err != nil {
				return err
			}
			now.Spec.Taints = append(now.Spec.Taints, other)
			if err := c.Update(ctx, &now); err != nil {
				return err
			}
		}
		return c.Patch(ctx, o, p, opts...)
	}}
	b := makeBench(t, race, scaleUp(1, four()...)...)
	b.steps(1)
	if diff := cmp.Diff([]corev1.Taint{notReadyTaint(), other, heldTaint()}, b.node("new-3").Spec.Taints); diff != "" {
		t.Errorf("taints of a held node (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]corev1.Taint{notReadyTaint(), other}, b.node("new-0").Spec.Taints); diff != "" {
		t.Errorf("taints of a node that went (-want +got):\n%s", diff)
	}
	b.steps(240)
	if diff := cmp.Diff([]corev1.Taint{notReadyTaint(), other}, b.node("new-3").Spec.Taints); diff != "" {
		t.Errorf("taints after the hold (-want +got):\n%s", diff)
	}
}

// TestANodeThatIsReadyMeanwhileIsNotTainted loses the race for the window.
func TestANodeThatIsReadyMeanwhileIsNotTainted(t *testing.T) {
	t.Parallel()
	race := interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if n, ok := o.(*corev1.Node); ok && gate.NodeHeld(n) {
			var now corev1.Node
			if err := c.Get(ctx, client.ObjectKeyFromObject(n), &now); err != nil {
				return err
			}
			now.Spec.Taints = nil
			if err := c.Update(ctx, &now); err != nil {
				return err
			}
			now.Status.Conditions = readiness(corev1.ConditionTrue)
			if err := c.Status().Update(ctx, &now); err != nil {
				return err
			}
		}
		return c.Patch(ctx, o, p, opts...)
	}}
	b := makeBench(t, race, scaleUp(1, four()...)...)
	b.steps(3)
	b.wantWorn("nodes took pods before they could be held")
}
