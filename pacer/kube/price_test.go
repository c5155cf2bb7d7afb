package kube

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
)

func lists(images ...string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		for _, image := range images {
			n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{image}})
		}
	}
}

func fifty(n *corev1.Node) {
	for i := range listedImages {
		lists(fmt.Sprintf("ghcr.io/a/%d:1", i))(n)
	}
}

func crio(n *corev1.Node) { n.Status.NodeInfo.ContainerRuntimeVersion = "cri-o://1.34" }

func makeTemplate(edit ...func(*corev1.PodTemplateSpec)) *corev1.PodTemplateSpec {
	t := &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}}
	t.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/web:1"}}
	for _, e := range edit {
		e(t)
	}
	return t
}

func spread(t *corev1.PodTemplateSpec) {
	t.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
		{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}}}
}

func TestPrice(t *testing.T) {
	t.Parallel()
	nodes := func(edits ...func(*corev1.Node)) *Fleet {
		f := NewFleet()
		for i, e := range edits {
			f.Node(makeNode(fmt.Sprintf("n%d", i), e))
		}
		return f
	}
	with := func(f *Fleet, p *corev1.Pod) *Fleet {
		f.Pod(p)
		return f
	}
	cold := func(*corev1.Node) {}
	warm := lists("docker.io/acme/web:1")
	const image, hub = core.Image("docker.io/acme/web:1"), core.AccountID("docker.io/anonymous")
	one := func(core.Image, core.AccountID) (plan.Span, bool) { return plan.Span{Min: 1, Max: 1}, true }
	nothing := func(core.Image, core.AccountID) (plan.Span, bool) { return plan.Span{}, true }
	always := func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].ImagePullPolicy = corev1.PullAlways }
	cases := map[string]struct {
		in   ToPrice
		want []PriceRow
	}{
		"one per node, all cold": {ToPrice{Template: makeTemplate(spread), Replicas: 2, Fleet: nodes(cold, cold, cold), PerPull: one},
			[]PriceRow{{Image: image, Account: hub, Budget: "hub", Cold: 3, Units: plan.Span{Min: 2, Max: 2}}}},
		"a mirror answers": {ToPrice{Template: makeTemplate(spread), Replicas: 2, Fleet: nodes(cold, cold), PerPull: nothing},
			[]PriceRow{{Image: image, Account: hub, Budget: "hub", Cold: 2, Why: WhyMirror}}},
		"free to pack": {ToPrice{Template: makeTemplate(), Replicas: 2, Fleet: nodes(cold, cold, warm), PerPull: one},
			[]PriceRow{{Image: image, Account: hub, Budget: "hub", Cold: 2, Warm: 1, Units: plan.Span{Min: 0, Max: 2}, Why: WhyPlacement}}},
		"warm everywhere": {ToPrice{Template: makeTemplate(), Replicas: 2, Fleet: nodes(warm, warm)},
			[]PriceRow{{Image: image, Account: hub, Budget: "hub", Warm: 2, Why: WhyWarm}}},
		"a cut list": {ToPrice{Template: makeTemplate(spread), Replicas: 2, Fleet: nodes(cold, fifty), PerPull: one},
			[]PriceRow{{Image: image, Account: hub, Budget: "hub", Cold: 1, Unknown: 1, Units: plan.Span{Min: 1, Max: 2}, Why: WhyTruncated}}},
		"shape not known": {ToPrice{Template: makeTemplate(spread), Replicas: 1, Fleet: nodes(cold)},
			[]PriceRow{{Image: image, Account: hub, Budget: "hub", Cold: 1, Units: plan.Span{Min: 1, Max: 2}, Why: WhyManifests}}},
		"another registry": {ToPrice{Template: makeTemplate(func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Image = "ghcr.io/a/b:1" }), Replicas: 2, Fleet: nodes(cold)},
			[]PriceRow{{Image: "ghcr.io/a/b:1", Cold: 1, Why: WhyNoBudget}}},
		"a pod runs it": {ToPrice{Template: makeTemplate(), Replicas: 1, Fleet: with(nodes(cold), makePod("1", 1, running("n0")))},
			[]PriceRow{{Image: image, Account: hub, Budget: "hub", Warm: 1, Why: WhyWarm}}},
		"present, asked for always by CRI-O": {ToPrice{Template: makeTemplate(always, spread), Replicas: 1,
			Fleet: nodes(func(n *corev1.Node) { warm(n); crio(n) }), PerPull: one},
			[]PriceRow{{Image: image, Account: hub, Budget: "hub", Cold: 1, Units: plan.Span{Min: 1, Max: 1}}}},
		"no node fits": {ToPrice{Template: makeTemplate(func(t *corev1.PodTemplateSpec) { t.Spec.NodeSelector = map[string]string{"a": "b"} }), Replicas: 1, Fleet: nodes(cold)}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.in.Namespace = makeNamespace("shop")
			tc.in.Rules = mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")})
			if diff := cmp.Diff(tc.want, Price(tc.in)); diff != "" {
				t.Errorf("price (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnePerNode(t *testing.T) {
	t.Parallel()
	topology := func(skew int32, when corev1.UnsatisfiableConstraintAction) func(*corev1.PodTemplateSpec) {
		return func(t *corev1.PodTemplateSpec) {
			t.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{TopologyKey: corev1.LabelHostname, MaxSkew: skew,
				WhenUnsatisfiable: when, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
		}
	}
	cases := map[string]struct {
		edit     func(*corev1.PodTemplateSpec)
		replicas int
		want     bool
	}{
		"nothing said":           {func(*corev1.PodTemplateSpec) {}, 2, false},
		"anti-affinity":          {spread, 9, true},
		"anti-affinity to other": {func(t *corev1.PodTemplateSpec) { spread(t); t.Labels["app"] = "other" }, 2, false},
		"host port":              {func(t *corev1.PodTemplateSpec) { t.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} }, 2, true},
		"even spread":            {topology(1, corev1.DoNotSchedule), 4, true},
		"more pods than nodes":   {topology(1, corev1.DoNotSchedule), 5, false},
		"loose spread":           {topology(2, corev1.DoNotSchedule), 2, false},
		"spread as a wish":       {topology(1, corev1.ScheduleAnyway), 2, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := onePerNode(makeTemplate(tc.edit), tc.replicas, 4); got != tc.want {
				t.Errorf("onePerNode = %v, want %v", got, tc.want)
			}
		})
	}
}
