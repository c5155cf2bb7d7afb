package plugin

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// gateStep is a step of a canary that asks the gate, by the template that comes with
// Pace.
const gateStep = "analysis pull-budget"

// workload is a Deployment, or an Argo Rollout with what it would be as one.
type workload struct {
	*appsv1.Deployment
	argo *cluster.Argo
}

// workload reads what a person named and Pace paces.
func (s *session) workload(ctx context.Context, c client.Reader, namespace string, t cluster.Target) (workload, error) {
	if t.Kind != cluster.Rollout {
		d, err := cluster.DeploymentOf(ctx, c, namespace, t.Name)
		return workload{Deployment: d}, err
	}
	a, err := cluster.ArgoOf(ctx, c, namespace, t.Name)
	if err != nil {
		return workload{}, err
	}
	return workload{Deployment: a.AsDeployment(), argo: a}, nil
}

// noteGate says of a price whether steps of a Rollout wait for it, which its pods never
// do.
func (w workload) noteGate(cost *view.Cost) {
	if w.argo == nil {
		return
	}
	if w.argo.Gated {
		cost.NotHeld = ""
		return
	}
	cost.NotHeld = string(core.Excluded)
	cost.Unknown = append(cost.Unknown, "whether a step waits: none of its steps is \""+gateStep+"\"")
}

// object is what is written to change the workload into another.
func (w workload) object(changed *appsv1.Deployment) (before, after client.Object, err error) {
	if w.argo == nil {
		return w.Deployment.DeepCopy(), changed, nil
	}
	next, ok := w.argo.SetTemplate(&changed.Spec.Template)
	if !ok {
		return nil, nil, fmt.Errorf("%s runs the pods that deploy/%s describes: change that; nothing was changed", cluster.WorkloadOf(w.Deployment), w.argo.Source)
	}
	return w.argo.Object, next, nil
}

// restarted is the Rollout with the order to start its pods anew, which Argo carries out
// pod by pod.
func (w workload) restarted(now time.Time) (*unstructured.Unstructured, error) {
	changed := w.argo.Object.DeepCopy()
	err := unstructured.SetNestedField(changed.Object, now.UTC().Format(time.RFC3339), "spec", "restartAt")
	return changed, err
}

// explainRollout says at which step an Argo Rollout is and why it waits there, and what
// pulls of its pods fail.
func explainRollout(ctx context.Context, c client.Reader, model *view.Explanation, u *unstructured.Unstructured) error {
	a, err := cluster.ReadArgo(u)
	if err != nil {
		return err
	}
	if err := explainPods(ctx, c, model, u); err != nil {
		return err
	}
	model.Steps, err = cluster.StepsOf(ctx, c, a)
	if err != nil {
		return err
	}
	var gate *view.StepGate
	switch s := model.Steps; {
	case s.Held():
		gate = s.Gate
		model.Since = gate.Since
	case s.Frozen():
		gate = s.Health
		model.Since = gate.AskedAt
	case model.Answer == string(core.NotHeld):
		model.Aborted, model.Message = a.Aborted, argoSays(a)
		if bad := s.BadImage(); bad != nil && a.Aborted {
			model.Reason = bad.Reason
		}
	}
	if gate != nil {
		model.Answer, model.Reason, model.Message = string(core.Held), gate.Reason, gate.Message
	}
	return nil
}

// abortedBy takes from what happened to an Argo Rollout that went back whether Pace
// aborted it.
func abortedBy(model *view.Explanation) {
	for _, e := range model.History {
		if model.Aborted && e.Reason == string(core.ImageFailing) {
			model.Reason = e.Reason
		}
	}
}

// argoSays is how Argo itself says that a Rollout stands.
func argoSays(a *cluster.Argo) string {
	switch {
	case a.Phase == "":
		return "its controller has not seen the last change yet"
	case a.Message == "":
		return "no step of it waits at the gate; Argo says " + a.Phase
	}
	return "no step of it waits at the gate; Argo says " + a.Phase + ": " + a.Message
}

// written is the workload as an object that was written shows it.
func (w workload) written(obj client.Object) (workload, error) {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		w.Deployment = o
	case *unstructured.Unstructured:
		a, err := w.argo.Later(o)
		if err != nil {
			return w, err
		}
		w.Deployment, w.argo = a.AsDeployment(), a
	}
	return w, nil
}
