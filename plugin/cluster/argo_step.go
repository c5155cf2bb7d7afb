package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// StepsOf reads where a Rollout is among its steps; see Argo.At.
func StepsOf(ctx context.Context, c client.Reader, a *Argo) (*view.Steps, error) {
	at := a.At(nil)
	if at == nil {
		return nil, nil
	}
	selector, err := kube.RunsOf(a.step())
	if err != nil {
		return at, fmt.Errorf("naming the analysis of rollout/%s: %w", a.Name, err)
	}
	runs := kube.NewRuns()
	if err := c.List(ctx, runs, client.InNamespace(a.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return at, fmt.Errorf("listing the analyses of rollout/%s: %w", a.Name, err)
	}
	return a.At(runs.Items), nil
}

// step is the step that the Rollout is at.
func (a *Argo) step() kube.Step {
	return kube.Step{Namespace: a.Namespace, Rollout: a.Name, UID: a.UID, Hash: a.Hash, Index: strconv.Itoa(a.Index)}
}

// At says where the Rollout is among its steps and what the gate last answered to that
// step, as one of the runs keeps it; nil for one without steps, or that is past them.
func (a *Argo) At(runs []unstructured.Unstructured) *view.Steps {
	if a.Index < 0 || a.Index >= len(a.Steps) {
		return nil
	}
	s := &view.Steps{Number: a.Index + 1, Of: len(a.Steps), Name: a.Steps[a.Index], Paused: a.Paused, Words: a.Message}
	newest := time.Time{}
	for i := range runs {
		run, ok := kube.ReadRun(&runs[i])
		if !ok || !run.Ours || run.Step != a.step() || run.Created.Before(newest) {
			continue
		}
		newest = run.Created
		s.Gate = answered(&runs[i], run)
	}
	return s
}

// HeldSteps are the steps of Rollouts that the gate holds, of all namespaces for "".
func HeldSteps(ctx context.Context, c client.Reader, namespace string) ([]view.HeldGroup, error) {
	runs := kube.NewRuns()
	err := c.List(ctx, runs, client.InNamespace(namespace))
	if meta.IsNoMatchError(err) {
		return nil, nil // no Argo Rollouts here
	}
	if err != nil {
		return nil, fmt.Errorf("listing analysisruns: %w", err)
	}
	var out []view.HeldGroup
	for i := range runs.Items {
		run, ok := kube.ReadRun(&runs.Items[i])
		if !ok || !run.Ours || run.Completed || run.Decision != kube.Wait || run.Step.Index == kube.StepHealth {
			continue
		}
		gate := answered(&runs.Items[i], run)
		out = append(out, view.HeldGroup{
			Namespace: run.Step.Namespace, Workload: Target{Rollout, run.Step.Rollout}.String(), Step: stepNumber(run.Step.Index),
			Reason: gate.Reason, Message: gate.Message, Since: run.Created,
		})
	}
	slices.SortFunc(out, func(a, b view.HeldGroup) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Workload, b.Workload))
	})
	return out, nil
}

// stepNumber counts from 1, as people and Argo's own screens do.
func stepNumber(index string) string {
	n, err := strconv.Atoi(index)
	if err != nil {
		return index
	}
	return strconv.Itoa(n + 1)
}

// answered is what the gate answered a run last, as the run keeps it.
func answered(u *unstructured.Unstructured, run kube.Run) *view.StepGate {
	g := &view.StepGate{Decision: run.Decision, AskedAt: run.At, Since: run.Created}
	value, ok := lastValue(u)
	if !ok {
		return g
	}
	var said struct {
		Reason   string `json:"reason"`
		Message  string `json:"message"`
		Need     int64  `json:"need"`
		Free     int64  `json:"free"`
		Expected struct {
			From time.Time `json:"from"`
			To   time.Time `json:"to"`
		} `json:"expected"`
	}
	if json.Unmarshal([]byte(value), &said) != nil {
		return g
	}
	g.Reason, g.Message, g.Need, g.Free = said.Reason, said.Message, said.Need, said.Free
	g.Expected = view.Window{From: said.Expected.From, To: said.Expected.To}
	return g
}

// lastValue is the last measurement of a run that reads as an answer of the gate.
func lastValue(u *unstructured.Unstructured) (string, bool) {
	results, _, _ := unstructured.NestedSlice(u.Object, "status", "metricResults")
	for _, r := range results {
		result, ok := r.(map[string]any)
		if !ok {
			continue
		}
		measurements, _, _ := unstructured.NestedSlice(result, "measurements")
		for _, m := range slices.Backward(measurements) {
			if measurement, ok := m.(map[string]any); ok {
				if value, _, _ := unstructured.NestedString(measurement, "value"); json.Valid([]byte(value)) && value != "" {
					return value, true
				}
			}
		}
	}
	return "", false
}
