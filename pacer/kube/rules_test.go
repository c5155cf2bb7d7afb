package kube

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// fresh is a pod as it is sent to be created.
func fresh(edit ...func(*corev1.Pod)) *corev1.Pod {
	p := makePod("v1", 1, ungated)
	p.Annotations = nil
	for _, e := range edit {
		e(p)
	}
	return p
}

func TestJudge(t *testing.T) {
	t.Parallel()
	deployment := func(edit func(*appsv1.Deployment)) *appsv1.Deployment { return makeDeployment(3, true, edit) }
	policy := func(edit func(*v1alpha1.PacePolicySpec)) v1alpha1.PacePolicy {
		return makePolicy("default", func(p *v1alpha1.PacePolicy) { edit(&p.Spec) })
	}
	ci := func(p *v1alpha1.PacePolicySpec) {
		p.Classes = []v1alpha1.ClassMapping{{PriorityClass: "low", Class: "ci"}}
	}
	cases := map[string]struct {
		c      Case
		policy *v1alpha1.PacePolicy
		want   Verdict
	}{
		"held":               {c: Case{Pod: fresh()}, want: Verdict{Hold: true, MaxHold: 24 * time.Hour}},
		"ci is held shortly": {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Spec.PriorityClassName = "low" })}, policy: new(policy(ci)), want: Verdict{Hold: true, MaxHold: 2 * time.Minute}},
		"on a node":          {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Spec.NodeName = "n1" })}, want: Verdict{Reason: core.Excluded}},
		"mirror pod":         {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"} })}, want: Verdict{Reason: core.Excluded}},
		"system priority":    {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Spec.PriorityClassName = "system-node-critical" })}, want: Verdict{Reason: core.Excluded}},
		"of Kueue":           {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Labels[kueueManaged] = "true" })}, want: Verdict{Reason: core.Excluded}},
		"gated already":      {c: Case{Pod: makePod("v1", 1)}, want: Verdict{Reason: core.Excluded}},
		"in kube-system":     {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Namespace = "kube-system" })}, want: Verdict{Reason: core.Excluded}},
		"of Pace":            {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Namespace = v1alpha1.Namespace })}, want: Verdict{Reason: core.Excluded}},
		"not opted in":       {c: Case{Pod: fresh(), Namespace: makeNamespace("shop", func(n *corev1.Namespace) { n.Labels = nil })}, want: Verdict{Reason: core.NotOptedIn}},
		"switched off": {c: Case{Pod: fresh(), Namespace: makeNamespace("shop", func(n *corev1.Namespace) {
			n.Annotations = map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff}
		})}, want: Verdict{Reason: core.NotOptedIn}},
		"of a DaemonSet":    {c: Case{Pod: fresh(func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "DaemonSet" })}, want: Verdict{Reason: core.Excluded}},
		"of a bare set":     {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Labels = nil })}, want: Verdict{Reason: core.Excluded}},
		"of a StatefulSet":  {c: Case{Pod: fresh(func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "StatefulSet" })}, want: Verdict{Reason: core.Excluded}},
		"of who knows whom": {c: Case{Pod: fresh(func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "TaskRun" })}, want: Verdict{Reason: core.Excluded}},
		"nobody's":          {c: Case{Pod: fresh(nobodys)}, want: Verdict{Hold: true, MaxHold: 2 * time.Minute}},
		"nobody's, held for less": {c: Case{Pod: fresh(nobodys)}, policy: new(policy(func(p *v1alpha1.PacePolicySpec) {
			p.MaxHold = &metav1.Duration{Duration: time.Minute}
		})), want: Verdict{Hold: true, MaxHold: time.Minute}},
		"nobody's, of a class that somebody gave it": {c: Case{Pod: fresh(nobodys, func(p *corev1.Pod) { p.Spec.PriorityClassName = "shop" })},
			policy: new(policy(func(p *v1alpha1.PacePolicySpec) {
				p.Classes = []v1alpha1.ClassMapping{{PriorityClass: "shop", Class: "serving"}}
			})), want: Verdict{Hold: true, MaxHold: 24 * time.Hour}},
		"nobody's, for debugging on a node": {c: Case{Pod: fresh(nobodys, func(p *corev1.Pod) { p.Spec.NodeName = "n1" })}, want: Verdict{Reason: core.Excluded}},
		"of a Job":                          {c: Case{Pod: fresh(ofJob), Job: makeJob(noDeadline)}, want: Verdict{Hold: true, MaxHold: 24 * time.Hour}},
		"of a Job with a deadline":          {c: Case{Pod: fresh(ofJob), Job: makeJob()}, want: Verdict{Reason: core.Excluded}},
		"of a Job that nobody knows of":     {c: Case{Pod: fresh(ofJob)}, want: Verdict{Reason: core.Excluded}},
		"queued with Kueue":                 {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Labels[kueueQueue] = "team" })}, want: Verdict{Reason: core.Excluded}},
		"no budget":                         {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "ghcr.io/a/b" })}, want: Verdict{Reason: core.NoBudget}},
		"junk for an image":                 {c: Case{Pod: fresh(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "::" })}, want: Verdict{Reason: core.NoBudget}},
		"recreated":                         {c: Case{Pod: fresh(), Deployment: deployment(func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType })}, want: Verdict{Reason: core.Recreate}},
		"only watched":                      {c: Case{Pod: fresh()}, policy: new(policy(func(p *v1alpha1.PacePolicySpec) { p.Mode = v1alpha1.Shadow })), want: Verdict{MaxHold: 24 * time.Hour, Reason: core.Shadow}},
		"off":                               {c: Case{Pod: fresh()}, policy: new(policy(func(p *v1alpha1.PacePolicySpec) { p.Mode = v1alpha1.Off })), want: Verdict{Reason: core.NotOptedIn}},
		"no wait helps":                     {c: Case{Pod: fresh(), Hopeless: map[string]bool{"hub": true}}, want: Verdict{Reason: core.Hopeless}},
		"no wait helps for another account": {c: Case{Pod: fresh(), Hopeless: map[string]bool{"other": true}}, want: Verdict{Hold: true, MaxHold: 24 * time.Hour}},
		"too many held":                     {c: Case{Pod: fresh(), Gated: 500}, want: Verdict{Reason: core.Excluded}},
		"deletes first, never held": {c: Case{Pod: fresh(), Deployment: deployment(func(d *appsv1.Deployment) {
			d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: new(intstr.FromString("10%"))}
		})}, policy: new(policy(func(p *v1alpha1.PacePolicySpec) { p.DeleteFirst = v1alpha1.NeverHold })), want: Verdict{Reason: core.Excluded}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.c.Namespace == nil {
				tc.c.Namespace = makeNamespace("shop")
			}
			p := makePolicy("default")
			if tc.policy != nil {
				p = *tc.policy
			}
			rules := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, p)
			if diff := cmp.Diff(tc.want, rules.Judge(tc.c)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheOldestPolicyRules(t *testing.T) {
	t.Parallel()
	young := makePolicy("a", func(p *v1alpha1.PacePolicy) { p.CreationTimestamp = metav1.NewTime(start.Add(time.Hour)) })
	old := makePolicy("b", func(p *v1alpha1.PacePolicy) { p.Spec.Mode = v1alpha1.Shadow })
	rules := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, young, old)
	if got := rules.Judge(Case{Pod: fresh(), Namespace: makeNamespace("shop")}); got.Reason != core.Shadow {
		t.Errorf("verdict %+v, want that of the older policy", got)
	}
}

func TestWithoutRulesNothingIsHeld(t *testing.T) {
	t.Parallel()
	if got := (&Rules{}).Judge(Case{Pod: fresh(), Namespace: makeNamespace("shop")}); got.Hold {
		t.Error("held without any policy")
	}
}

func TestInvalidRulesAreNamedAndLeftOut(t *testing.T) {
	t.Parallel()
	bad := makeBudget("bad", "docker.io", func(b *v1alpha1.PullBudget) {
		b.Spec.Match = &v1alpha1.BudgetMatch{NamespaceSelector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Nonsense"}}}}
	})
	rules, err := NewRules([]v1alpha1.PullBudget{bad, makeBudget("hub", "docker.io")}, nil)
	var invalid *InvalidError
	if !errors.As(err, &invalid) || invalid.Name != "bad" || invalid.Kind != "PullBudget" {
		t.Errorf("error %v, want one about PullBudget bad", err)
	}
	if len(rules.budgets) != 1 || rules.budgets[0].name != "hub" {
		t.Errorf("%d budgets are used, want hub alone", len(rules.budgets))
	}
}

func TestNormalImage(t *testing.T) {
	t.Parallel()
	const digest = "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	cases := map[string]struct {
		image core.Image
		host  string
	}{
		"nginx":                             {"docker.io/library/nginx:latest", "docker.io"},
		"acme/api:2":                        {"docker.io/acme/api:2", "docker.io"},
		"index.docker.io/acme/api:2":        {"docker.io/acme/api:2", "docker.io"},
		"registry-1.docker.io/acme/api":     {"docker.io/acme/api:latest", "docker.io"},
		"ghcr.io/a/b@" + digest:             {"ghcr.io/a/b@" + digest, "ghcr.io"},
		"ghcr.io/a/b:1@" + digest:           {"ghcr.io/a/b@" + digest, "ghcr.io"},
		"localhost:5000/a:1":                {"localhost:5000/a:1", "localhost:5000"},
		"":                                  {},
		"acme/UPPER":                        {},
		"sha256:abc$":                       {},
		"docker-pullable://nginx@" + digest: {"docker.io/library/nginx@" + digest, "docker.io"},
	}
	for ref, want := range cases {
		t.Run(ref, func(t *testing.T) {
			t.Parallel()
			image, host, ok := NormalImage(ref)
			if image != want.image || host != want.host || ok != (want.image != "") {
				t.Errorf("NormalImage(%q) = %q, %q, %v; want %q, %q", ref, image, host, ok, want.image, want.host)
			}
		})
	}
}
