package controller

import (
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/gate"
)

func TestWhatIsHeldIsCounted(t *testing.T) {
	t.Parallel()
	held := newHeldCount()
	if _, err := held.in("shop"); err == nil {
		t.Error("a count is given before anything was seen")
	}
	held.seen.Store(true)
	elsewhere := func(p *corev1.Pod) { p.Namespace = "other" }
	released := func(p *corev1.Pod) { gate.Release(p, gate.Letting{}) }
	resumed := func(j *batchv1.Job) { j.Spec.Suspend = new(false) }
	steps := []struct {
		what string
		do   func()
		want int
	}{
		{"nothing", func() {}, 0},
		{"a pod", func() { held.see(makePod(1)) }, 1},
		{"the same again", func() { held.see(makePod(1)) }, 1},
		{"another", func() { held.see(makePod(2)) }, 2},
		{"one of another namespace", func() { held.see(makePod(3, elsewhere)) }, 2},
		{"a Job of three", func() { held.see(makeJob(3)) }, 5},
		{"it makes more at once", func() { held.see(makeJob(4)) }, 6},
		{"it is let go", func() { held.see(makeJob(4, resumed)) }, 2},
		{"a pod is let go", func() { held.see(makePod(1, released)) }, 1},
		{"and ends", func() { held.gone(makePod(1, released)) }, 1},
		{"a held pod ends", func() { held.gone(makePod(2)) }, 0},
		{"an end is told twice", func() { held.gone(makePod(2)) }, 0},
	}
	for _, s := range steps {
		s.do()
		if got, err := held.in("shop"); got != s.want || err != nil {
			t.Errorf("%s: %d held, %v; want %d", s.what, got, err, s.want)
		}
	}
}

// BenchmarkAdmit is the admission of one pod while so many are held in its namespace.
func BenchmarkAdmit(b *testing.B) {
	for _, held := range []int{0, 5000} {
		b.Run(fmt.Sprintf("held=%d", held), func(b *testing.B) {
			objects := []client.Object{makeNamespace(nil)}
			for i := range held {
				objects = append(objects, makePod(i, func(p *corev1.Pod) { p.UID = types.UID(fmt.Sprint(i)) }))
			}
			a := makeAdmitter(b, objects...)
			request := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{Namespace: "shop", Object: runtime.RawExtension{Raw: sent(nil)}}}
			for b.Loop() {
				if response := a.Handle(b.Context(), request); !response.Allowed {
					b.Fatal("a pod was denied")
				}
			}
		})
	}
}
