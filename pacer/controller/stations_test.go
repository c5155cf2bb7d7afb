package controller

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/probe"
)

// egressBudget is an account of the nodes behind one address.
func egressBudget(name string, edit ...func(*v1alpha1.PullBudgetSpec)) *v1alpha1.PullBudget {
	b := &v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: name}}
	b.Spec.Registry = "docker.io"
	b.Spec.Egress = &v1alpha1.Egress{NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"nat": name}}}
	for _, e := range edit {
		e(&b.Spec)
	}
	return b
}

// ownPod is the controller's.
func ownPod(image string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "pacer-0"}}
	p.Spec.PriorityClassName = "system-cluster-critical"
	p.Spec.Containers = []corev1.Container{{Name: "pacer", Image: image}}
	return p
}

// memory is a client of a cluster in memory.
func memory(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(funcs).Build()
}

// probes are the workloads that run probes, as "Kind image", sorted.
func probes(t *testing.T, c client.Client) []string {
	t.Helper()
	var out []string
	var deployments appsv1.DeploymentList
	var daemons appsv1.DaemonSetList
	for _, list := range []client.ObjectList{&deployments, &daemons} {
		if err := c.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range deployments.Items {
		out = append(out, "Deployment "+d.Spec.Template.Spec.Containers[0].Image)
	}
	for _, d := range daemons.Items {
		out = append(out, "DaemonSet "+d.Spec.Template.Spec.Containers[0].Image)
	}
	slices.Sort(out)
	return out
}

func TestEveryEgressGroupHasOneProbe(t *testing.T) {
	t.Parallel()
	named := func(name string) func(*v1alpha1.PullBudgetSpec) {
		return func(s *v1alpha1.PullBudgetSpec) { s.Egress.Name = name }
	}
	perNode := func(s *v1alpha1.PullBudgetSpec) { s.Egress = &v1alpha1.Egress{PerNode: true} }
	other := func(s *v1alpha1.PullBudgetSpec) { s.Registry = "ghcr.io" }
	cases := map[string]struct {
		budgets []client.Object
		want    []string
	}{
		"none":                      {[]client.Object{makeBudget(1)}, nil},
		"two groups":                {[]client.Object{egressBudget("a"), egressBudget("b")}, []string{"Deployment i:1", "Deployment i:1"}},
		"two registries, one group": {[]client.Object{egressBudget("a", named("nat")), egressBudget("b", named("nat"), other)}, []string{"Deployment i:1"}},
		"each node":                 {[]client.Object{egressBudget("a", perNode), egressBudget("b", perNode, other)}, []string{"DaemonSet i:1"}},
		"a limit that is declared":  {[]client.Object{egressBudget("a", func(s *v1alpha1.PullBudgetSpec) { s.Limit = makeBudget(1).Spec.Limit })}, nil},
		"metered by user, not by it": {[]client.Object{egressBudget("a", func(s *v1alpha1.PullBudgetSpec) {
			s.Identity, s.Credentials = v1alpha1.Credentials, &v1alpha1.BudgetCredentials{SecretName: "x"}
		})}, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := memory(t, interceptor.Funcs{}, append(tc.budgets, ownPod("i:1"))...)
			s := &stations{client: c, live: c, namespace: v1alpha1.Namespace, identity: "pacer-0"}
			for range 2 {
				if err := s.look(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, probes(t, c)); diff != "" {
				t.Errorf("probes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProbesFollowTheImageAndGoWithTheirBudget(t *testing.T) {
	t.Parallel()
	question := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "q", Labels: map[string]string{probe.LabelEgress: probe.GroupID("a")}}}
	own := ownPod("i:1")
	c := memory(t, interceptor.Funcs{}, egressBudget("a"), own, question)
	s := &stations{client: c, live: c, namespace: v1alpha1.Namespace, identity: "pacer-0"}
	look := func(want ...string) {
		t.Helper()
		if err := s.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, probes(t, c)); diff != "" {
			t.Errorf("probes (-want +got):\n%s", diff)
		}
	}
	look("Deployment i:1")
	var d appsv1.DeploymentList
	if err := c.List(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	pod := d.Items[0].Spec.Template.Spec
	terms := pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	want := []corev1.NodeSelectorRequirement{{Key: "nat", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}}
	if diff := cmp.Diff(want, terms[0].MatchExpressions); diff != "" || pod.ServiceAccountName != "pacer-probe" {
		t.Errorf("account %q, nodes (-want +got):\n%s", pod.ServiceAccountName, diff)
	}
	own.Spec.Containers[0].Image = "i:2"
	if err := c.Update(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	look("Deployment i:2")
	if err := c.Delete(t.Context(), egressBudget("a")); err != nil {
		t.Fatal(err)
	}
	look()
	var questions corev1.ConfigMapList
	if err := c.List(t.Context(), &questions); err != nil || len(questions.Items) > 0 {
		t.Errorf("%d questions are left, %v", len(questions.Items), err)
	}
}

// answering lets a probe answer each question that is written.
func answering(t *testing.T, answer func(ask probe.Ask) string) interceptor.Funcs {
	write := func(ctx context.Context, c client.WithWatch, o client.Object) error {
		q, ok := o.(*corev1.ConfigMap)
		if !ok {
			return nil
		}
		ask, open, err := probe.AskOf(q.Data)
		if err != nil || !open {
			return err
		}
		before := q.DeepCopy()
		q.Data["answer"] = answer(ask)
		return c.Patch(ctx, q, client.MergeFrom(before))
	}
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if err := c.Create(ctx, o, opts...); err != nil {
				return err
			}
			return write(ctx, c, o)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			if err := c.Patch(ctx, o, p, opts...); err != nil {
				return err
			}
			return write(ctx, c, o)
		},
	}
}

func TestAQuestionGoesToTheEgressGroupAndItsAnswerIsRead(t *testing.T) {
	t.Parallel()
	said := quota.Observation{SentAt: start.Add(time.Hour), Status: 200, Header: quota.Header{Limit: 100, HasLimit: true, Remaining: 7, HasRemaining: true}}
	var asked []probe.Ask
	c := memory(t, answering(t, func(ask probe.Ask) string {
		asked = append(asked, ask)
		text, err := json.Marshal(probe.Answer{ID: ask.ID, Observation: said})
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}))
	d := &distant{client: c, namespace: v1alpha1.Namespace, now: func() time.Time { return start }}
	for range 2 {
		got, err := d.ask(t.Context(), "docker.io/anonymous@a", "a", egressBudget("a"), "a/b")
		if err != nil {
			t.Fatal(err)
		}
		want := said
		want.SentAt = start // by our clock
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("observation (-want +got):\n%s", diff)
		}
	}
	if len(asked) != 2 || asked[0].ID == asked[1].ID || asked[0].Repository != "a/b" || asked[0].Host != "docker.io" {
		t.Errorf("asked %+v, want the same twice, each with an id of its own", asked)
	}
}

func TestAnAnswerOfAnotherIDOrOfNobodyIsMissed(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{"forged": `{"id":"guess","observation":{"sentAt":"2026-03-01T12:00:00Z","status":200}}`, "none": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := memory(t, answering(t, func(probe.Ask) string { return answer }))
			d := &distant{client: c, namespace: v1alpha1.Namespace, now: func() time.Time { return start }, within: 200 * time.Millisecond}
			got, err := d.ask(t.Context(), "docker.io/anonymous@a", "a", egressBudget("a"), "a/b")
			if err == nil || !strings.Contains(err.Error(), "no probe answered") || got.Status != 0 || !got.SentAt.Equal(start) {
				t.Errorf("%+v, %v: want a probe that was missed", got, err)
			}
		})
	}
}
