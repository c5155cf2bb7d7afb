package kube

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

func TestPodsAlikeAreOneGroup(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	first := tr.Pod(start, makePod("v1", 1))
	second := tr.Pod(start, makePod("v1", 2))
	if n := len(groupsOf(first)); n != 1 {
		t.Fatalf("first pod announced %d groups, want 1", n)
	}
	if n := len(groupsOf(second)); n != 0 {
		t.Errorf("second pod announced %d groups, want none", n)
	}
	g := groupsOf(first)[0]
	want := engine.Group{
		ID: g.ID, Namespace: "shop", Workload: "Deployment/shop/web", Revision: "v1", Class: core.ClassRollout, Weight: 1,
		Images: []engine.ImageUse{{Image: "docker.io/acme/web:v1", Accounts: []core.AccountID{"docker.io/anonymous"}}},
		Pool:   g.Pool, Waves: engine.Waves{By: "Egress"},
		PauseOn: feedback.Threshold{FailurePercent: 20, MinPods: 5, Window: 2 * time.Minute, ResumeBelow: 5},
	}
	if diff := cmp.Diff(want, g); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
	wantPod := engine.Pod{ID: "shop/web-v1-2/uid-web-v1-2", Group: g.ID, Phase: engine.PodGated,
		Created: start.Add(2 * time.Second), HoldUntil: start.Add(time.Hour)}
	if diff := cmp.Diff([]engine.Pod{wantPod}, podsOf(second)); diff != "" {
		t.Errorf("pod (-want +got):\n%s", diff)
	}
	if again := tr.Pod(start, makePod("v1", 2)); len(again) != 0 {
		t.Errorf("the same pod again announced %d events, want none", len(again))
	}
}

func TestPodPhases(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		edit func(*corev1.Pod)
		want engine.PodPhase
	}{
		"held":           {func(*corev1.Pod) {}, engine.PodGated},
		"let go":         {ungated, engine.PodUnbound},
		"bound":          {bound("n1"), engine.PodBound},
		"running":        {running("n1"), engine.PodPulled},
		"image fetched":  {func(p *corev1.Pod) { running("n1")(p); p.Status.ContainerStatuses[0].State = corev1.ContainerState{} }, engine.PodPulled},
		"no node found":  {func(p *corev1.Pod) { ungated(p); p.Status.Conditions = unschedulable() }, engine.PodUnschedulable},
		"held by others": {func(p *corev1.Pod) { ungated(p); p.Spec.SchedulingGates = foreign() }, engine.PodUnschedulable},
		"init container has not started": {func(p *corev1.Pod) {
			running("n1")(p)
			p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "acme/init"}}
		}, engine.PodBound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := podsOf(makeTracker(t).Pod(start, makePod("v1", 1, tc.edit)))
			if len(got) != 1 || got[0].Phase != tc.want {
				t.Errorf("pods = %+v, want one in phase %s", got, tc.want)
			}
		})
	}
}

func unschedulable() []corev1.PodCondition {
	return []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
}

func foreign() []corev1.PodSchedulingGate {
	return []corev1.PodSchedulingGate{{Name: "other.dev/gate"}}
}

func TestFinishedAndDeletedPodsAreGone(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	g := groupsOf(tr.Pod(start, makePod("v1", 1, bound("n1"))))[0]
	done := makePod("v1", 1, running("n1"))
	done.Status.Phase = corev1.PodSucceeded
	want := []engine.Event{{PodGone: PodID(done)}, {GroupGone: g.ID}, {PoolGone: g.Pool}}
	if diff := cmp.Diff(want, tr.Pod(start, done)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := tr.PodGone(PodID(done)); got != nil {
		t.Errorf("gone twice announced %v, want nothing", got)
	}
}

func TestLanes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		sets     []*appsv1.ReplicaSet
		complete bool
		shadow   bool
		pods     []*corev1.Pod
		want     engine.Lane // of the last pod
	}{
		"first rollout":        {sets: []*appsv1.ReplicaSet{makeSet("v1", 1, 2, 0, 0)}, pods: []*corev1.Pod{makePod("v1", 1), makePod("v1", 2)}},
		"replaces a lost pod":  {sets: []*appsv1.ReplicaSet{makeSet("v1", 1, 2, 2, 0)}, complete: true, pods: []*corev1.Pod{makePod("v1", 1, running("n1")), makePod("v1", 3)}, want: engine.LaneRepair},
		"scaled up":            {sets: []*appsv1.ReplicaSet{makeSet("v1", 1, 3, 2, 0)}, complete: true, pods: []*corev1.Pod{makePod("v1", 1, running("n1")), makePod("v1", 2, running("n2")), makePod("v1", 3)}},
		"replaced while ended": {sets: []*appsv1.ReplicaSet{makeSet("v1", 1, 1, 1, 0)}, complete: true, pods: []*corev1.Pod{makePod("v1", 1, running("n1"), ending), makePod("v1", 2)}, want: engine.LaneRepair},
		"new revision":         {sets: []*appsv1.ReplicaSet{makeSet("v1", 1, 2, 2, 0), makeSet("v2", 2, 1, 0, time.Hour)}, pods: []*corev1.Pod{makePod("v2", 1)}},
		"back to the old":      {sets: []*appsv1.ReplicaSet{makeSet("v1", 3, 1, 0, 0), makeSet("v2", 2, 2, 0, time.Hour)}, pods: []*corev1.Pod{makePod("v1", 1)}, want: engine.LaneRollback},
		"back, the other empty": {sets: []*appsv1.ReplicaSet{makeSet("v1", 3, 2, 0, 0), makeSet("v2", 2, 0, 0, time.Hour)},
			pods: []*corev1.Pod{makePod("v1", 1)}, want: engine.LaneRollback},
		"back to one made in the same second": {sets: []*appsv1.ReplicaSet{returned(makeSet("v1", 3, 1, 0, 0)), makeSet("v2", 2, 2, 0, 0)},
			pods: []*corev1.Pod{makePod("v1", 1)}, want: engine.LaneRollback},
		"scaled up long after going back": {sets: []*appsv1.ReplicaSet{makeSet("v1", 3, 2, 0, 0), makeSet("v2", 2, 0, 0, time.Hour)},
			complete: true, pods: []*corev1.Pod{makePod("v1", 1)}},
		"forward again after going back": {sets: []*appsv1.ReplicaSet{makeSet("v1", 3, 2, 2, 0), makeSet("v2", 4, 1, 0, time.Hour)}, pods: []*corev1.Pod{makePod("v2", 1)}},
		// Shadow holds no pod, so that its ReplicaSet may be seen to have it before it is.
		"first rollout, in Shadow, served before it was seen": {sets: []*appsv1.ReplicaSet{having(2, makeSet("v1", 1, 2, 2, 0))}, shadow: true, pods: []*corev1.Pod{makePod("v1", 1, running("n1"), passed)}},
		"first rollout, in Shadow, another served before":     {sets: []*appsv1.ReplicaSet{having(2, makeSet("v1", 1, 2, 1, 0))}, shadow: true, pods: []*corev1.Pod{makePod("v1", 1, passed)}},
		"replaces a lost pod, in Shadow":                      {sets: []*appsv1.ReplicaSet{having(2, makeSet("v1", 1, 2, 2, 0))}, complete: true, shadow: true, pods: []*corev1.Pod{makePod("v1", 1, running("n1"), passed), makePod("v1", 3, passed)}, want: engine.LaneRepair},
		"unknown ReplicaSet":                                  {pods: []*corev1.Pod{makePod("v1", 1)}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			if tc.shadow {
				tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, shadowPolicy()))
			}
			tr.Deployment(makeDeployment(3, tc.complete))
			for _, rs := range tc.sets {
				tr.ReplicaSet(rs)
			}
			for _, p := range tc.pods {
				tr.Pod(start, p)
			}
			g, ok := tr.Group(tr.pods[PodID(tc.pods[len(tc.pods)-1])].group)
			if !ok || g.Lane != tc.want {
				t.Errorf("lane %q, want %q", g.Lane, tc.want)
			}
		})
	}
}

// The revision that makes it a rollback is seen after the pod.
func TestRollbackIsFoundWhateverIsSeenFirst(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Deployment(makeDeployment(3, false))
	tr.ReplicaSet(makeSet("v1", 1, 0, 0, 0))
	tr.ReplicaSet(makeSet("v2", 2, 2, 0, time.Hour))
	p := makePod("v1", 1)
	tr.Pod(start, p)
	if g, _ := tr.Group(tr.pods[PodID(p)].group); g.Lane != engine.LaneNormal {
		t.Fatalf("lane %q before the revision is seen, want normal", g.Lane)
	}
	events := tr.ReplicaSet(makeSet("v1", 3, 1, 0, 0))
	if g, _ := tr.Group(tr.pods[PodID(p)].group); g.Lane != engine.LaneRollback {
		t.Errorf("lane %q after it, want rollback", g.Lane)
	}
	moved := false
	for _, ev := range events {
		moved = moved || ev.Pod != nil && ev.Pod.ID == PodID(p)
	}
	if !moved {
		t.Errorf("events %+v do not say that the pod is in another group", events)
	}
}

// returned is a ReplicaSet that was revision 1 before, as its controller notes it.
func returned(rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	rs.Annotations[historyAnnotation] = "1"
	return rs
}

// having is a ReplicaSet that says to have so many pods.
func having(pods int32, rs *appsv1.ReplicaSet) *appsv1.ReplicaSet {
	rs.Status.Replicas = pods
	return rs
}

func ending(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: start} }

func TestAScaleDownForgetsWhatServed(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Deployment(makeDeployment(3, true))
	tr.ReplicaSet(makeSet("v1", 1, 3, 3, 0))
	tr.ReplicaSet(makeSet("v1", 1, 1, 1, 0))
	tr.Pod(start, makePod("v1", 1, running("n1")))
	tr.ReplicaSet(makeSet("v1", 1, 3, 1, 0))
	p := makePod("v1", 2)
	tr.Pod(start, p)
	if g, _ := tr.Group(tr.pods[PodID(p)].group); g.Lane != engine.LaneNormal {
		t.Errorf("lane %q of a scale-up, want normal", g.Lane)
	}
}

func TestPoolsFollowNodes(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	selects := func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }
	g := groupsOf(tr.Pod(start, makePod("v1", 1, selects)))[0]
	pools := func(events []engine.Event) (last []core.NodeID, n int) {
		for _, ev := range events {
			if ev.Pool != nil && ev.Pool.ID == g.Pool {
				last, n = ev.Pool.Nodes, n+1
			}
		}
		return last, n
	}
	labelled := func(n *corev1.Node) { n.Labels["disk"] = "ssd" }
	if got, n := pools(tr.Node(start, makeNode("n2", labelled))); n != 1 || !slices.Equal(got, []core.NodeID{"n2"}) {
		t.Errorf("after labelling n2 the pool is %v (%d times), want n2", got, n)
	}
	heartbeat := func(n *corev1.Node) {
		labelled(n)
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, LastHeartbeatTime: metav1.NewTime(start)}}
	}
	if events := tr.Node(start, makeNode("n2", heartbeat)); len(events) != 0 {
		t.Errorf("a heartbeat announced %d events, want none", len(events))
	}
	tainted := func(n *corev1.Node) {
		labelled(n)
		n.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}}
	}
	if got, n := pools(tr.Node(start, makeNode("n2", tainted))); n != 1 || len(got) != 0 {
		t.Errorf("after tainting n2 the pool is %v, want empty", got)
	}
	if _, n := pools(tr.NodeGone("n1")); n != 0 {
		t.Errorf("the end of a node outside announced the pool %d times, want never", n)
	}
}

func TestFits(t *testing.T) {
	t.Parallel()
	taint := func(key string, effect corev1.TaintEffect) func(*corev1.Node) {
		return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
	}
	cases := map[string]struct {
		node *corev1.Node
		c    constraints
		want bool
	}{
		"free":          {node: makeNode("n"), want: true},
		"tainted":       {node: makeNode("n", taint("a", corev1.TaintEffectNoSchedule))},
		"tolerated":     {node: makeNode("n", taint("a", corev1.TaintEffectNoSchedule)), c: constraints{Tolerations: []corev1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists}}}, want: true},
		"preferred":     {node: makeNode("n", taint("a", corev1.TaintEffectPreferNoSchedule)), want: true},
		"not ready yet": {node: makeNode("n", taint(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)), want: true},
		"cordoned":      {node: makeNode("n", func(n *corev1.Node) { n.Spec.Unschedulable = true })},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.c.fits(tc.node); got != tc.want {
				t.Errorf("fits = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestDaemonPodsGoToTheirNodeAndAreOneGroup(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	daemon := func(node string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			ungated(p)
			p.OwnerReferences[0].Kind, p.OwnerReferences[0].Name = "DaemonSet", "agent"
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
					{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}}}}}}}
		}
	}
	one := tr.Pod(start, makePod("v1", 1, daemon("n1")))
	two := tr.Pod(start, makePod("v1", 2, daemon("n2")))
	if len(groupsOf(two)) != 0 {
		t.Error("the second pod of a DaemonSet announced a group, want the same one")
	}
	if got := []core.NodeID{podsOf(one)[0].Node, podsOf(two)[0].Node}; !slices.Equal(got, []core.NodeID{"n1", "n2"}) {
		t.Errorf("nodes %v, want n1 and n2", got)
	}
	if w := groupsOf(one)[0].Workload; w != "DaemonSet/shop/agent" {
		t.Errorf("workload %s", w)
	}
}

func TestThrottledIsSaidOncePerAttempt(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	const refused = "failed: 429 Too Many Requests\ntoomanyrequests: retry-after: 3s"
	steps := []struct {
		reason, message string
		want            int
	}{
		{"ErrImagePull", refused, 1},
		{"ErrImagePull", refused, 0},
		{"ImagePullBackOff", `Back-off pulling image "a": ErrImagePull: ` + refused, 0},
		{"ErrImagePull", refused, 1},
		{"ImagePullBackOff", `Back-off pulling image "a"`, 0},
		{"ErrImagePull", "dial tcp: lookup docker.io: no such host", 0},
	}
	for i, step := range steps {
		got := throttledOf(tr.Pod(start, makePod("v1", 1, bound("n1"), waiting(step.reason, step.message))))
		if len(got) != step.want {
			t.Errorf("step %d (%s): %d throttled, want %d", i, step.reason, len(got), step.want)
		}
		for _, th := range got {
			want := engine.PullFailed{Account: "docker.io/anonymous", Pod: "shop/web-v1-1/uid-web-v1-1", Image: "docker.io/acme/web:v1", At: start,
				Failure: feedback.Failure{Class: feedback.Throttled, Kind: feedback.KindUnsaid, RetryAfter: 3 * time.Second}}
			if diff := cmp.Diff(want, th); diff != "" {
				t.Errorf("step %d (-want +got):\n%s", i, diff)
			}
		}
	}
	again := tr.Pod(start, makePod("v1", 1, bound("n1"), waiting("ErrImagePull", "dial tcp: lookup docker.io: no such host")))
	if len(again) != 0 {
		t.Errorf("the same failure is said again: %v", again)
	}
}

func TestAccountsOfAPull(t *testing.T) {
	t.Parallel()
	withSecret := func(names ...string) func(*v1alpha1.PullBudget) {
		return func(b *v1alpha1.PullBudget) {
			b.Spec.Match = &v1alpha1.BudgetMatch{PullSecretNames: names}
			b.Spec.Identity = v1alpha1.Credentials
			b.Spec.Credentials = &v1alpha1.BudgetCredentials{SecretName: names[0]}
		}
	}
	onNodes := func(value string) func(*v1alpha1.PullBudget) {
		return func(b *v1alpha1.PullBudget) {
			b.Spec.Egress = &v1alpha1.Egress{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"nat": value}}}
		}
	}
	cases := map[string]struct {
		budgets []v1alpha1.PullBudget
		image   string
		want    []core.AccountID
	}{
		"anonymous":         {[]v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, "nginx", []core.AccountID{"docker.io/anonymous"}},
		"names of the hub":  {[]v1alpha1.PullBudget{makeBudget("hub", "index.docker.io")}, "registry-1.docker.io/a/b", []core.AccountID{"docker.io/anonymous"}},
		"another registry":  {[]v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, "ghcr.io/a/b", nil},
		"secret is special": {[]v1alpha1.PullBudget{makeBudget("hub", "docker.io"), makeBudget("paid", "docker.io", withSecret("hub-secret"))}, "nginx", []core.AccountID{"docker.io/hub-secret"}},
		"secret not used":   {[]v1alpha1.PullBudget{makeBudget("paid", "docker.io", withSecret("other"))}, "nginx", nil},
		"by node, then rest": {[]v1alpha1.PullBudget{makeBudget("hub", "docker.io"), makeBudget("nat-b", "docker.io", onNodes("b"))}, "nginx",
			[]core.AccountID{"docker.io/anonymous@nat-b", "docker.io/anonymous"}},
		"through a cache": {[]v1alpha1.PullBudget{makeBudget("hub", "docker.io", func(b *v1alpha1.PullBudget) { b.Spec.UpstreamOf = []string{"cache.corp"} })},
			"cache.corp/library/nginx", []core.AccountID{"docker.io/anonymous"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.Rules(mustRules(t, tc.budgets, makePolicy("default")))
			p := makePod("v1", 1, func(p *corev1.Pod) {
				p.Spec.Containers[0].Image = tc.image
				p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "hub-secret"}}
			})
			got := groupsOf(tr.Pod(start, p))[0].Images[0].Accounts
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("accounts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestANewBudgetMovesPodsToNewGroups(t *testing.T) {
	t.Parallel()
	tr := NewTracker()
	tr.Namespace(makeNamespace("shop"))
	tr.Node(start, makeNode("n1"))
	tr.Rules(mustRules(t, nil, makePolicy("default")))
	before := groupsOf(tr.Pod(start, makePod("v1", 1)))[0]
	events := tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, makePolicy("default")))
	if events[0].Account == nil {
		t.Errorf("first event %+v, want the account", events[0])
	}
	after := groupsOf(events)
	if len(after) != 1 || after[0].ID == before.ID || len(after[0].Images[0].Accounts) != 1 {
		t.Fatalf("groups %+v, want a new one with an account", after)
	}
	if last := events[len(events)-1]; last.GroupGone != before.ID {
		t.Errorf("last event %+v, want the end of the old group", last)
	}
	if got := tr.NewImages(); len(got) != 1 || got[0].Image != "docker.io/acme/web:v1" {
		t.Errorf("new images %v, want acme/web:v1", got)
	}
	if tr.BudgetOf("docker.io/anonymous") != "hub" {
		t.Errorf("budget of the account is %q", tr.BudgetOf("docker.io/anonymous"))
	}
}

func TestPerNodeAccounts(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io", func(b *v1alpha1.PullBudget) {
		b.Spec.Egress = &v1alpha1.Egress{PerNode: true}
	})}, makePolicy("default")))
	want := []core.AccountID{"docker.io/anonymous@node/n1", "docker.io/anonymous@node/n2", "docker.io/anonymous@node/n3"}
	if diff := cmp.Diff(want, tr.Accounts("hub")); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	events := tr.Node(start, makeNode("n4"))
	if len(events) < 2 || events[0].Account == nil || events[1].Node == nil || events[1].Node.Egress != "node/n4" {
		t.Errorf("a new node announced %+v, want its account and the node in its own group", events)
	}
}
