package controller

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	rollouts "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"

	"github.com/argoproj/argo-rollouts/metricproviders/webmetric"
	"github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
)

// metricOf is the metric of one of our templates, with its arguments filled in as
// Argo does and asked of url.
func metricOf(t *testing.T, template, url string) rollouts.Metric {
	t.Helper()
	text, err := os.ReadFile("../../manifests/integrations/argo-rollouts/" + template)
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("{{args.namespace}}", "shop", "{{args.rollout}}", "web", "{{args.uid}}", "r1", "{{args.hash}}", "v2", "{{args.step}}", "0").Replace(string(text))
	var c rollouts.ClusterAnalysisTemplate
	if err := yaml.UnmarshalStrict([]byte(filled), &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Spec.Metrics) != 1 {
		t.Fatalf("%d metrics in %s, want one: the first that ends would end the others", len(c.Spec.Metrics), template)
	}
	m := c.Spec.Metrics[0]
	m.Provider.Web.URL = url
	return m
}

// measure asks as Argo's controller does: with its own provider and evaluator.
func measure(t *testing.T, m rollouts.Metric) rollouts.Measurement {
	t.Helper()
	c, err := webmetric.NewWebMetricHttpClient(m)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := webmetric.NewWebMetricJsonParser(m)
	if err != nil {
		t.Fatal(err)
	}
	logger := logrus.New()
	logger.SetOutput(t.Output())
	return webmetric.NewWebMetricProvider(*logrus.NewEntry(logger), c, parser).Run(&rollouts.AnalysisRun{}, m)
}

func TestArgoUnderstandsEveryAnswer(t *testing.T) {
	t.Parallel()
	expected := quota.Range{From: start, To: start.Add(time.Hour)}
	cases := map[string]struct {
		answer  GateAnswer
		follows bool
		want    rollouts.AnalysisPhase
	}{
		"allow":      {answer: allowFor(core.Budget), want: rollouts.AnalysisPhaseSuccessful},
		"hold":       {answer: GateAnswer{Decision: kube.Wait, Reason: core.WaitingForBudget, RetryAfterSeconds: 20, Need: 9, Free: 2, Expected: expected}, want: rollouts.AnalysisPhaseInconclusive},
		"abort":      {answer: say(GateAnswer{Decision: kube.Abort, Reason: core.ImageFailing}, "not found"), want: rollouts.AnalysisPhaseFailed},
		"a follower": {answer: allowFor(core.Budget), follows: true, want: rollouts.AnalysisPhaseInconclusive},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gateOf(t, !tc.follows, makeRun("0", "", ""), makeRun(kube.StepHealth, "", ""))
			health := stepZero()
			health.Index = kube.StepHealth
			g.claims.wake = func() {
				g.claims.set(stepZero(), tc.answer)
				g.claims.set(health, tc.answer)
			}
			server := httptest.NewServer(g)
			defer server.Close()
			for _, template := range []string{"pull-budget.yaml", "pull-budget-dry-run.yaml", "pull-health.yaml"} {
				m := measure(t, metricOf(t, template, server.URL+kube.GatePath))
				want := tc.want
				if tc.follows && template == "pull-health.yaml" {
					want = rollouts.AnalysisPhaseSuccessful // it must not freeze for what one replica does not know
				}
				if m.Phase != want {
					t.Errorf("%s: phase %s of %q (%s), want %s", template, m.Phase, m.Value, m.Message, want)
				}
				// What people see of it is the whole answer.
				var shown GateAnswer
				if err := json.Unmarshal([]byte(m.Value), &shown); err != nil || !tc.follows && shown != tc.answer {
					t.Errorf("%s: the measurement says %q (%v), want %+v", template, m.Value, err, tc.answer)
				}
			}
		})
	}
}

// Why the contract is what it is: Argo 1.10.1 opens a gate that answers with nothing.
func TestArgoTakesAnEmptyAnswerForSuccess(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer server.Close()
	if m := measure(t, metricOf(t, "pull-budget.yaml", server.URL)); m.Phase != rollouts.AnalysisPhaseSuccessful {
		t.Errorf("phase %s of an empty answer: Argo has changed, so may the contract", m.Phase)
	}
}

func TestArgoTakesAGateThatIsGoneForAnError(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if m := measure(t, metricOf(t, "pull-budget.yaml", server.URL)); m.Phase != rollouts.AnalysisPhaseError {
		t.Errorf("phase %s of a gate that is gone, want Error, of which the template allows any number", m.Phase)
	}
}
