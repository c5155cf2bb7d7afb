//go:build linux

package main

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

var start = time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// deployment is one of so many wanted and ready pods.
func deployment(wanted, ready int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"},
		Spec:       appsv1.DeploymentSpec{Replicas: &wanted},
		Status:     appsv1.DeploymentStatus{ReadyReplicas: ready, Replicas: ready, UpdatedReplicas: ready},
	}
}

func TestWatcherSeesReadyPodsFall(t *testing.T) {
	t.Parallel()
	type look struct {
		at            int
		wanted, ready int32
		hurt          bool // before the look
	}
	tests := map[string]struct {
		missing int32
		looks   []look
		want    bool
	}{
		"all the time ready":             {0, []look{{at: 60, wanted: 4, ready: 4}, {at: 61, wanted: 4, ready: 4}}, false},
		"not ready yet":                  {0, []look{{at: 60, wanted: 4, ready: 2}}, false},
		"one missing":                    {0, []look{{at: 60, wanted: 4, ready: 4}, {at: 61, wanted: 4, ready: 3}}, true},
		"one may be missing":             {25, []look{{at: 60, wanted: 4, ready: 4}, {at: 61, wanted: 4, ready: 3}}, false},
		"two missing":                    {25, []look{{at: 60, wanted: 4, ready: 4}, {at: 61, wanted: 4, ready: 2}}, true},
		"scaled up":                      {0, []look{{at: 60, wanted: 4, ready: 4}, {at: 61, wanted: 8, ready: 4}}, false},
		"scaled up, fewer than before":   {0, []look{{at: 60, wanted: 4, ready: 4}, {at: 61, wanted: 8, ready: 3}}, true},
		"scaled down":                    {0, []look{{at: 60, wanted: 8, ready: 8}, {at: 61, wanted: 4, ready: 4}}, false},
		"hurt by others":                 {0, []look{{at: 60, wanted: 4, ready: 4}, {at: 61, wanted: 4, ready: 3, hurt: true}}, false},
		"hurt, its status comes late":    {0, []look{{at: 60, wanted: 4, ready: 4}, {at: 61, wanted: 4, ready: 4, hurt: true}, {at: 62, wanted: 4, ready: 3}}, false},
		"hurt, recovered and then fewer": {0, []look{{at: 60, wanted: 4, ready: 4, hurt: true}, {at: 90, wanted: 4, ready: 4}, {at: 91, wanted: 4, ready: 3}}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatcher(nil)
			w.promise("shop", "api", tc.missing)
			got := ""
			for _, l := range tc.looks {
				if l.hurt {
					w.hurt("shop", "api", at(l.at))
				}
				got += w.judge(deployment(l.wanted, l.ready), at(l.at))
			}
			if (got != "") != tc.want {
				t.Errorf("said %q, want something: %t", got, tc.want)
			}
		})
	}
}

func TestWatcherSeesHoldsOutliveTheirBound(t *testing.T) {
	t.Parallel()
	w := newWatcher(nil)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api-1", UID: "1", Annotations: map[string]string{v1alpha1.AnnotationHoldUntil: at(60).Format(time.RFC3339)}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Image: "hub.test/a:1"}}, SchedulingGates: []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}},
	}
	w.pod(p, false)
	if late := w.late(at(60).Add(grace)); len(late) > 0 {
		t.Errorf("late already at the end of the grace: %v", late)
	}
	if late := w.late(at(61).Add(grace)); len(late) != 1 {
		t.Errorf("late %v, want the pod", late)
	}
	if late := w.late(at(62).Add(grace)); len(late) > 0 {
		t.Errorf("told twice: %v", late)
	}
}

func TestPodsThatNobodyCountedOn(t *testing.T) {
	t.Parallel()
	released := func(reason string) string {
		return v1alpha1.ReleaseMark{Decision: "d", Time: at(5), Reason: reason}.String()
	}
	tests := map[string]struct {
		image, mark string
		gated       bool
		want        string
	}{
		"held":                   {image: "hub.test/a:1", gated: true},
		"released by budget":     {image: "hub.test/a:1", mark: released("Budget")},
		"slipped by":             {image: "hub.test/a:1", want: "pods slipped by"},
		"from another registry":  {image: "infra.test/a:1"},
		"released by a person":   {image: "hub.test/a:1", mark: released("Override"), want: "released with Reason Override"},
		"released by its bound":  {image: "hub.test/a:1", mark: released("HoldExpired"), want: "released with Reason HoldExpired"},
		"released without Pace":  {image: "hub.test/a:1", mark: released("Failsafe"), want: "released with Reason Failsafe"},
		"released without words": {image: "hub.test/a:1", mark: released("FailOpen"), want: "released with Reason FailOpen"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatcher(nil)
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api-1", UID: "1", Annotations: map[string]string{}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Image: tc.image}}},
			}
			if tc.gated {
				p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}
			}
			if tc.mark != "" {
				p.Annotations[v1alpha1.AnnotationRelease] = tc.mark
			}
			w.pod(p, false)
			got := ""
			for _, s := range w.loose("shop", "hub.test") {
				got += s.why
			}
			if got != tc.want {
				t.Errorf("loose for %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRegistryTimesInTheMachines(t *testing.T) {
	t.Parallel()
	c := &registryClock{steps: []step{{at(13), 3 * time.Second}, {at(25), 5 * time.Second}}}
	for registrys, want := range map[int]int{5: 5, 13: 10, 20: 17, 25: 20, 40: 35} {
		if got := c.machine(at(registrys)); !got.Equal(at(want)) {
			t.Errorf("%d s are %v, want %d s", registrys, got.Sub(start), want)
		}
	}
}
