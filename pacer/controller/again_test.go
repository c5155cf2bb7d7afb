package controller

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

// frozen is the Rollout at a step that Argo paused because an analysis could not tell.
func frozen(step int) *unstructured.Unstructured {
	u := makeRollout(step)
	status := u.Object["status"].(map[string]any)
	status["controllerPause"] = true
	status["pauseConditions"] = []any{map[string]any{"reason": "InconclusiveAnalysisRun", "startTime": "2026-03-01T12:00:02Z"}}
	return u
}

func TestARolloutThatWeFrozeGoesOn(t *testing.T) {
	t.Parallel()
	throttled := canaryPod(1, func(p *corev1.Pod) {
		p.Spec.NodeName = "n1"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "ErrImagePull", Message: "unexpected status code 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit."}}}}
	})
	bad := canaryPod(1, func(p *corev1.Pod) {
		p.Spec.NodeName = "n1"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "ErrImagePull", Message: `failed to resolve reference "docker.io/acme/web:2": docker.io/acme/web:2: not found`}}}}
	})
	stepPause := frozen(1)
	stepPause.Object["status"].(map[string]any)["pauseConditions"] = []any{map[string]any{"reason": "CanaryPauseStep"}}
	health := makeRun(kube.StepHealth, "Inconclusive", `{"decision":"hold"}`)
	cases := map[string]struct {
		rollout, run *unstructured.Unstructured
		pod          *corev1.Pod
		pause        bool
		want         int
	}{
		"its pulls do well again":   {rollout: frozen(1), run: health, want: 1},
		"its pulls are throttled":   {rollout: frozen(1), run: health, pod: throttled},
		"an image is bad":           {rollout: frozen(1), run: health, pod: bad, want: 1},
		"there is budget":           {rollout: frozen(0), run: makeRun("0", "Inconclusive", `{"decision":"hold"}`), want: 1},
		"there is none":             {rollout: frozen(0), run: makeRun("0", "Inconclusive", `{"decision":"hold"}`), pause: true},
		"a step pauses it":          {rollout: stepPause, run: health},
		"another analysis did":      {rollout: frozen(1), run: makeRun("1", "Inconclusive", `{"latency":3}`)},
		"at a step that is behind":  {rollout: frozen(1), run: makeRun("0", "Inconclusive", `{"decision":"hold"}`)},
		"it asks again by itself":   {rollout: frozen(1), run: makeRun(kube.StepHealth, "Running", `{"decision":"hold"}`)},
		"of which we told to abort": {rollout: frozen(1), run: makeRun(kube.StepHealth, "Failed", `{"decision":"abort"}`)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var patches []string
			budget := makeBudget(100)
			if tc.pause {
				budget.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{Reason: "maintenance"}.String()}
			}
			b := makeBench(t, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if u, ok := o.(*unstructured.Unstructured); ok {
					text, err := p.Data(u)
					patches = append(patches, sub+" "+u.GetNamespace()+"/"+u.GetName()+" "+string(text))
					return err
				}
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			}}, sixNodes(budget)...)
			b.argo(tc.rollout, tc.run)
			if tc.pod != nil {
				b.turn.feed.put(podKind, tc.pod, false)
			}
			for range 3 {
				b.mustTake(time.Second)
			}
			var want []string
			for range tc.want {
				want = append(want, `status shop/web {"status":{"pauseConditions":null}}`)
			}
			if diff := cmp.Diff(want, patches); diff != "" {
				t.Errorf("writes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestABadImageIsAbortedWhereAPolicySaysSo(t *testing.T) {
	t.Parallel()
	bad := canaryPod(1, func(p *corev1.Pod) {
		p.Spec.NodeName = "n1"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "ErrImagePull", Message: `failed to resolve reference "docker.io/acme/web:2": docker.io/acme/web:2: not found`}}}}
	})
	gone := makeRollout(1)
	gone.Object["status"].(map[string]any)["abort"] = true
	stable := makeRollout(1)
	stable.Object["status"].(map[string]any)["stableRS"] = "v2"
	first := makeRollout(1)
	first.Object["status"].(map[string]any)["stableRS"] = ""
	cases := map[string]struct {
		rollout *unstructured.Unstructured
		says    bool
		mode    v1alpha1.Mode
		want    int
	}{
		"it does":                   {rollout: makeRollout(1), says: true, want: 1},
		"it does not":               {rollout: makeRollout(1)},
		"it only watches":           {rollout: makeRollout(1), says: true, mode: v1alpha1.Shadow},
		"it is aborted already":     {rollout: gone, says: true},
		"it is the stable revision": {rollout: stable, says: true},
		"it is the first revision":  {rollout: first, says: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var patches []string
			policy := makePolicy()
			policy.Spec.Mode = tc.mode
			if tc.says {
				policy.Spec.Rollouts = &v1alpha1.Rollouts{AbortBadImage: true}
			}
			objects := []client.Object{makeBudget(100), policy, makeNamespace(nil), makeNode("n1"), makeNode("n2")}
			b := makeBench(t, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				if u, ok := o.(*unstructured.Unstructured); ok {
					text, err := p.Data(u)
					patches = append(patches, sub+" "+u.GetNamespace()+"/"+u.GetName()+" "+string(text))
					return err
				}
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			}}, objects...)
			b.argo(tc.rollout)
			b.turn.feed.put(podKind, bad, false)
			for range 3 {
				b.mustTake(time.Second)
			}
			var want []string
			for range tc.want {
				want = append(want, `status shop/web {"status":{"abort":true}}`)
			}
			if diff := cmp.Diff(want, patches); diff != "" {
				t.Errorf("writes (-want +got):\n%s", diff)
			}
		})
	}
}
