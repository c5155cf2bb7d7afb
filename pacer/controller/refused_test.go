package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// TestEveryPodThatRestsSaysWhatTheApiServerSaid has the release of some pods refused, and
// one more come while their group rests: it was not tried, and says why all the same.
func TestEveryPodThatRestsSaysWhatTheApiServerSaid(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		err  error
		want string
		// events is how many pods have an Event of their own.
		events int
	}{
		"a policy refuses": {apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "web", errors.New("nobody touches this")),
			"the API server refused the release: ", eachAtOnce},
		"no answer": {errors.New("nobody touches this, it times out"), "the release could not be written: ", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuse := interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				if _, isPod := o.(*corev1.Pod); isPod {
					return tc.err
				}
				return c.Patch(ctx, o, p, opts...)
			}}
			objects := []client.Object{makeNamespace(nil), makePolicy(), makeBudget(100), makeNode("a")}
			const tried = eachAtOnce + 2
			for i := range tried {
				objects = append(objects, makePod(i))
			}
			b := makeBench(t, refuse, objects...)
			b.steps(2)
			if err := b.client.Create(t.Context(), makePod(tried)); err != nil {
				t.Fatal(err)
			}
			b.see()
			b.mustTake(time.Second)

			told := 0
			for _, e := range b.said() {
				if strings.HasPrefix(e, "Warning ReleaseRefused "+tc.want) && strings.Contains(e, "nobody touches this") {
					told++
				}
			}
			if told != tc.events {
				t.Errorf("%d Events tell of it, want %d", told, tc.events)
			}
			said := b.explained()
			for i := range tried + 1 {
				if c := said[makePod(i).Name]; c.Reason != string(core.ReleaseRefused) || !strings.HasPrefix(c.Message, tc.want) || !strings.Contains(c.Message, "nobody touches this") {
					t.Errorf("pod %d says %q, %q; want the words of the refusal", i, c.Reason, c.Message)
				}
			}
		})
	}
}

// A step that is not let go, since that could not be booked, says why.
func TestAStepSaysWhyItCouldNotBeBooked(t *testing.T) {
	t.Parallel()
	down := false
	b := makeBench(t, interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
		if _, books := o.(*v1alpha1.PullBudget); books && down {
			return errors.New("etcd has no leader")
		}
		return c.SubResource(sub).Patch(ctx, o, p, opts...)
	}}, sixNodes(makeBudget(4))...)
	b.mustTake(0)
	down = true
	b.argo(makeRollout(0), makeRun("0", "", ""))
	for range 2 {
		if err := b.take(time.Second); err == nil {
			t.Fatal("a turn that could not book ended without an error")
		}
	}
	a := b.ask("0")
	if a.Decision != kube.Wait || a.Reason != core.ReleaseRefused || !strings.Contains(a.Message, "etcd has no leader") {
		t.Errorf("answer %+v, want to wait for ReleaseRefused with what was answered", a)
	}
}

// explained writes what is queued and returns what each pod says of its hold.
func (b *bench) explained() map[string]corev1.PodCondition {
	b.t.Helper()
	for {
		_, x, ok := b.turn.explainer.pop()
		if !ok {
			break
		}
		if err := b.turn.explainer.write(b.t.Context(), x); err != nil {
			b.t.Fatal(err)
		}
	}
	said := map[string]corev1.PodCondition{}
	for _, o := range b.list(&corev1.Pod{}) {
		for _, c := range o.(*corev1.Pod).Status.Conditions {
			if c.Type == v1alpha1.ConditionHeld {
				said[o.GetName()] = c
			}
		}
	}
	return said
}
