package plugin

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
)

// now is the clock of every test.
var now = time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC)

// harness runs commands against objects in memory.
type harness struct {
	t      *testing.T
	client client.WithWatch
	env    Env
	out    bytes.Buffer
	err    bytes.Buffer
	// kubelet answers for its configuration.
	kubelet func(ctx context.Context, node string) ([]byte, error)
}

// quoting answers the dry run of a pod as the controller does, from what is in
// plain: all images of paced registries are of two manifests.
func quoting(plain client.Client) func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
	return func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
		pod, ok := obj.(*corev1.Pod)
		if ok && pod.Annotations[v1alpha1.AnnotationProof] == v1alpha1.AskProof {
			return proving(ctx, c, pod, opts...)
		}
		if !ok || pod.Annotations[v1alpha1.AnnotationQuote] == "" {
			return c.Create(ctx, obj, opts...)
		}
		var o client.CreateOptions
		o.ApplyOptions(opts)
		if len(o.DryRun) == 0 {
			return errors.New("a pod that asks for a quote is not stored")
		}
		ask, err := v1alpha1.ParseQuoteAsk(pod.Annotations[v1alpha1.AnnotationQuote])
		if err != nil {
			return err
		}
		var ns corev1.Namespace
		if plain.Get(ctx, client.ObjectKey{Name: pod.Namespace}, &ns) != nil || ns.Labels[v1alpha1.LabelPace] != v1alpha1.LabelPaceEnabled {
			return nil // admission does not see it
		}
		quote, err := quoteOf(ctx, plain, pod, ask, &ns)
		pod.Annotations[v1alpha1.AnnotationQuote] = quote.String()
		return err
	}
}

func quoteOf(ctx context.Context, plain client.Client, pod *corev1.Pod, ask v1alpha1.QuoteAsk, ns *corev1.Namespace) (v1alpha1.PodQuote, error) {
	var nodes corev1.NodeList
	var pods corev1.PodList
	var budgets v1alpha1.PullBudgetList
	var policies v1alpha1.PacePolicyList
	for _, list := range []client.ObjectList{&nodes, &pods, &budgets, &policies} {
		if err := plain.List(ctx, list); err != nil {
			return v1alpha1.PodQuote{}, err
		}
	}
	rules, err := kube.NewRules(budgets.Items, policies.Items)
	template := &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
	terms := rules.Terms(kube.Template{Namespace: ns, Pods: template, Owner: kube.Owner{Kind: ask.Kind, Namespace: pod.Namespace, Name: ask.Name},
		Deployment: &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Strategy: *ask.Strategy}}})
	quote := kube.Quote(kube.ToQuote{
		ToPrice: kube.ToPrice{Namespace: ns, Template: template, Replicas: int(ask.Pods), Fleet: kube.FleetOf(nodes.Items, pods.Items), Rules: rules},
		Budgets: budgets.Items, Manifests: func(core.Image) int { return 2 }, Class: terms.Class, Now: now, Turning: true,
	})
	quote.NotHeld, quote.MaxGated, quote.DeleteFirst = string(terms.Reason), int32(terms.MaxGated), string(terms.DeleteFirst)
	quote.Gated = int32(len(pods.Items))
	return quote, err
}

// proving answers the dry run of a pod that asks whether pods are gated: yes, if the
// webhook is there.
func proving(ctx context.Context, c client.WithWatch, pod *corev1.Pod, opts ...client.CreateOption) error {
	if err := c.Create(ctx, pod, opts...); err != nil {
		return err
	}
	var hook admissionv1.MutatingWebhookConfiguration
	if c.Get(ctx, client.ObjectKey{Name: cluster.WebhookName}, &hook) == nil {
		pod.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}
	}
	return nil
}

// newHarness makes a cluster that holds objects; hooks replace calls to it.
func newHarness(t *testing.T, hooks interceptor.Funcs, objects ...client.Object) *harness {
	t.Helper()
	scheme, err := cluster.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	byName := func(o client.Object) []string { return []string{o.GetName()} }
	h := &harness{t: t}
	plain := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&appsv1.Deployment{}, "metadata.name", byName).
		WithIndex(kube.NewRollout(), "metadata.name", byName).
		WithIndex(&corev1.Event{}, "type", func(o client.Object) []string { return []string{o.(*corev1.Event).Type} }).
		WithIndex(&corev1.Event{}, "reason", func(o client.Object) []string { return []string{o.(*corev1.Event).Reason} }).
		WithIndex(&corev1.Secret{}, "type", secretTypes(objects)).Build()
	h.client = interceptor.NewClient(interceptor.NewClient(plain, hooks), interceptor.Funcs{Create: quoting(plain)})
	h.env = Env{
		Vars: map[string]string{}, In: strings.NewReader(""), Width: func() int { return 100 },
		Now: func() time.Time { return now }, Location: time.UTC, Version: "v0.0.0-test",
		Tick: func(time.Duration) (<-chan time.Time, func()) { return make(chan time.Time), func() {} },
		ReadFile: func(name string) ([]byte, error) {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		},
		Connect: func(flags *genericclioptions.ConfigFlags, _ cluster.Options) (*cluster.Cluster, error) {
			namespace := "shop"
			if *flags.Namespace != "" {
				namespace = *flags.Namespace
			}
			return &cluster.Cluster{Client: h.client, Namespace: namespace, Kubelet: h.kubelet, Version: func() (*version.Info, error) {
				return &version.Info{GitVersion: "v1.37.2"}, nil
			}}, nil
		},
	}
	return h
}

// secretTypes finds the type of a Secret by its name: who lists names alone selects by
// it all the same.
func secretTypes(objects []client.Object) client.IndexerFunc {
	types := map[client.ObjectKey]string{}
	for _, o := range objects {
		if s, ok := o.(*corev1.Secret); ok {
			types[client.ObjectKeyFromObject(s)] = string(s.Type)
		}
	}
	return func(o client.Object) []string { return []string{types[client.ObjectKeyFromObject(o)]} }
}

// run runs one command line and returns its exit code.
func (h *harness) run(args ...string) int {
	h.t.Helper()
	h.out.Reset()
	h.err.Reset()
	env := h.env
	env.Args = append([]string{"kubectl-pace"}, args...)
	env.Out, env.Err = &h.out, &h.err
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	return Main(ctx, env)
}

// wants checks the outcome of the last run: the code and words of both streams.
func (h *harness) wants(code, want int, words ...string) {
	h.t.Helper()
	text := h.out.String() + h.err.String()
	if code != want {
		h.t.Errorf("exit %d, want %d; printed:\n%s", code, want, text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			h.t.Errorf("does not say %q:\n%s", word, text)
		}
	}
}

// read reads an object again.
func read[T client.Object](h *harness, obj T) T {
	h.t.Helper()
	if err := h.client.Get(h.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		h.t.Fatal(err)
	}
	return obj
}

// paced are the objects of a cluster in which shop is opted in and the controller
// works.
func paced(more ...client.Object) []client.Object {
	return append([]client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{v1alpha1.LabelPace: v1alpha1.LabelPaceEnabled}}},
		heartbeat(now.Add(-4 * time.Second)),
		deployment("api"),
		&v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.PacePolicySpec{Mode: v1alpha1.Enforce}},
	}, more...)
}

func heartbeat(at time.Time) *coordinationv1.Lease {
	renewed := metav1.NewMicroTime(at)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: v1alpha1.Heartbeat},
		Spec:       coordinationv1.LeaseSpec{RenewTime: &renewed},
	}
}

// deployment is one of three pods that are all ready.
func deployment(name string) *appsv1.Deployment {
	replicas := int32(3)
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Annotations: map[string]string{"deployment.kubernetes.io/revision": "2"}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: "docker.io/acme/api:1"}}},
			},
		},
		Status: appsv1.DeploymentStatus{Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3},
	}
}

// heldPod is a pod of a Deployment that Pace holds.
func heldPod(name, owner string) *corev1.Pod {
	controller := true
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-20 * time.Minute)),
			Labels: map[string]string{"app": owner, "pod-template-hash": "abc", v1alpha1.LabelHeld: "true"},
			Annotations: map[string]string{
				v1alpha1.AnnotationSeen: "true", v1alpha1.AnnotationHoldUntil: now.Add(time.Hour).Format(time.RFC3339), "kept": "yes",
			},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner + "-abc", UID: types.UID(owner + "-abc"), Controller: &controller}},
		},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "other.example/gate"}, {Name: v1alpha1.Gate}},
			Containers:      []corev1.Container{{Name: "api", Image: "docker.io/acme/api:1"}},
		},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
			Type: v1alpha1.ConditionHeld, Status: corev1.ConditionTrue, Reason: "WaitingForBudget", Message: "needs 1, 0 free\x1b[31m",
		}}},
	}
}

// budget is one account of Docker Hub with free units for rollouts.
func budget(free int64) *v1alpha1.PullBudget {
	sent := metav1.NewMicroTime(now.Add(-9 * time.Second))
	return &v1alpha1.PullBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "PullBudget"},
		ObjectMeta: metav1.ObjectMeta{Name: "hub"},
		Spec:       v1alpha1.PullBudgetSpec{Registry: "docker.io"},
		Status: v1alpha1.PullBudgetStatus{Accounts: []v1alpha1.AccountStatus{{
			Account: "docker.io/anonymous", Grade: "OK", Limit: 100, Window: metav1.Duration{Duration: time.Hour},
			Remaining: free + 5, Source: "203.0.113.42", SentAt: &sent, Held: 2,
			ChargePerPull: []v1alpha1.ChargePerPull{{Host: "docker.io", Manifests: 2, Mean: "1.00", Samples: 9, Batches: 3, Most: 1}},
			Available:     []v1alpha1.ClassUnits{{Class: "serving", Units: free + 5}, {Class: "rollout", Units: free}},
			Forecast:      &v1alpha1.Forecast{From: metav1.NewTime(now.Add(40 * time.Minute)), To: metav1.NewTime(now.Add(50 * time.Minute))},
		}}},
	}
}
