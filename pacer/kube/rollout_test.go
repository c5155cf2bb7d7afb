package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// parse reads an object of Argo as the API server gives it.
func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

const canary = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {namespace: shop, name: web, uid: r1}
spec:
  replicas: 20
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: "acme/web:2"}]}
`

func TestWhatPassingAGateOpens(t *testing.T) {
	t.Parallel()
	type opened struct {
		Pods, By int
		OK       bool
	}
	// Source of the numbers: GetCurrentSetWeight and the rounding up of
	// CalculateReplicaCountsForTrafficRoutedCanary in utils/replicaset/canary.go of
	// Argo Rollouts 1.10.1.
	cases := map[string]struct {
		strategy, step string
		want           opened
	}{
		"first, before any pod":         {`canary: {steps: [{analysis: {}}, {setWeight: 10}, {analysis: {}}]}`, "0", opened{2, 1, true}},
		"last, the jump to all":         {`canary: {steps: [{analysis: {}}, {setWeight: 10}, {analysis: {}}]}`, "2", opened{20, 3, true}},
		"a pause lies between":          {`canary: {steps: [{analysis: {}}, {pause: {}}, {setWeight: 50}]}`, "0", opened{10, 2, true}},
		"rounded up":                    {`canary: {steps: [{analysis: {}}, {setWeight: 1}]}`, "0", opened{1, 1, true}},
		"to nothing":                    {`canary: {steps: [{analysis: {}}, {setWeight: 0}]}`, "0", opened{0, 1, true}},
		"a scale counts with routing":   {`canary: {trafficRouting: {}, steps: [{analysis: {}}, {setCanaryScale: {replicas: 3}}, {setWeight: 50}]}`, "0", opened{3, 1, true}},
		"a weight under a fixed scale":  {`canary: {trafficRouting: {}, steps: [{setCanaryScale: {replicas: 3}}, {analysis: {}}, {setWeight: 50}]}`, "1", opened{3, 2, true}},
		"a scale by weight":             {`canary: {trafficRouting: {}, steps: [{analysis: {}}, {setCanaryScale: {weight: 25}}]}`, "0", opened{5, 1, true}},
		"back to the traffic":           {`canary: {trafficRouting: {}, steps: [{setCanaryScale: {replicas: 3}}, {setWeight: 50}, {analysis: {}}, {setCanaryScale: {matchTrafficWeight: true}}]}`, "2", opened{10, 3, true}},
		"a scale without routing":       {`canary: {steps: [{analysis: {}}, {setCanaryScale: {replicas: 3}}, {setWeight: 50}]}`, "0", opened{10, 2, true}},
		"of another whole":              {`canary: {trafficRouting: {maxTrafficWeight: 1000}, steps: [{analysis: {}}, {setWeight: 100}]}`, "0", opened{2, 1, true}},
		"at least so many":              {`canary: {minPodsPerReplicaSet: 4, trafficRouting: {}, steps: [{analysis: {}}, {setWeight: 5}]}`, "0", opened{4, 1, true}},
		"after the preview":             {`blueGreen: {previewReplicaCount: 1}`, StepPrePromotion, opened{20, 0, true}},
		"no preview of a canary":        {`canary: {steps: [{setWeight: 5}]}`, StepPrePromotion, opened{20, 1, false}},
		"no such step":                  {`canary: {steps: [{setWeight: 5}]}`, "1", opened{}},
		"no number":                     {`canary: {steps: [{setWeight: 5}]}`, "x", opened{}},
		"less than none":                {`canary: {steps: [{setWeight: 5}]}`, "-1", opened{}},
		"a number that nobody can have": {`canary: {steps: [{setWeight: 5}]}`, "99999999999999999999", opened{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := ReadRollout(parse(t, canary+"  strategy: {"+tc.strategy+"}"))
			if err != nil {
				t.Fatal(err)
			}
			var got opened
			got.Pods, got.By, got.OK = r.Opens(tc.step)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("opened (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARolloutThatPausesForItsAnalysisOnly(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		status string
		want   bool
	}{
		"an analysis could not tell":  {`{controllerPause: true, pauseConditions: [{reason: InconclusiveAnalysisRun, startTime: null}]}`, true},
		"and a step pauses":           {`{controllerPause: true, pauseConditions: [{reason: CanaryPauseStep}, {reason: InconclusiveAnalysisRun}]}`, false},
		"a step pauses":               {`{controllerPause: true, pauseConditions: [{reason: CanaryPauseStep}]}`, false},
		"goes on already":             {`{controllerPause: true}`, false},
		"never paused by its own":     {`{pauseConditions: [{reason: InconclusiveAnalysisRun}]}`, false},
		"an experiment could not say": {`{controllerPause: true, pauseConditions: [{reason: InconclusiveExperiment}]}`, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := ReadRollout(parse(t, canary+"status: "+tc.status))
			if err != nil {
				t.Fatal(err)
			}
			if r.Inconclusive != tc.want {
				t.Errorf("inconclusive %v, want %v", r.Inconclusive, tc.want)
			}
		})
	}
}

func TestARolloutThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]string{
		"replicas of text": `spec: {replicas: many}`, "steps that are none": `spec: {strategy: {canary: {steps: 7}}}`, "a spec of text": `spec: junk`,
	} {
		if r, err := ReadRollout(parse(t, spec)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

const run = `
apiVersion: argoproj.io/v1alpha1
kind: AnalysisRun
metadata:
  namespace: shop
  name: web-abc-2-0
  uid: run
  creationTimestamp: "2026-03-01T12:00:00Z"
  annotations: {a: b}
  labels: {rollouts-pod-template-hash: abc, step-index: "0", rollout-type: Step}
  ownerReferences: [{apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web, uid: r1, controller: true}]
spec:
  args: [{name: uid, value: r1}]
  metrics:
  - {name: pull-budget, provider: {web: {url: "http://pacer.pullpace-system.svc/v1/gate", method: POST}}}
  - {name: latency, provider: {prometheus: {query: up}}}
`

// wrote makes a run that one manager made and another, or the same, has ended.
func wrote(made, ended string) func(*unstructured.Unstructured) {
	return func(u *unstructured.Unstructured) {
		u.Object["spec"].(map[string]any)["terminate"] = true
		u.SetManagedFields([]metav1.ManagedFieldsEntry{
			{Manager: made, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:metrics":{}}}`)},
			{Manager: ended, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:terminate":{}}}`)},
			{Manager: made, Subresource: "status"},
		})
	}
}

func TestReadRun(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	step := Step{Namespace: "shop", Rollout: "web", UID: "r1", Hash: "abc", Index: "0"}
	base := Run{Name: "web-abc-2-0", Created: created, Step: step, Ours: true}
	with := func(edit func(*Run)) Run { r := base; edit(&r); return r }
	cases := map[string]struct {
		status string
		edit   func(*unstructured.Unstructured)
		want   Run
		none   bool
	}{
		"just made":    {want: base},
		"without last": {status: `{phase: Running, metricResults: [{name: pull-budget}]}`, want: base},
		"held": {
			status: `{phase: Running, metricResults: [{name: latency, measurements: [{value: "[1]"}]}, {name: pull-budget, measurements: [{value: "{\"decision\":\"allow\"}"}, {value: "{\"decision\":\"hold\",\"need\":3}", finishedAt: "2026-03-01T12:01:00Z"}]}]}`,
			want:   with(func(r *Run) { r.Decision, r.At = Wait, created.Add(time.Minute) }),
		},
		"an answer that is not ours": {status: `{phase: Running, metricResults: [{name: pull-budget, measurements: [{value: "{\"decision\":\"rm -rf\"}"}]}]}`, want: base},
		"ended well":                 {status: `{phase: Successful}`, want: with(func(r *Run) { r.Completed, r.Passed = true, true })},
		"could not tell":             {status: `{phase: Inconclusive}`, want: with(func(r *Run) { r.Completed, r.Unsure = true, true })},
		"pending":                    {status: `{phase: Pending}`, want: base},
		"background": {
			edit: func(u *unstructured.Unstructured) {
				u.SetLabels(map[string]string{"rollouts-pod-template-hash": "abc", "rollout-type": "Background"})
			},
			want: with(func(r *Run) { r.Step.Index = StepHealth }),
		},
		"before promotion": {
			edit: func(u *unstructured.Unstructured) {
				u.SetLabels(map[string]string{"rollouts-pod-template-hash": "abc", "rollout-type": "PrePromotion"})
			},
			want: with(func(r *Run) { r.Step.Index = StepPrePromotion }),
		},
		"terminated":    {edit: func(u *unstructured.Unstructured) { u.Object["spec"].(map[string]any)["terminate"] = true }, want: with(func(r *Run) { r.Terminated = true })},
		"ended by Argo": {edit: wrote("rollouts-controller", "rollouts-controller"), want: with(func(r *Run) { r.Terminated = true })},
		"ended by hand": {edit: wrote("rollouts-controller", "kubectl-argo-rollouts"), want: with(func(r *Run) { r.Terminated, r.ByHand = true, true })},
		"of nobody":     {edit: func(u *unstructured.Unstructured) { u.SetOwnerReferences(nil) }, none: true},
		"after promotion": {edit: func(u *unstructured.Unstructured) {
			u.SetLabels(map[string]string{"rollouts-pod-template-hash": "abc", "rollout-type": "PostPromotion"})
		}, none: true},
		"of no revision": {edit: func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{"step-index": "0"}) }, none: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := run
			if tc.status != "" {
				text += "status: " + tc.status
			}
			u := parse(t, text)
			if tc.edit != nil {
				tc.edit(u)
			}
			got, ok := ReadRun(u)
			if ok == tc.none {
				t.Fatalf("read %v, want %v", ok, !tc.none)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
			// What an informer keeps tells the same.
			trimmed, err := TrimArgo(u)
			if err != nil {
				t.Fatal(err)
			}
			if kept, _ := ReadRun(trimmed.(*unstructured.Unstructured)); kept != got {
				t.Errorf("trimmed it reads as %+v, before as %+v", kept, got)
			}
		})
	}
}
