package controller

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/heartbeat"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/pacer/proof"
)

// admitPath is where pods are admitted.
const admitPath = "/mutate-pods"

// admitter puts the gate on pods that are being created. It reads caches, but for
// owners that are younger than those, and lets a pod through ungated whenever it is in
// doubt. It is safe for concurrent use.
type admitter struct {
	reader client.Reader
	// live reads past the cache.
	live client.Reader
	// held counts what is held already.
	held    *heldCount
	decoder admission.Decoder
	clock   clock.PassiveClock
	metrics *Metrics
	// pricer answers dry runs that ask for a price; nil: they are not answered.
	pricer *pricer
	// beating reports whether turns complete: nothing is held that nobody would let
	// go.
	beating func() bool
	// rules is what PullBudgets and PacePolicies say; nil until they were read.
	rules atomic.Pointer[kube.Rules]
}

// Handle implements admission.Handler. A dry run is answered as a real one:
// nothing is written but the answer.
func (a *admitter) Handle(ctx context.Context, req admission.Request) admission.Response {
	var pod corev1.Pod
	if err := a.decoder.Decode(req, &pod); err != nil {
		log.FromContext(ctx).Error(err, "pod not understood, let through")
		return admission.Allowed("")
	}
	if pod.Namespace == "" {
		pod.Namespace = req.Namespace
	}
	ns := a.namespace(ctx, pod.Namespace)
	if ns != nil && req.DryRun != nil && *req.DryRun && proof.Asked(&pod, ns.Labels) {
		return a.prove(&pod)
	}
	verdict := a.judge(ctx, &pod, ns)
	a.metrics.admitted(verdict)
	var patch []jsonpatch.Operation
	switch {
	case verdict.Hold:
		patch = gatePatch(&pod, a.clock.Now(), verdict.MaxHold)
	case ns == nil || ns.Labels[v1alpha1.LabelPace] == v1alpha1.LabelPaceEnabled:
		// The API server asks about namespaces that are opted in; of one that is not in
		// the cache yet it knows better.
		patch = seenPatch(&pod, a.clock.Now())
	}
	patch = append(patch, a.quotePatch(ctx, req, &pod)...)
	if len(patch) == 0 {
		return admission.Allowed(string(verdict.Reason))
	}
	return admission.Patched(string(verdict.Reason), patch...)
}

// prove answers the dry run that asks whether pods are gated: with the gate, by the
// same patch as that of a hold, or with why there would be none.
func (a *admitter) prove(pod *corev1.Pod) admission.Response {
	tell := func(answer string) jsonpatch.Operation {
		return jsonpatch.NewOperation("replace", "/metadata/annotations/pullpace.dev~1proof", answer)
	}
	if why := a.silent(); why != "" {
		return admission.Patched("", tell(why))
	}
	return admission.Patched("", append(gatePatch(pod, a.clock.Now(), time.Minute), tell(v1alpha1.ProofGated))...)
}

// silent says why no pod would be held at present, whatever it is; empty: pods may
// be held.
func (a *admitter) silent() string {
	if a.rules.Load() == nil {
		return "PullBudgets and PacePolicies are not read yet"
	}
	if _, err := a.held.in(""); err != nil {
		return err.Error()
	}
	if !a.beating() {
		return "no turn was completed for " + heartbeat.Fresh.String() + ", so that nobody would let a pod go"
	}
	return ""
}

// quotePatch answers a dry run that asks for a quote; nothing otherwise.
func (a *admitter) quotePatch(ctx context.Context, req admission.Request, pod *corev1.Pod) []jsonpatch.Operation {
	if req.DryRun == nil || !*req.DryRun || a.pricer == nil {
		return nil
	}
	ask, err := v1alpha1.ParseQuoteAsk(pod.Annotations[v1alpha1.AnnotationQuote])
	if err != nil {
		return nil
	}
	var namespace corev1.Namespace
	if a.reader.Get(ctx, client.ObjectKey{Name: pod.Namespace}, &namespace) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, priceWithin)
	defer cancel()
	quote, err := a.pricer.price(ctx, asked(ask, pod, &namespace), max(int(ask.Pods), 1))
	if err != nil {
		log.FromContext(ctx).V(1).Info("not quoted", "pod", pod.Namespace+"/"+pod.GenerateName, "cause", err.Error())
		return nil
	}
	return []jsonpatch.Operation{jsonpatch.NewOperation("replace", "/metadata/annotations/pullpace.dev~1quote", quote.String())}
}

// asked is the template that a pod of a dry run stands for.
func asked(ask v1alpha1.QuoteAsk, pod *corev1.Pod, namespace *corev1.Namespace) kube.Template {
	t := kube.Template{
		Namespace: namespace, Owner: kube.Owner{Kind: ask.Kind, Namespace: pod.Namespace, Name: ask.Name},
		Pods: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec},
	}
	if ask.Strategy != nil {
		t.Deployment = &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Strategy: *ask.Strategy}}
	}
	return t
}

// gatePatch is what puts the gate on a pod. It names what it adds and nothing
// else, so that fields which this program does not know are left as they are.
func gatePatch(pod *corev1.Pod, now time.Time, maxHold time.Duration) []jsonpatch.Operation {
	gated := pod.DeepCopy()
	gate.Hold(gated, now, maxHold)
	ops := addKeys("/metadata/annotations", pod.Annotations, gated.Annotations)
	ops = append(ops, addKeys("/metadata/labels", pod.Labels, gated.Labels)...)
	if len(pod.Spec.SchedulingGates) == 0 {
		return append(ops, jsonpatch.NewOperation("add", "/spec/schedulingGates", gated.Spec.SchedulingGates))
	}
	last := gated.Spec.SchedulingGates[len(gated.Spec.SchedulingGates)-1]
	return append(ops, jsonpatch.NewOperation("add", "/spec/schedulingGates/-", last))
}

// seenPatch is what marks a pod that is not held as one that came by here, so that
// those which did not can be counted.
func seenPatch(pod *corev1.Pod, now time.Time) []jsonpatch.Operation {
	seen := maps.Clone(pod.Annotations)
	if seen == nil {
		seen = map[string]string{}
	}
	seen[v1alpha1.AnnotationSeen] = now.UTC().Format(time.RFC3339)
	return addKeys("/metadata/annotations", pod.Annotations, seen)
}

// addKeys adds what after has and before has not, sorted.
func addKeys(path string, before, after map[string]string) []jsonpatch.Operation {
	if len(before) == 0 {
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", path, after)}
	}
	var ops []jsonpatch.Operation
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if value, had := before[key]; !had || value != after[key] {
			ops = append(ops, jsonpatch.NewOperation("add", path+"/"+pointer(key), after[key]))
		}
	}
	return ops
}

// namespace is one that the cache knows; nil: it does not.
func (a *admitter) namespace(ctx context.Context, name string) *corev1.Namespace {
	var ns corev1.Namespace
	if a.reader.Get(ctx, client.ObjectKey{Name: name}, &ns) != nil {
		return nil
	}
	return &ns
}

// pointer is a key as JSON pointers write it.
func pointer(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

// judge gathers what the caches know around the pod.
func (a *admitter) judge(ctx context.Context, pod *corev1.Pod, ns *corev1.Namespace) kube.Verdict {
	rules := a.rules.Load()
	if rules == nil {
		return kube.Verdict{Reason: core.Excluded}
	}
	if ns == nil {
		return kube.Verdict{Reason: core.NotOptedIn}
	}
	c := kube.Case{Pod: pod, Namespace: ns}
	c.Deployment, c.Job = a.deployment(ctx, pod), a.job(ctx, pod)
	c.Unguarded = a.unguarded(ctx, c.Deployment, pod)
	var err error
	if c.Gated, err = a.held.in(pod.Namespace); err != nil {
		return kube.Verdict{Reason: core.Excluded}
	}
	c.Hopeless = a.hopeless(ctx)
	return a.whileBeating(rules.Judge(c))
}

// hopeless are the PullBudgets of which every account is asked for more than it gives.
func (a *admitter) hopeless(ctx context.Context) map[string]bool {
	var budgets v1alpha1.PullBudgetList
	if a.reader.List(ctx, &budgets, client.UnsafeDisableDeepCopy) != nil {
		return nil
	}
	out := map[string]bool{}
	for i := range budgets.Items {
		out[budgets.Items[i].Name] = allHopeless(budgets.Items[i].Status.Accounts)
	}
	return out
}

// allHopeless reports whether more is asked of every account than it gives.
func allHopeless(accounts []v1alpha1.AccountStatus) bool {
	return len(accounts) > 0 && !slices.ContainsFunc(accounts, func(s v1alpha1.AccountStatus) bool {
		return s.Flow == nil || s.Flow.HopelessSince == nil
	})
}

// whileBeating holds nothing while turns do not complete.
func (a *admitter) whileBeating(v kube.Verdict) kube.Verdict {
	if v.Hold && !a.beating() {
		return kube.Verdict{Reason: core.FailOpen}
	}
	return v
}

// deployment is the owner of the pod's ReplicaSet; nil when there is none, or it cannot
// be read. Pods of a new one are often made before a cache knows of it.
func (a *admitter) deployment(ctx context.Context, pod *corev1.Pod) *appsv1.Deployment {
	ref := metav1.GetControllerOf(pod)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return nil
	}
	key, uid := client.ObjectKey{Namespace: pod.Namespace, Name: kube.OwnerOf(pod).Name}, types.UID("")
	var set appsv1.ReplicaSet
	if a.reader.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: ref.Name}, &set) == nil {
		owner := metav1.GetControllerOf(&set)
		if owner == nil || owner.Kind != "Deployment" {
			return nil
		}
		key.Name, uid = owner.Name, owner.UID
	}
	return find[appsv1.Deployment](ctx, a, key, uid)
}

// liveFor bounds the wait for an owner that no cache knows yet.
const liveFor = 500 * time.Millisecond

// find reads the owner of a pod from the cache, or past it where it is younger than
// that; nil: it cannot be read, or has another UID. An empty UID stands for any.
func find[T any, P interface {
	*T
	client.Object
}](ctx context.Context, a *admitter, key client.ObjectKey, uid types.UID) *T {
	ctx, cancel := context.WithTimeout(ctx, liveFor)
	defer cancel()
	for _, from := range []client.Reader{a.reader, a.live} {
		owner := P(new(T))
		if from != nil && from.Get(ctx, key, owner) == nil && (uid == "" || owner.GetUID() == uid) {
			return owner
		}
	}
	return nil
}

// unguarded reports whether to hold a pod would leave its Deployment short.
func (a *admitter) unguarded(ctx context.Context, d *appsv1.Deployment, pod *corev1.Pod) bool {
	var sets appsv1.ReplicaSetList
	if d == nil || !kube.DeletesFirst(d) || a.reader.List(ctx, &sets, client.InNamespace(d.Namespace), client.UnsafeDisableDeepCopy) != nil {
		return false
	}
	return kube.Unguarded(d, metav1.GetControllerOf(pod).Name, sets.Items)
}

// ready reports whether the admitter knows the rules, and what is held already.
func (a *admitter) ready(*http.Request) error {
	if a.rules.Load() == nil {
		return errNotYet("PullBudgets and PacePolicies are not read yet")
	}
	_, err := a.held.in("")
	return err
}

// errNotYet says what a replica still waits for.
type errNotYet string

func (e errNotYet) Error() string { return string(e) }
