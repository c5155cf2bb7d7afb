package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// readBudget is a PullBudget of Docker Hub of 100 an hour, of which so much is free
// to rollouts.
func readBudget(free int64, edit ...func(*v1alpha1.AccountStatus)) v1alpha1.PullBudget {
	b := makeBudget("hub", "docker.io")
	a := v1alpha1.AccountStatus{
		Account: "docker.io/anonymous", Limit: 100, Window: metav1.Duration{Duration: time.Hour},
		Available: []v1alpha1.ClassUnits{{Class: "rollout", Units: free}, {Class: "batch", Units: 0}},
	}
	for _, e := range edit {
		e(&a)
	}
	b.Status.Accounts = []v1alpha1.AccountStatus{a}
	return b
}

func TestQuoteSaysWhetherPodsWait(t *testing.T) {
	t.Parallel()
	hours := func(n int) v1alpha1.Forecast {
		return v1alpha1.Forecast{From: metav1.NewTime(start), To: metav1.NewTime(start.Add(time.Duration(n) * time.Hour))}
	}
	type answer struct {
		Verdict, Reason string
		Finish          v1alpha1.Forecast
		Unknown         int
	}
	cases := map[string]struct {
		budget v1alpha1.PullBudget
		edit   func(*ToQuote)
		want   answer
	}{
		"enough":                {readBudget(2), nil, answer{Verdict: "allow"}},
		"one short":             {readBudget(1), nil, answer{"hold", "WaitingForBudget", hours(1), 0}},
		"others wait before it": {readBudget(1, func(a *v1alpha1.AccountStatus) { a.Demand = 100 }), nil, answer{"hold", "WaitingForBudget", hours(2), 0}},
		"of another class":      {readBudget(9), func(q *ToQuote) { q.Class = core.ClassBatch }, answer{"hold", "WaitingForBudget", hours(1), 0}},
		"no limit":              {readBudget(0, func(a *v1alpha1.AccountStatus) { *a = v1alpha1.AccountStatus{Account: a.Account, Unlimited: true} }), nil, answer{Verdict: "allow"}},
		"not read yet":          {makeBudget("hub", "docker.io"), nil, answer{"hold", "WaitingForReading", v1alpha1.Forecast{}, 1}},
		"a window of nothing":   {readBudget(0, func(a *v1alpha1.AccountStatus) { a.Window = metav1.Duration{} }), nil, answer{"hold", "WaitingForBudget", v1alpha1.Forecast{}, 1}},
		"nobody takes turns":    {readBudget(0), func(q *ToQuote) { q.Turning = false }, answer{Verdict: "unknown", Unknown: 1}},
		"no node":               {readBudget(9), func(q *ToQuote) { q.Fleet = NewFleet() }, answer{Verdict: "allow", Unknown: 1}},
		"more is expected sooner": {readBudget(0, func(a *v1alpha1.AccountStatus) {
			a.Forecast = &v1alpha1.Forecast{From: metav1.NewTime(start.Add(time.Minute)), To: metav1.NewTime(start.Add(2 * time.Minute))}
		}), nil, answer{"hold", "WaitingForBudget", v1alpha1.Forecast{From: metav1.NewTime(start.Add(time.Minute)), To: hours(1).To}, 0}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			budgets := []v1alpha1.PullBudget{tc.budget}
			in := ToQuote{
				ToPrice: ToPrice{Namespace: makeNamespace("shop"), Template: makeTemplate(spread), Replicas: 2, Rules: mustRules(t, budgets),
					Fleet: FleetOf([]corev1.Node{*makeNode("a"), *makeNode("b")}, nil)},
				Budgets: budgets, Manifests: func(core.Image) int { return 1 }, Class: core.ClassRollout, Now: start, Turning: true,
			}
			if tc.edit != nil {
				tc.edit(&in)
			}
			q := Quote(in)
			got := answer{q.Verdict, q.Reason, q.Finish, len(q.Unknown)}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("quote (-want +got):\n%s\n%v", diff, q.Unknown)
			}
		})
	}
}

// What pulls were found to cost narrows the price; a price that is not believed
// does not.
func TestQuoteKnowsWhatPullsCost(t *testing.T) {
	t.Parallel()
	learned := func(batches int32) func(*v1alpha1.AccountStatus) {
		return func(a *v1alpha1.AccountStatus) {
			a.ChargePerPull = []v1alpha1.ChargePerPull{{Host: "docker.io", Manifests: 2, Mean: "1", Samples: 9, Batches: batches, Most: 1}}
		}
	}
	cases := map[string]struct {
		budget    v1alpha1.PullBudget
		manifests int
		want      v1alpha1.Range
	}{
		"nothing known":       {readBudget(9), 0, v1alpha1.Range{Min: 1, Max: 2}},
		"one manifest":        {readBudget(9), 1, v1alpha1.Range{Min: 1, Max: 1}},
		"an index":            {readBudget(9), 2, v1alpha1.Range{Min: 1, Max: 2}},
		"an index, learned":   {readBudget(9, learned(2)), 2, v1alpha1.Range{Min: 1, Max: 1}},
		"an index, seen once": {readBudget(9, learned(1)), 2, v1alpha1.Range{Min: 1, Max: 2}},
	}
	for name, tc := range cases {
		budgets := []v1alpha1.PullBudget{tc.budget}
		q := Quote(ToQuote{
			ToPrice: ToPrice{Namespace: makeNamespace("shop"), Template: makeTemplate(), Replicas: 1, Rules: mustRules(t, budgets), Fleet: FleetOf([]corev1.Node{*makeNode("a")}, nil)},
			Budgets: budgets, Manifests: func(core.Image) int { return tc.manifests }, Now: start, Turning: true,
		})
		if q.Needs != tc.want || q.Whole() != (tc.manifests > 0) {
			t.Errorf("%s: %+v, whole %t, want %+v", name, q.Needs, q.Whole(), tc.want)
		}
	}
}

// Where each node has an account, the answer is short and its sum is of all.
func TestQuoteIsShort(t *testing.T) {
	t.Parallel()
	budget := makeBudget("hub", "docker.io", func(b *v1alpha1.PullBudget) { b.Spec.Egress = &v1alpha1.Egress{PerNode: true} })
	fleet := NewFleet()
	for i := range 3 * maxQuoted {
		fleet.Node(makeNode(fmt.Sprintf("n%02d", i)))
	}
	scarce := v1alpha1.AccountStatus{Account: "docker.io/anonymous@node/n77", Limit: 5, Window: metav1.Duration{Duration: time.Hour},
		Available: []v1alpha1.ClassUnits{{Class: "rollout", Units: 5}}}
	budget.Status.Accounts = []v1alpha1.AccountStatus{scarce}
	q := Quote(ToQuote{
		ToPrice: ToPrice{Namespace: makeNamespace("shop"), Template: makeTemplate(spread), Replicas: 3 * maxQuoted, Rules: mustRules(t, []v1alpha1.PullBudget{budget}), Fleet: fleet},
		Budgets: []v1alpha1.PullBudget{budget}, Manifests: func(core.Image) int { return 1 }, Class: core.ClassRollout, Now: start, Turning: true,
	})
	if len(q.Accounts) != maxQuoted || len(q.Images) != maxQuoted || q.LeftOut != 2*maxQuoted || q.Needs.Max != 3*maxQuoted {
		t.Errorf("%d accounts, %d images, %d left out, %d units in all", len(q.Accounts), len(q.Images), q.LeftOut, q.Needs.Max)
	}
	if again, err := v1alpha1.ParsePodQuote(q.String()); err != nil || !cmp.Equal(q, again, cmpopts.EquateEmpty()) {
		t.Errorf("it does not survive the annotation: %v\n%s", err, cmp.Diff(q, again))
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	strategy := func(kind appsv1.DeploymentStrategyType) *appsv1.Deployment {
		return &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Strategy: appsv1.DeploymentStrategy{Type: kind}}}
	}
	deployment := Owner{Kind: "Deployment", Namespace: "shop", Name: "web"}
	cases := map[string]struct {
		edit func(*Template, *v1alpha1.PacePolicy)
		want core.Reason
	}{
		"held": {func(*Template, *v1alpha1.PacePolicy) {}, ""},
		"recreated": {func(t *Template, _ *v1alpha1.PacePolicy) {
			t.Deployment = strategy(appsv1.RecreateDeploymentStrategyType)
		}, core.Recreate},
		"watched":         {func(_ *Template, p *v1alpha1.PacePolicy) { p.Spec.Mode = v1alpha1.Shadow }, core.Shadow},
		"of a DaemonSet":  {func(t *Template, _ *v1alpha1.PacePolicy) { t.Owner.Kind = "DaemonSet" }, core.Excluded},
		"not opted in":    {func(t *Template, _ *v1alpha1.PacePolicy) { t.Namespace.Labels = nil }, core.NotOptedIn},
		"no such budget":  {func(t *Template, _ *v1alpha1.PacePolicy) { t.Pods.Spec.Containers[0].Image = "ghcr.io/a/b" }, core.NoBudget},
		"not known where": {func(t *Template, _ *v1alpha1.PacePolicy) { t.Namespace = nil }, core.NotOptedIn},
	}
	for name, tc := range cases {
		template := Template{Namespace: makeNamespace("shop"), Owner: deployment, Pods: makeTemplate(), Deployment: strategy(appsv1.RollingUpdateDeploymentStrategyType)}
		policy := makePolicy("default")
		tc.edit(&template, &policy)
		before := template.Pods.DeepCopy()
		got := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, policy).Terms(template)
		if got.Reason != tc.want || got.Hold != (tc.want == "") {
			t.Errorf("%s: held %t, reason %q, want %q", name, got.Hold, got.Reason, tc.want)
		}
		if diff := cmp.Diff(before, template.Pods); diff != "" {
			t.Errorf("%s: the template was changed:\n%s", name, diff)
		}
	}
}

// A fleet forgets what is gone: pods, nodes, and images that a node does not list
// any more.
func TestFleetKeepsUp(t *testing.T) {
	t.Parallel()
	const image = "docker.io/acme/web:1"
	cases := map[string]struct {
		change func(*Fleet)
		warm   int
		nodes  int
	}{
		"as it was":       {func(*Fleet) {}, 2, 3},
		"its list grew":   {func(f *Fleet) { f.Node(makeNode("c", lists(image))) }, 3, 3},
		"its list shrank": {func(f *Fleet) { f.Node(makeNode("a")) }, 1, 3},
		"a node is gone":  {func(f *Fleet) { f.NodeGone("a") }, 1, 2},
		"the pod is gone": {func(f *Fleet) { f.PodGone(PodID(makePod("1", 1))) }, 1, 3},
		"the pod is finished": {func(f *Fleet) {
			f.Pod(makePod("1", 1, running("b"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }))
		}, 1, 3},
		"the node of a pod is gone and comes back": {func(f *Fleet) { f.NodeGone("b"); f.Node(makeNode("b")) }, 2, 3},
		"everything is gone":                       {func(f *Fleet) { f.NodeGone("a"); f.NodeGone("b"); f.NodeGone("c"); f.PodGone(PodID(makePod("1", 1))) }, 0, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := NewFleet()
			f.Pod(makePod("1", 1, running("b"))) // seen before its node
			f.Node(makeNode("a", lists("index.docker.io/acme/web:1")))
			f.Node(makeNode("b"))
			f.Node(makeNode("c"))
			tc.change(f)
			rows, nodes := price(ToPrice{Namespace: makeNamespace("shop"), Template: makeTemplate(), Replicas: 1, Fleet: f,
				Rules: mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")})})
			warm := 0
			for _, r := range rows {
				warm += r.Warm
			}
			if warm != tc.warm || nodes != tc.nodes {
				t.Errorf("%d warm of %d nodes, want %d of %d", warm, nodes, tc.warm, tc.nodes)
			}
			if nodes == 0 && len(f.nodes)+len(f.pods) > 0 {
				t.Errorf("%d nodes and %d pods are remembered", len(f.nodes), len(f.pods))
			}
		})
	}
}

// BenchmarkQuote is a quote of five images at 10,000 nodes that list 50 images each
// and run 10 pods.
func BenchmarkQuote(b *testing.B) {
	const nodes, pods = 10_000, 10
	fleet := NewFleet()
	for i := range nodes {
		name := fmt.Sprintf("n%05d", i)
		n := makeNode(name, func(n *corev1.Node) {
			n.Labels["pool"] = fmt.Sprint("p", i%7)
			n.Spec.Taints = []corev1.Taint{{Key: "team", Value: "shop", Effect: corev1.TaintEffectNoSchedule}}
			for j := range listedImages {
				name := fmt.Sprintf("docker.io/acme/image-%d", (i+j)%500)
				n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{name + ":1", name + "@sha256:" + fmt.Sprintf("%064d", (i+j)%500)}})
			}
		})
		fleet.Node(n)
		for j := range pods {
			fleet.Pod(makePod(fmt.Sprint(j), i, running(name)))
		}
	}
	template := makeTemplate(spread, func(t *corev1.PodTemplateSpec) {
		t.Spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: "a"}
		t.Spec.Tolerations = []corev1.Toleration{{Key: "team", Operator: corev1.TolerationOpEqual, Value: "shop"}}
		t.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "pool", Operator: corev1.NodeSelectorOpIn, Values: []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6"}}}}}}}
		for i := range 4 {
			t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Image: fmt.Sprintf("acme/image-%d:1", i)})
		}
	})
	budgets := []v1alpha1.PullBudget{readBudget(10)}
	rules, err := NewRules(budgets, []v1alpha1.PacePolicy{makePolicy("default")})
	if err != nil {
		b.Fatal(err)
	}
	in := ToQuote{
		ToPrice: ToPrice{Namespace: makeNamespace("shop"), Template: template, Replicas: 3000, Rules: rules, Fleet: fleet},
		Budgets: budgets, Manifests: func(core.Image) int { return 2 }, Class: core.ClassRollout, Now: start, Turning: true,
	}
	for b.Loop() {
		if q := Quote(in); q.Nodes != nodes {
			b.Fatalf("%d nodes", q.Nodes)
		}
	}
}
