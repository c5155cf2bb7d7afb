package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// TestStatusesAreWrittenSideBySide: on a busy API server every write takes long, and pods
// that are let go wait for the books of all PullBudgets.
func TestStatusesAreWrittenSideBySide(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	meet := make(chan struct{}) // one waits for the other
	other := makeBudget(50)
	other.Name, other.UID, other.Spec.Registry = "other", "other", "quay.io"
	b := makeBench(t, interceptor.Funcs{SubResourcePatch: func(_ context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		if _, ok := o.(*v1alpha1.PullBudget); ok {
			select {
			case meet <- struct{}{}:
			case <-meet:
			case <-ctx.Done():
				return errors.New("the other one never came")
			}
		}
		return c.SubResource(sub).Patch(t.Context(), o, p, opts...)
	}}, makeNamespace(nil), makePolicy(), makeBudget(50), other)
	b.mustTake(time.Second)
	for _, o := range b.list(&v1alpha1.PullBudget{}) {
		if budget := o.(*v1alpha1.PullBudget); len(budget.Status.Accounts) != 1 {
			t.Errorf("PullBudget %s says %+v of its accounts, want one", budget.Name, budget.Status.Accounts)
		}
	}
}

// TestAStatusThatIsRefusedKeepsNoOtherBack: what one PullBudget should say cannot be
// written; the others say what is so, and the turn is not completed.
func TestAStatusThatIsRefusedKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	broken := makeBudget(50)
	broken.Name, broken.UID, broken.Spec.Registry = "broken", "broken", "quay.io"
	refused := errors.New("refused")
	b := makeBench(t, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		if o.GetName() == broken.Name {
			return refused
		}
		return c.SubResource(sub).Patch(ctx, o, p, opts...)
	}}, makeNamespace(nil), makePolicy(), makeBudget(50), broken)
	if err := b.take(time.Second); !errors.Is(err, refused) {
		t.Errorf("the turn ended with %v, want what was refused", err)
	}
	for _, o := range b.list(&v1alpha1.PullBudget{}) {
		if budget := o.(*v1alpha1.PullBudget); budget.Name != broken.Name && len(budget.Status.Accounts) != 1 {
			t.Errorf("PullBudget %s says %+v of its accounts, want one", budget.Name, budget.Status.Accounts)
		}
	}
}
