package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// TestABudgetSaysThatItPacesPaceItself has the controller run images of several
// registries while a PullBudget paces Docker Hub.
func TestABudgetSaysThatItPacesPaceItself(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		image string
		edit  func(*v1alpha1.PullBudget)
		want  metav1.ConditionStatus
	}{
		"of the registry":    {"docker.io/acme/pacer:1", nil, metav1.ConditionFalse},
		"of another":         {"registry.corp/acme/pacer:1", nil, metav1.ConditionTrue},
		"of another account": {"docker.io/acme/pacer:1", func(b *v1alpha1.PullBudget) { b.Spec.Match = &v1alpha1.BudgetMatch{PullSecretNames: []string{"hub"}} }, metav1.ConditionTrue},
		"of another namespace": {"docker.io/acme/pacer:1", func(b *v1alpha1.PullBudget) {
			b.Spec.Match = &v1alpha1.BudgetMatch{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}}}
		}, metav1.ConditionTrue},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			self := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "pacer-1", UID: "pacer-1"}}
			self.Spec.Containers = []corev1.Container{{Name: "pacer", Image: tc.image}}
			budget := makeBudget(5)
			if tc.edit != nil {
				tc.edit(budget)
			}
			b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), budget, self, ownNamespace(v1alpha1.LabelPaceProof))
			b.turn.world.self = client.ObjectKeyFromObject(self)
			b.see()
			if err := b.take(3 * time.Second); err != nil {
				t.Fatal(err)
			}
			var got v1alpha1.PullBudget
			if err := b.client.Get(t.Context(), client.ObjectKey{Name: "hub"}, &got); err != nil {
				t.Fatal(err)
			}
			if c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionOwnImageApart); c == nil || c.Status != tc.want {
				t.Errorf("condition %+v, want %s", c, tc.want)
			}
		})
	}
}
