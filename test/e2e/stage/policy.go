//go:build linux

package stage

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// ownPolicy is the label of namespaces that the default policy leaves to another: the
// oldest policy that selects a pod rules it, and the default one is the oldest.
const ownPolicy = "pace.test/own-policy"

// rule makes the stage's own PacePolicy, which rules its namespace and no other, and
// waits until the controller goes by it.
func (s *Stage) rule(ctx context.Context) error {
	def := &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	leave := fmt.Sprintf(`{"spec":{"namespaceSelector":{"matchExpressions":[{"key":%q,"operator":"DoesNotExist"}]}}}`, ownPolicy)
	if err := s.Client.Patch(ctx, def, client.RawPatch(types.MergePatchType, []byte(leave))); err != nil {
		return fmt.Errorf("leaving a namespace to its own policy: %w", err)
	}
	own := &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: s.Name}, Spec: *s.Options.Policy}
	own.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": s.Name}}
	if err := s.Client.Create(ctx, own); err != nil {
		return fmt.Errorf("making PacePolicy %q: %w", s.Name, err)
	}
	if out := s.Kubectl(ctx, "label", "namespace", s.Name, ownPolicy+"=true"); out.Code != 0 {
		return fmt.Errorf("labelling a namespace: %s", out)
	}
	return s.Ruled(ctx, def.Name, own.Name)
}

// Ruled returns when the controller goes by those policies as they are.
func (s *Stage) Ruled(ctx context.Context, policies ...string) error {
	return Poll(ctx, "the controller to go by the policies", func(ctx context.Context) (bool, string, error) {
		for _, name := range policies {
			var policy v1alpha1.PacePolicy
			if err := s.Client.Get(ctx, client.ObjectKey{Name: name}, &policy); err != nil {
				return false, "", err
			}
			if policy.Status.ObservedGeneration < policy.Generation {
				return false, name + " is not observed", nil
			}
		}
		return true, "", nil
	})
}

// unrule removes the stage's own policy.
func (s *Stage) unrule(ctx context.Context) error {
	err := s.Client.Delete(ctx, &v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: s.Name}})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("clearing the stage: %w", err)
	}
	return nil
}
