package controller

import (
	"encoding/json"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/pacer/proof"
)

// makeAdmitter knows the objects and the rules of a Docker Hub limit.
func makeAdmitter(t testing.TB, objects ...client.Object) *admitter {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	a := &admitter{reader: c, held: countHeld(objects...), decoder: admission.NewDecoder(scheme), clock: clocktesting.NewFakePassiveClock(start), metrics: NewMetrics(prometheus.NewRegistry()),
		beating: func() bool { return true }}
	rules, err := kube.NewRules([]v1alpha1.PullBudget{*makeBudget(5)}, []v1alpha1.PacePolicy{*makePolicy()})
	if err != nil {
		t.Fatal(err)
	}
	a.rules.Store(rules)
	return a
}

// countHeld counts what is held of these objects.
func countHeld(objects ...client.Object) *heldCount {
	held := newHeldCount()
	for _, o := range objects {
		held.see(o)
	}
	held.seen.Store(true)
	return held
}

// sent is a pod as a ReplicaSet controller creates it, with a field that this
// program does not know.
func sent(edit func(pod map[string]any)) []byte {
	pod := map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"generateName": "web-v1-", "labels": map[string]any{"pod-template-hash": "v1"},
			"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-v1", "uid": "1", "controller": true}}},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "app", "image": "acme/web:1"}}, "fieldOfTomorrow": "kept"},
	}
	if edit != nil {
		edit(pod)
	}
	raw, err := json.Marshal(pod)
	if err != nil {
		panic(err)
	}
	return raw
}

// admitted applies the answer to what was sent.
func admitted(t *testing.T, a *admitter, raw []byte, dryRun bool) map[string]any {
	t.Helper()
	resp := a.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Namespace: "shop", DryRun: &dryRun, Object: runtime.RawExtension{Raw: raw}}})
	if !resp.Allowed {
		t.Fatalf("a pod was denied: %+v", resp.Result)
	}
	if len(resp.Patches) > 0 {
		text, err := json.Marshal(resp.Patches)
		if err != nil {
			t.Fatal(err)
		}
		patch, err := jsonpatch.DecodePatch(text)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = patch.Apply(raw); err != nil {
			t.Fatalf("applying %s: %v", text, err)
		}
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAdmissionPutsTheGateOnAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(map[string]any){
		"nothing there": func(p map[string]any) { delete(p["metadata"].(map[string]any), "annotations") },
		"annotations and another gate": func(p map[string]any) {
			p["metadata"].(map[string]any)["annotations"] = map[string]any{"theirs": "kept"}
			p["spec"].(map[string]any)["schedulingGates"] = []any{map[string]any{"name": "other.dev/gate"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want map[string]any
			if err := json.Unmarshal(sent(edit), &want); err != nil {
				t.Fatal(err)
			}
			meta, spec := want["metadata"].(map[string]any), want["spec"].(map[string]any)
			annotations, _ := meta["annotations"].(map[string]any)
			if annotations == nil {
				annotations = map[string]any{}
				meta["annotations"] = annotations
			}
			annotations[v1alpha1.AnnotationSeen] = start.Format(time.RFC3339)
			annotations[v1alpha1.AnnotationHoldUntil] = start.Add(24 * time.Hour).Format(time.RFC3339)
			meta["labels"].(map[string]any)[v1alpha1.LabelHeld] = "true"
			gates, _ := spec["schedulingGates"].([]any)
			spec["schedulingGates"] = append(gates, map[string]any{"name": v1alpha1.Gate})
			a := makeAdmitter(t, makeNamespace(nil))
			for _, dryRun := range []bool{false, true} {
				if diff := cmp.Diff(want, admitted(t, a, sent(edit), dryRun)); diff != "" {
					t.Errorf("dry run %v (-want +got):\n%s", dryRun, diff)
				}
			}
		})
	}
}

func TestAdmissionLetsThroughWhatIsNotHeld(t *testing.T) {
	t.Parallel()
	recreate := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1"}}
	recreate.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
	bare := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-v1",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "1", Controller: new(true)}}}}
	before := recreate.DeepCopy()
	before.UID, before.Spec.Strategy = "0", appsv1.DeploymentStrategy{}
	cases := map[string]struct {
		objects []client.Object
		// young are what the caches do not know yet.
		young  []client.Object
		raw    []byte
		rules  bool
		silent bool
		// unread says that nothing can be told of the pod.
		unread bool
	}{
		"namespace not known":                             {raw: sent(nil), rules: true},
		"no turn completes":                               {objects: []client.Object{makeNamespace(nil)}, raw: sent(nil), rules: true, silent: true},
		"rules not read":                                  {objects: []client.Object{makeNamespace(nil)}, raw: sent(nil)},
		"recreated":                                       {objects: []client.Object{makeNamespace(nil), recreate, bare}, raw: sent(nil), rules: true},
		"recreated, too young for the cache":              {objects: []client.Object{makeNamespace(nil), bare}, young: []client.Object{recreate}, raw: sent(nil), rules: true},
		"recreated, as its ReplicaSet too young":          {objects: []client.Object{makeNamespace(nil)}, young: []client.Object{recreate}, raw: sent(nil), rules: true},
		"recreated, the cache knows another of that name": {objects: []client.Object{makeNamespace(nil), bare, before}, young: []client.Object{recreate}, raw: sent(nil), rules: true},
		"unguarded":                                       {objects: []client.Object{makeNamespace(nil), makeDeployment(), makeSet("v1", 2), makeSet("v0", 1, serving)}, raw: sent(nil), rules: true},
		"not a pod":                                       {objects: []client.Object{makeNamespace(nil)}, raw: []byte(`{"spec":{"containers":"junk"}}`), rules: true, unread: true},
		"not even JSON":                                   {objects: []client.Object{makeNamespace(nil)}, raw: []byte(`{`), rules: true, unread: true},
		"image of no budget": {objects: []client.Object{makeNamespace(nil)}, rules: true, raw: sent(func(p map[string]any) {
			p["spec"].(map[string]any)["containers"] = []any{map[string]any{"name": "a", "image": "ghcr.io/a/b"}}
		})},
		"switched off":           {objects: []client.Object{makeNamespace(map[string]string{v1alpha1.AnnotationPace: v1alpha1.AnnotationPaceOff})}, raw: sent(nil), rules: true},
		"scheduled by its owner": {objects: []client.Object{makeNamespace(nil)}, rules: true, raw: sent(func(p map[string]any) { p["spec"].(map[string]any)["nodeName"] = "n1" })},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := makeAdmitter(t, tc.objects...)
			a.live = makeAdmitter(t, tc.young...).reader
			if !tc.rules {
				a.rules.Store(nil)
			}
			a.beating = func() bool { return !tc.silent }
			resp := a.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: "shop", Object: runtime.RawExtension{Raw: tc.raw}}})
			if !resp.Allowed || len(resp.Patch) > 0 {
				t.Fatalf("answer %+v, want allowed", resp)
			}
			if said := resp.Result != nil && resp.Result.Message == string(core.FailOpen); said != tc.silent {
				t.Errorf("said %+v, want FailOpen: %v", resp.Result, tc.silent)
			}
			if tc.unread {
				if len(resp.Patches) > 0 {
					t.Errorf("patched %v", resp.Patches)
				}
				return
			}
			var want map[string]any
			if err := json.Unmarshal(tc.raw, &want); err != nil {
				t.Fatal(err)
			}
			want["metadata"].(map[string]any)["annotations"] = map[string]any{v1alpha1.AnnotationSeen: start.Format(time.RFC3339)}
			if diff := cmp.Diff(want, admitted(t, a, tc.raw, false)); diff != "" {
				t.Errorf("want it marked as seen and nothing else (-want +got):\n%s", diff)
			}
		})
	}
}

func TestADryRunOfOurNamespaceProvesTheGate(t *testing.T) {
	t.Parallel()
	own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.Namespace, Labels: map[string]string{v1alpha1.LabelPace: v1alpha1.LabelPaceProof}}}
	shop := makeNamespace(nil)
	asks := func(namespace string) []byte {
		raw, err := json.Marshal(proof.Pod(namespace, "ghcr.io/pullpace/pacer:dev"))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	cases := map[string]struct {
		namespace string
		real      bool
		unread    bool
		stuck     bool
		gated     bool
		answer    string
	}{
		"whatever the rules":       {namespace: v1alpha1.Namespace, gated: true, answer: v1alpha1.ProofGated},
		"rules not read":           {namespace: v1alpha1.Namespace, unread: true, answer: "PullBudgets and PacePolicies are not read yet"},
		"no turn completes":        {namespace: v1alpha1.Namespace, stuck: true, answer: "no turn was completed for 30s, so that nobody would let a pod go"},
		"never a pod that is made": {namespace: v1alpha1.Namespace, real: true, answer: v1alpha1.AskProof},
		"not elsewhere":            {namespace: "shop", answer: v1alpha1.AskProof},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := makeAdmitter(t, own, shop)
			rules, err := kube.NewRules(nil, nil) // nothing is paced, nothing enforced
			if err != nil {
				t.Fatal(err)
			}
			a.rules.Store(rules)
			a.beating = func() bool { return !tc.stuck }
			if tc.unread {
				a.rules.Store(nil)
			}
			raw, err := json.Marshal(admitted(t, a, asks(tc.namespace), !tc.real))
			if err != nil {
				t.Fatal(err)
			}
			var pod corev1.Pod
			if err := json.Unmarshal(raw, &pod); err != nil {
				t.Fatal(err)
			}
			if got := gate.Gated(&pod); got != tc.gated || pod.Annotations[v1alpha1.AnnotationProof] != tc.answer {
				t.Errorf("gated %v, answer %q; want %v, %q", got, pod.Annotations[v1alpha1.AnnotationProof], tc.gated, tc.answer)
			}
		})
	}
}
