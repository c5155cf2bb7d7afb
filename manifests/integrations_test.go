package manifests_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// argo is the folder of what Argo Rollouts needs to ask Pace.
const argo = "integrations/argo-rollouts"

// read reads one object of the folder and refuses fields that its kind does not have.
func read[T any](t *testing.T, name string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(argo, name))
	if err != nil {
		t.Fatal(err)
	}
	var o T
	if err := yaml.UnmarshalStrict(text, &o); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return o
}

// metric is the one metric of a template that asks the gate.
func metric(t *testing.T, name string) (rollouts.AnalysisTemplateSpec, rollouts.Metric) {
	t.Helper()
	c := read[rollouts.ClusterAnalysisTemplate](t, name)
	if c.Kind != "ClusterAnalysisTemplate" || len(c.Spec.Metrics) != 1 || c.Spec.Metrics[0].Provider.Web == nil {
		t.Fatalf("%s is %s with %d metrics, want a ClusterAnalysisTemplate with one that asks the web", name, c.Kind, len(c.Spec.Metrics))
	}
	m := c.Spec.Metrics[0]
	// With both conditions an answer has three outcomes; with one it has two, of which
	// neither is to wait.
	if want := `result.decision == "allow"`; m.SuccessCondition != want && (name != "pull-health.yaml" || !strings.HasPrefix(m.SuccessCondition, want+" || ")) || m.FailureCondition != `result.decision == "abort"` {
		t.Errorf("%s: conditions %q and %q", name, m.SuccessCondition, m.FailureCondition)
	}
	if web := m.Provider.Web; web.Method != rollouts.WebMetricMethodPost || web.URL != "http://pacer.pullpace-system.svc/v1/gate" || web.JSONPath != "{$}" || web.TimeoutSeconds != 5 {
		t.Errorf("%s: asks %+v", name, m.Provider.Web)
	}
	if m.FailureLimit == nil || m.FailureLimit.IntValue() != 0 {
		t.Errorf("%s: failureLimit %v, want 0: one abort aborts", name, m.FailureLimit)
	}
	return c.Spec, m
}

// The numbers are those by which a hold neither ends by itself nor aborts. Source:
// analysis/analysis.go and rollout/analysis.go of Argo Rollouts 1.10.1.
func TestTheTemplateOfAHold(t *testing.T) {
	t.Parallel()
	spec, m := metric(t, "pull-budget.yaml")
	if m.Count == nil || m.Count.IntValue() <= 0 || m.InconclusiveLimit == nil || m.InconclusiveLimit.IntValue() != m.Count.IntValue() {
		t.Errorf("count %v, inconclusiveLimit %v: want them finite and alike", m.Count, m.InconclusiveLimit)
	}
	interval, err := m.Interval.Duration()
	if err != nil || interval.Seconds()*float64(m.Count.IntValue()) != 24*3600 {
		t.Errorf("interval %v, count %v: want to wait for the 24 h of a hold", m.Interval, m.Count)
	}
	if m.ConsecutiveSuccessLimit == nil || m.ConsecutiveSuccessLimit.IntValue() != 1 {
		t.Errorf("consecutiveSuccessLimit %v, want 1: the first allow ends it", m.ConsecutiveSuccessLimit)
	}
	if m.ConsecutiveErrorLimit == nil || m.ConsecutiveErrorLimit.IntValue() < 1<<30 {
		t.Errorf("consecutiveErrorLimit %v, want no bound: a gate that is down holds", m.ConsecutiveErrorLimit)
	}
	if len(spec.DryRun) != 0 {
		t.Errorf("dryRun %v in a template that holds", spec.DryRun)
	}
}

func TestTheTemplateThatOnlyTells(t *testing.T) {
	t.Parallel()
	spec, m := metric(t, "pull-budget-dry-run.yaml")
	if len(spec.DryRun) != 1 || spec.DryRun[0].MetricName != m.Name || m.Count == nil || m.Count.IntValue() != 1 {
		t.Errorf("dryRun %v, count %v: want the one metric, once", spec.DryRun, m.Count)
	}
}

func TestTheTemplateOfHealth(t *testing.T) {
	t.Parallel()
	_, m := metric(t, "pull-health.yaml")
	if m.Count != nil || m.InconclusiveLimit == nil || m.InconclusiveLimit.IntValue() != 0 || m.ConsecutiveErrorLimit == nil || m.ConsecutiveErrorLimit.IntValue() < 1<<30 {
		t.Errorf("metric %+v: want no end, to freeze at the first hold, and to pass over a gate that is down", m)
	}
}

// Every sample gives a template the arguments that it asks for, and no burst of a
// canary is without a gate before it.
func TestSampleRollouts(t *testing.T) {
	t.Parallel()
	templates := map[string]rollouts.AnalysisTemplateSpec{}
	for _, name := range []string{"pull-budget", "pull-health", "pull-budget-dry-run"} {
		templates[name], _ = metric(t, name+".yaml")
	}
	check := func(t *testing.T, a *rollouts.RolloutAnalysis, want string) {
		t.Helper()
		if a == nil || len(a.Templates) != 1 || a.Templates[0].TemplateName != want || a.Templates[0].ClusterScope == nil || !*a.Templates[0].ClusterScope {
			t.Fatalf("analysis %+v, want the cluster's %s", a, want)
		}
		given := map[string]bool{}
		for _, arg := range a.Args {
			given[arg.Name] = true
		}
		for _, arg := range templates[want].Args {
			if !given[arg.Name] {
				t.Errorf("%s is asked without %s", want, arg.Name)
			}
		}
	}
	for _, name := range []string{"canary.yaml", "canary-traffic.yaml"} {
		r := read[rollouts.Rollout](t, "samples/"+name)
		steps := r.Spec.Strategy.Canary.Steps
		check(t, &r.Spec.Strategy.Canary.Analysis.RolloutAnalysis, "pull-health")
		for _, i := range []int{0, len(steps) - 1} {
			check(t, steps[i].Analysis, "pull-budget")
		}
		routed := r.Spec.Strategy.Canary.TrafficRouting != nil
		for i, s := range steps {
			if makesPods := s.SetCanaryScale != nil || s.SetWeight != nil && !routed; makesPods && steps[i-1].Analysis == nil {
				t.Errorf("%s: step %d makes pods with no gate before it", name, i)
			}
		}
	}
	bg := read[rollouts.Rollout](t, "samples/blue-green.yaml")
	s := bg.Spec.Strategy.BlueGreen
	check(t, s.PrePromotionAnalysis, "pull-budget")
	if s.PreviewReplicaCount == nil || *s.PreviewReplicaCount >= *bg.Spec.Replicas {
		t.Errorf("previewReplicaCount %v of %d: nothing is left to wait for", s.PreviewReplicaCount, *bg.Spec.Replicas)
	}
	if bg.Spec.ProgressDeadlineSeconds == nil || *bg.Spec.ProgressDeadlineSeconds < 24*3600 {
		t.Errorf("progressDeadlineSeconds %v ends before the hold does", bg.Spec.ProgressDeadlineSeconds)
	}
}

func TestTheIntegrationBuildsAndGrantsLittle(t *testing.T) {
	t.Parallel()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), argo)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, r := range built.Resources() {
		kinds = append(kinds, r.GetKind())
		if r.GetKind() != "ClusterRole" {
			continue
		}
		var role rbacv1.ClusterRole
		if err := yaml.UnmarshalStrict([]byte(r.MustYaml()), &role); err != nil {
			t.Fatal(err)
		}
		if len(role.Rules) != 1 || strings.Join(role.Rules[0].Resources, " ") != "rollouts/status" || strings.Join(role.Rules[0].Verbs, " ") != "patch" {
			t.Errorf("rules %+v, want to patch the status of Rollouts and no more", role.Rules)
		}
	}
	if len(kinds) != 5 {
		t.Errorf("built %v, want three templates, a role and its binding", kinds)
	}
}
