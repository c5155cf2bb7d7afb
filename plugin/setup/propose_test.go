package setup

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

func runningPod(secrets []string, images ...string) *corev1.Pod {
	p := &corev1.Pod{}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Image: image})
	}
	for _, s := range secrets {
		p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
	}
	return p
}

func TestPropose(t *testing.T) {
	t.Parallel()
	existing := func(name string, spec v1alpha1.PullBudgetSpec) v1alpha1.PullBudget {
		return v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
	}
	finished := runningPod(nil, "done.example/job")
	finished.Status.Phase = corev1.PodSucceeded
	tests := map[string]struct {
		pods  []*corev1.Pod
		known Known
		want  []string
		notes int
	}{
		"nothing runs": {},
		"one of each, most used first": {
			pods: []*corev1.Pod{runningPod(nil, "nginx", "ghcr.io/a/b"), runningPod(nil, "busybox"), finished,
				runningPod(nil, "1234.dkr.ecr.eu-west-1.amazonaws.com/x"), runningPod(nil, "Registry.corp:5000/x")},
			want: []string{"docker-hub docker.io 2", "1234.dkr.ecr.eu-west-1.amazonaws.com 1234.dkr.ecr.eu-west-1.amazonaws.com NodeCredentials 1",
				"ghcr ghcr.io 1", "registry.corp-5000 registry.corp:5000 1"},
		},
		"a host has one, under another name": {
			pods:  []*corev1.Pod{runningPod(nil, "nginx", "mirror.corp/x")},
			known: Known{Budgets: []v1alpha1.PullBudget{existing("hub", v1alpha1.PullBudgetSpec{Registry: "index.docker.io", UpstreamOf: []string{"mirror.corp"}})}},
		},
		"a name is taken": {
			pods:  []*corev1.Pod{runningPod(nil, "ghcr.io/a/b")},
			known: Known{Budgets: []v1alpha1.PullBudget{existing("ghcr", v1alpha1.PullBudgetSpec{Registry: "other.example"})}},
			want:  []string{"ghcr-2 ghcr.io 1"},
		},
		"Pace's own": {
			pods:  []*corev1.Pod{runningPod(nil, "ghcr.io/a/b")},
			known: Known{Image: "ghcr.io/pullpace/pacer:v1"}, notes: 1,
		},
		"a pull secret that Pace has not got": {
			pods: []*corev1.Pod{runningPod([]string{"hub"}, "nginx")}, want: []string{"docker-hub docker.io 1"}, notes: 1,
		},
		"a pull secret that Pace has": {
			pods:  []*corev1.Pod{runningPod([]string{"hub"}, "nginx"), runningPod([]string{"hub"}, "ghcr.io/a/b"), runningPod(nil, "nginx")},
			known: Known{Secrets: []string{"hub"}},
			want:  []string{"docker-hub docker.io 2", "docker-hub-hub docker.io Credentials hub 1", "ghcr ghcr.io 1"},
		},
		"a pull secret that has its budget": {
			pods: []*corev1.Pod{runningPod([]string{"hub"}, "nginx")},
			known: Known{Budgets: []v1alpha1.PullBudget{
				existing("hub", v1alpha1.PullBudgetSpec{Registry: "docker.io", Match: &v1alpha1.BudgetMatch{PullSecretNames: []string{"hub"}}})}},
		},
		"junk": {pods: []*corev1.Pod{runningPod(nil, "::", "UPPER/case:::1")}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c Census
			for _, p := range tc.pods {
				c.Add(p)
			}
			proposals, notes := c.Propose(tc.known)
			var got []string
			for _, p := range proposals {
				text := p.Budget.Name + " " + p.Budget.Spec.Registry
				if p.Budget.Spec.Identity != "" {
					text += " " + string(p.Budget.Spec.Identity)
				}
				if p.Budget.Spec.Credentials != nil {
					text += " " + p.Budget.Spec.Credentials.SecretName
				}
				got = append(got, fmt.Sprint(text, " ", p.Pods))
				if err := p.Budget.Spec.Validate().ToAggregate(); err != nil {
					t.Errorf("%s is proposed and cannot be used: %v", p.Budget.Name, err)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("proposals (-want +got):\n%s", diff)
			}
			if len(notes) != tc.notes {
				t.Errorf("notes %q, want %d", notes, tc.notes)
			}
		})
	}
}
