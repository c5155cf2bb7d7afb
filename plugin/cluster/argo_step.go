package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	if a.Hash == "" {
		return a.At(nil), nil // nothing was asked of it yet
	}
	var all []unstructured.Unstructured
	for _, s := range []kube.Step{a.step(), a.health()} {
		selector, err := kube.RunsOf(s)
		if err != nil {
			return a.At(nil), fmt.Errorf("naming the analysis of rollout/%s: %w", a.Name, err)
		}
		runs := kube.NewRuns()
		if err := c.List(ctx, runs, client.InNamespace(a.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
			return a.At(nil), fmt.Errorf("listing the analyses of rollout/%s: %w", a.Name, err)
		}
		all = append(all, runs.Items...)
	}
	return a.At(all), nil
}

// step is what the Rollout is at.
func (a *Argo) step() kube.Step {
	index := strconv.Itoa(a.Index)
	if a.Promotion != "" {
		index = kube.StepPrePromotion
	}
	return kube.Step{Namespace: a.Namespace, Rollout: a.Name, UID: a.UID, Hash: a.Hash, Index: index}
}

// health is what asks for the health of its newest revision.
func (a *Argo) health() kube.Step {
	s := a.step()
	s.Index = kube.StepHealth
	return s
}

// At says where the Rollout is among its steps and what the gate last answered to that
// step and of its pulls, as the runs keep it; nil where there is neither.
func (a *Argo) At(runs []unstructured.Unstructured) *view.Steps {
	s := &view.Steps{Paused: a.Paused, Words: a.Message}
	switch {
	case a.Aborted:
	case a.Index >= 0 && a.Index < len(a.Steps):
		s.Number, s.Of, s.Name = a.Index+1, len(a.Steps), a.Steps[a.Index]
	case a.Promotion != "" && a.Hash != a.Stable:
		s.Name = a.Promotion + ", before the promotion"
	}
	if s.Name != "" {
		s.Gate = newest(runs, a.step())
	}
	if h := newest(runs, a.health()); h != nil && (h.Decision == kube.Wait || h.Decision == kube.Abort) {
		s.Health = h
	}
	if s.Name == "" && s.Health == nil {
		return nil
	}
	return s
}

// newest is the last answer to a step in the newest of its runs; nil: there is no run.
func newest(runs []unstructured.Unstructured, step kube.Step) (g *view.StepGate) {
	created := time.Time{}
	for i := range runs {
		run, ok := kube.ReadRun(&runs[i])
		if !ok || !run.Ours || run.Step != step || run.Created.Before(created) {
			continue
		}
		created, g = run.Created, answered(&runs[i], run)
	}
	return g
}

// HeldSteps are the steps of Rollouts that the gate holds, and the Rollouts that are
// frozen by what it answered, of all namespaces for "".
func HeldSteps(ctx context.Context, c client.Reader, namespace string) ([]view.HeldGroup, error) {
	runs := kube.NewRuns()
	err := c.List(ctx, runs, client.InNamespace(namespace))
	if meta.IsNoMatchError(err) {
		return nil, nil // no Argo Rollouts here
	}
	if err != nil {
		return nil, fmt.Errorf("listing analysisruns: %w", err)
	}
	held := map[kube.Step]view.HeldGroup{}
	paused := map[kube.Step]bool{}
	for i := range runs.Items {
		run, ok := kube.ReadRun(&runs.Items[i])
		waits := ok && run.Ours && run.Decision == kube.Wait
		if !waits || run.Completed && !run.Unsure || !run.Completed && run.Step.Index == kube.StepHealth {
			continue
		}
		if before, more := held[run.Step]; more && run.Created.Before(before.Since) {
			continue
		}
		gate := answered(&runs.Items[i], run)
		paused[run.Step] = run.Completed
		held[run.Step] = view.HeldGroup{
			Namespace: run.Step.Namespace, Workload: Target{Rollout, run.Step.Rollout}.String(), Step: stepNumber(run.Step.Index),
			Reason: gate.Reason, Message: gate.Message, Since: run.Created,
		}
	}
	if err := dropPast(ctx, c, namespace, held, paused); err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(held), func(a, b view.HeldGroup) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Workload, b.Workload), cmp.Compare(a.Step, b.Step))
	}), nil
}

// dropPast takes out what ended unsure and no longer pauses its Rollout.
func dropPast(ctx context.Context, c client.Reader, namespace string, held map[kube.Step]view.HeldGroup, paused map[kube.Step]bool) error {
	maps.DeleteFunc(paused, func(_ kube.Step, is bool) bool { return !is })
	if len(paused) == 0 {
		return nil
	}
	list := kube.NewRollouts()
	if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing rollouts: %w", err)
	}
	for i := range list.Items {
		a, err := ReadArgo(&list.Items[i])
		if err != nil || !a.Inconclusive || a.Aborted {
			continue
		}
		delete(paused, a.step())
		delete(paused, a.health())
	}
	for s := range paused {
		delete(held, s)
	}
	return nil
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
