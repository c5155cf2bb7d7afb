package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

func makeNodePool() *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"disruption": map[string]any{"budgets": []any{map[string]any{"nodes": "10%"}}}}}}
	u.SetGroupVersionKind(kube.NodePoolKind())
	u.SetName("general")
	return u
}

// pausingDisruption is a cluster in which nothing is left, with a NodePool whose nodes draw on that.
func pausingDisruption(t *testing.T, funcs interceptor.Funcs, asked bool) *bench {
	t.Helper()
	policy := makePolicy()
	policy.Spec.Nodes = &v1alpha1.Nodes{PauseDisruption: asked}
	return makeBench(t, funcs, makeNamespace(nil), policy, makeBudget(1), agent(), makeNodePool(),
		oldNode("a"), oldNode("b"), makePod(1), makePod(2), makePod(3))
}

// pools lets the turn see the NodePools, as their informer would, and returns the
// disruption budgets of the one that is there.
func (b *bench) pools() []any {
	b.t.Helper()
	pool := makeNodePool()
	if err := b.client.Get(b.t.Context(), client.ObjectKeyFromObject(pool), pool); err != nil {
		b.t.Fatal(err)
	}
	b.turn.feed.put(nodePoolKind, pool, false)
	budgets, _, err := unstructured.NestedSlice(pool.Object, "spec", "disruption", "budgets")
	if err != nil {
		b.t.Fatal(err)
	}
	return budgets
}

func TestNoNodeIsReplacedWhileUnitsAreShort(t *testing.T) {
	t.Parallel()
	tenth, none := map[string]any{"nodes": "10%"}, map[string]any{"nodes": "0"}
	b := pausingDisruption(t, interceptor.Funcs{}, true)
	want := func(when string, want ...any) {
		t.Helper()
		if diff := cmp.Diff(want, b.pools()); diff != "" {
			t.Errorf("%s: budgets (-want +got):\n%s", when, diff)
		}
	}
	want("at first", tenth)
	b.steps(2)
	want("while pods wait", tenth, none)
	b = b.restart()
	b.pools()
	b.steps(2)
	want("with another leader", tenth, none)
	for _, pod := range []int{1, 2, 3} {
		if err := b.client.Delete(t.Context(), b.pod(pod)); err != nil {
			t.Fatal(err)
		}
		b.turn.feed.put(podKind, makePod(pod), true)
	}
	for range 3 {
		b.clock.Step(time.Minute)
		b.steps(1)
		b.pools()
	}
	want("when nothing waits and units are there", tenth)
}

func TestDisruptionIsLeftAlone(t *testing.T) {
	t.Parallel()
	deny := interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
		if o.GetName() == "general" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "nodepools"}, "general", nil)
		}
		return c.Patch(ctx, o, p, opts...)
	}}
	cases := map[string]struct {
		funcs interceptor.Funcs
		asked bool
		said  int
	}{
		"nobody asked":     {interceptor.Funcs{}, false, 0},
		"without the role": {deny, true, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := pausingDisruption(t, tc.funcs, tc.asked)
			b.pools()
			b.steps(5)
			if got := len(b.pools()); got != 1 {
				t.Errorf("%d disruption budgets, want the one that was there", got)
			}
			if said := strings.Count(strings.Join(b.said(), "\n"), "refused to have its disruption budgets changed"); said != tc.said {
				t.Errorf("told %d times that it was refused, want %d", said, tc.said)
			}
		})
	}
}
