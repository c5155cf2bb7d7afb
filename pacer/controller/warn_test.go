package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

// makeWeb is a Deployment of two pods.
func makeWeb(image string, edit ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: image}}
	for _, e := range edit {
		e(d)
	}
	return d
}

// What somebody without the plugin is told of a write.
func TestWarningsOfAWrite(t *testing.T) {
	t.Parallel()
	const image = "acme/web:1"
	size := func(n int32) func(*appsv1.Deployment) { return func(d *appsv1.Deployment) { d.Spec.Replicas = &n } }
	recreate := func(d *appsv1.Deployment) { d.Spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType }
	shadow := makePolicy()
	shadow.Spec.Mode = v1alpha1.Shadow
	few := makePolicy()
	few.Spec.MaxGatedPerNamespace = new(int32(1))
	unread := makeBudget(5)
	cases := map[string]struct {
		old, next *appsv1.Deployment
		budget    *v1alpha1.PullBudget
		policy    *v1alpha1.PacePolicy
		change    func(*warner)
		want      []string
	}{
		"created, too many": {next: makeWeb(image), budget: readBudget(1),
			want: []string{"pace: needs 1-2 pulls, 1 free; last pod about 12:20-13:00 UTC (docker.io, deploy/web)"}},
		"changed, enough": {old: makeWeb("acme/web:0"), next: makeWeb(image), budget: readBudget(2),
			want: []string{"pace: needs 1-2 pulls, 2 free; all may start now (docker.io, deploy/web)"}},
		"grown":               {old: makeWeb(image), next: makeWeb(image, size(3)), budget: readBudget(0), want: []string{"pace: needs 1 pull, 0 free; last pod about 12:20-13:00 UTC (docker.io, deploy/web)"}},
		"shrunk":              {old: makeWeb(image, size(3)), next: makeWeb(image), budget: readBudget(0)},
		"the same":            {old: makeWeb(image), next: makeWeb(image), budget: readBudget(0)},
		"no pods":             {next: makeWeb(image, size(0)), budget: readBudget(0)},
		"stopped":             {next: makeWeb(image, func(d *appsv1.Deployment) { d.Spec.Paused = true }), budget: readBudget(0)},
		"of no registry":      {next: makeWeb("ghcr.io/a/b"), budget: readBudget(0)},
		"not read yet":        {next: makeWeb(image), budget: unread, want: []string{"pace: needs 1-2 pulls, free not known yet; last pod about when more is known (docker.io, deploy/web)"}},
		"all at once, enough": {next: makeWeb(image, recreate), budget: readBudget(2)},
		"all at once": {next: makeWeb(image, recreate), budget: readBudget(1),
			want: []string{"pace: needs 1-2 pulls, 1 free; strategy Recreate is never held, what is not free is refused (docker.io, deploy/web)"}},
		"only watched": {next: makeWeb(image), budget: readBudget(1), policy: shadow,
			want: []string{"pace: needs 1-2 pulls, 1 free; last pod about 12:20-13:00 UTC. Shadow: nothing is held (docker.io, deploy/web)"}},
		"only watched, enough": {next: makeWeb(image), budget: readBudget(2), policy: shadow},
		"more than are held": {next: makeWeb(image), budget: readBudget(1), policy: few, want: []string{
			"pace: needs 1-2 pulls, 1 free; last pod about 12:20-13:00 UTC (docker.io, deploy/web)",
			"pace: of a namespace 1 pod at most are held, 0 are now: others of deploy/web start without a hold"}},
		"nobody takes turns":  {next: makeWeb(image), budget: readBudget(0), change: func(w *warner) { w.pricer.beating = func() bool { return false } }},
		"others are priced":   {next: makeWeb(image), budget: readBudget(0), change: func(w *warner) { w.pricer.slots <- struct{}{}; w.pricer.slots <- struct{}{} }},
		"not everything seen": {next: makeWeb(image), budget: readBudget(0), change: func(w *warner) { w.pricer.seen.Store(false) }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.policy == nil {
				tc.policy = makePolicy()
			}
			a := makeAdmitter(t, makeNamespace(nil), tc.budget)
			rules, err := kube.NewRules([]v1alpha1.PullBudget{*tc.budget}, []v1alpha1.PacePolicy{*tc.policy})
			if err != nil {
				t.Fatal(err)
			}
			a.rules.Store(rules)
			w := &warner{pricer: makePricer(a), reader: a.reader, decoder: a.decoder}
			w.pricer.shapes.remember("docker.io/acme/web:1", 1)
			if tc.change != nil {
				tc.change(w)
			}
			if diff := cmp.Diff(tc.want, warned(t, w, "Deployment", tc.next, tc.old)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// warned is what whoever writes next over old is told.
func warned[T any](t *testing.T, w *warner, kind string, next, old *T) []string {
	t.Helper()
	raw := func(o *T) runtime.RawExtension {
		if o == nil {
			return runtime.RawExtension{}
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		return runtime.RawExtension{Raw: text}
	}
	resp := w.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Kind: metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind}, Namespace: "shop", Name: "web", Object: raw(next), OldObject: raw(old),
	}})
	if !resp.Allowed || len(resp.Patches) > 0 {
		t.Errorf("answer %+v, want it allowed as it is", resp)
	}
	return resp.Warnings
}

// What is never held is warned of where it would be refused: a DaemonSet pulls on
// each node.
func TestWarningsOfWhatIsNeverHeld(t *testing.T) {
	t.Parallel()
	a := makeAdmitter(t, makeNamespace(nil), readBudget(1))
	w := &warner{pricer: makePricer(a), reader: a.reader, decoder: a.decoder}
	w.pricer.shapes.remember("docker.io/acme/web:1", 1)
	template := makeWeb("acme/web:1").Spec.Template
	daemons := &appsv1.DaemonSet{Spec: appsv1.DaemonSetSpec{Template: template}}
	want := []string{"pace: needs 2 pulls, 1 free; its pods are never held, what is not free is refused (docker.io, ds/web)"}
	if diff := cmp.Diff(want, warned(t, w, "DaemonSet", daemons, nil)); diff != "" {
		t.Errorf("a DaemonSet (-want +got):\n%s", diff)
	}
	if got := warned(t, w, "DaemonSet", daemons, daemons); got != nil {
		t.Errorf("a DaemonSet that does not change: %q", got)
	}
	set := &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: new(int32(2)), Template: template}}
	want = []string{"pace: needs 1-2 pulls, 1 free; its pods are never held, what is not free is refused (docker.io, sts/web)"}
	if diff := cmp.Diff(want, warned(t, w, "StatefulSet", set, nil)); diff != "" {
		t.Errorf("a StatefulSet (-want +got):\n%s", diff)
	}
	if got := warned(t, w, "Job", set, nil); got != nil {
		t.Errorf("another kind: %q", got)
	}
}

// The API server cuts a warning of more than 256 bytes; ours end before.
func TestWarningsAreShort(t *testing.T) {
	t.Parallel()
	q := v1alpha1.PodQuote{At: start, Verdict: "hold", Pods: 9}
	for i := range 2 * maxWarnings {
		q.Accounts = append(q.Accounts, v1alpha1.QuotedAccount{Account: fmt.Sprintf("%s/%s@%d", strings.Repeat("r", 200), strings.Repeat("i", 200), i), Needs: v1alpha1.Range{Max: 5}})
	}
	q.Finish = v1alpha1.Forecast{From: metav1.NewTime(start), To: metav1.NewTime(start.Add(48 * time.Hour))}
	got := warnings("deploy/"+strings.Repeat("n", 63), q)
	for _, text := range got {
		if len(text) > 256 {
			t.Errorf("%d bytes: %s", len(text), text)
		}
	}
	if want := maxWarnings + 2; len(got) > want {
		t.Errorf("%d warnings, want %d at most", len(got), want)
	}
	q.Accounts = q.Accounts[:1]
	q.Accounts[0].Account = "docker.io/anonymous"
	const want = "pace: needs 0-5 pulls, free not known yet; last pod about Mar 1 12:00-Mar 3 12:00 UTC (docker.io, deploy/web)"
	if got := warnings("deploy/web", q)[0]; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
