package plugin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// readPolicies fills the policies of a status, the oldest first: it rules.
func readPolicies(ctx context.Context, c client.Reader, model *view.Status) error {
	policies, err := cluster.Policies(ctx, c)
	if err != nil {
		return err
	}
	for _, p := range policies {
		readGate(&p, model)
		spec := p.Spec.DeepCopy()
		spec.Default()
		model.Policies = append(model.Policies, view.Policy{Name: p.Name, Mode: string(cmp.Or(p.Spec.Mode, v1alpha1.Enforce)), MaxGatedPerNamespace: *spec.MaxGatedPerNamespace})
		if c := meta.FindStatusCondition(p.Status.Conditions, "Overlapped"); c != nil && c.Status == metav1.ConditionTrue {
			model.Problems = append(model.Problems, view.Condition{Type: c.Type, Reason: c.Reason, Message: p.Name + ": " + c.Message})
		}
	}
	return nil
}

// readGate takes from a policy's status whether the gate works, which all of them
// say, and which of its pods slipped by.
func readGate(p *v1alpha1.PacePolicy, model *view.Status) {
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionGateActive); c != nil && model.Gate.State == "" {
		model.Gate = view.Gate{State: view.GateBroken, Reason: c.Reason, Message: c.Message}
		if c.Status == metav1.ConditionTrue {
			model.Gate.State = view.GateActive
		}
		if p.Status.GateAskedAt != nil {
			model.Gate.AskedAt = p.Status.GateAskedAt.Time
		}
	}
	model.Slipped.Pods += int(p.Status.Slipped)
	room := maxSlippedNames - len(model.Slipped.Newest)
	model.Slipped.Newest = append(model.Slipped.Newest, p.Status.NewestSlipped[:min(room, len(p.Status.NewestSlipped))]...)
}

// maxSlippedNames is how many pods that slipped by are named.
const maxSlippedNames = 5

// noteFull names the namespaces of which as many pods are held as the policy that
// allows least lets be: which one rules them is the controller's to know.
func noteFull(model *view.Status) {
	least := int32(0)
	for _, p := range model.Policies {
		if p.Mode == string(v1alpha1.Enforce) && (least == 0 || p.MaxGatedPerNamespace < least) {
			least = p.MaxGatedPerNamespace
		}
	}
	held := map[string]int{}
	for _, g := range model.Held {
		held[g.Namespace] += g.Pods
	}
	for _, namespace := range slices.Sorted(maps.Keys(held)) {
		if least > 0 && held[namespace] >= int(least) {
			model.Problems = append(model.Problems, view.Condition{Type: "Gated", Reason: "MaxGatedPerNamespace",
				Message: fmt.Sprintf("%d pods of namespace %s are held, and a policy lets %d be: further ones start without a hold", held[namespace], namespace, least)})
		}
	}
}
