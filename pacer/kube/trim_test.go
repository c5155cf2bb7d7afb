package kube

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
)

// fatPod is pod number i of a ReplicaSet, with what pods of services have that pull
// nothing by it.
func fatPod(i int, edit ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: fmt.Sprintf("web-v1-%d", i), UID: types.UID(fmt.Sprint("uid-", i)),
		Labels:            map[string]string{"app.kubernetes.io/name": "web", "pod-template-hash": "v1"},
		Annotations:       map[string]string{corev1.LastAppliedConfigAnnotation: "{}", "team": "shop"},
		CreationTimestamp: metav1.NewTime(time.Date(2026, 3, 1, 12, 0, i, 0, time.UTC)),
		ManagedFields:     []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager"}},
		OwnerReferences:   []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-v1", UID: "rs", Controller: new(true)}},
	}}
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}
	web := corev1.Container{Name: "web", Image: "acme/web:1", Resources: corev1.ResourceRequirements{Requests: room}, Command: []string{"web"}}
	for k := range 30 {
		web.Env = append(web.Env, corev1.EnvVar{Name: fmt.Sprint("SETTING_", k), Value: fmt.Sprint("value of setting ", k)})
	}
	web.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz"}}}
	web.VolumeMounts = []corev1.VolumeMount{{Name: "config", MountPath: "/etc/web"}}
	always := corev1.ContainerRestartPolicyAlways
	p.Spec.InitContainers = []corev1.Container{{Name: "mesh", Image: "acme/mesh:1", RestartPolicy: &always, Resources: corev1.ResourceRequirements{Requests: room}}}
	p.Spec.Containers = []corev1.Container{web}
	p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "acme/debug:1", Command: []string{"sh"}}}}
	p.Spec.Volumes = []corev1.Volume{
		{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{}}},
		{Name: "model", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "acme/model:1"}}},
	}
	p.Spec.NodeSelector = map[string]string{"pool": "web"}
	p.Spec.Tolerations = []corev1.Toleration{{Key: "dedicated", Operator: corev1.TolerationOpExists}}
	p.Spec.SecurityContext = &corev1.PodSecurityContext{}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "toomanyrequests"}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", State: waiting, AllocatedResources: room}}
	p.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: "debug", State: waiting}}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady, corev1.ContainersReady} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable})
	}
	for _, e := range edit {
		e(p)
	}
	return p
}

// A trimmed pod means the same to everybody who reads it.
func TestATrimmedPodMeansTheSame(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)
	trimmer := NewTrimmer()
	for name, edit := range map[string]func(*corev1.Pod){
		"waits to be scheduled": func(*corev1.Pod) {},
		"held":                  func(p *corev1.Pod) { gate.Hold(p, now, time.Hour) },
		"pulls":                 func(p *corev1.Pod) { p.Spec.NodeName = "a" },
	} {
		trimmed, err := trimmer.Pod(fatPod(1, edit))
		if err != nil {
			t.Fatal(err)
		}
		p, whole := trimmed.(*corev1.Pod), fatPod(1, edit)
		events := func(p *corev1.Pod) any {
			tracker := NewTracker()
			tracker.Namespace(makeNamespace("shop"))
			tracker.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, makePolicy("default")))
			return tracker.Pod(now, p)
		}
		for what, read := range map[string]func(*corev1.Pod) any{
			"events": events, "pulls": func(p *corev1.Pod) any { return Pulls(&p.Spec) }, "failures": func(p *corev1.Pod) any { return Failing(p) },
			"size": func(p *corev1.Pod) any { return sizeOf(p) }, "bound": func(p *corev1.Pod) any { return gate.HoldUntil(p) },
		} {
			if diff := cmp.Diff(read(whole), read(p)); diff != "" {
				t.Errorf("%s, %s of a whole pod and of a trimmed one:\n%s", name, what, diff)
			}
		}
	}
}

// Pods of one owner share what is the same, and keep what is their own.
func TestTrimmedPodsShareWhatIsTheSame(t *testing.T) {
	t.Parallel()
	trimmer := NewTrimmer()
	trim := func(p *corev1.Pod) *corev1.Pod {
		trimmed, err := trimmer.Pod(p)
		if err != nil {
			t.Fatal(err)
		}
		return trimmed.(*corev1.Pod)
	}
	a, b := trim(fatPod(1)), trim(fatPod(2))
	if &a.Spec.Containers[0] != &b.Spec.Containers[0] || &a.Spec.Tolerations[0] != &b.Spec.Tolerations[0] {
		t.Error("equal containers and tolerations are there twice")
	}
	c := trim(fatPod(3, func(p *corev1.Pod) { p.Spec.Containers[0].Image, p.Labels["canary"] = "acme/web:2", "true" }))
	if b.Spec.Containers[0].Image != "acme/web:1" || c.Spec.Containers[0].Image != "acme/web:2" || c.Labels["canary"] == "" || b.Labels["canary"] != "" {
		t.Errorf("images %s and %s, labels %v and %v: a pod lost what is its own", b.Spec.Containers[0].Image, c.Spec.Containers[0].Image, b.Labels, c.Labels)
	}
}

// BenchmarkTrimmedPod tells how much memory a pod of a cache takes, whole and trimmed.
func BenchmarkTrimmedPod(b *testing.B) {
	trimmer := NewTrimmer()
	for name, keep := range map[string]func(any) (any, error){"whole": func(o any) (any, error) { return o, nil }, "trimmed": trimmer.Pod} {
		b.Run(name, func(b *testing.B) {
			const pods = 10_000
			var before, after runtime.MemStats
			for b.Loop() {
				kept := make([]any, 0, pods)
				runtime.GC()
				runtime.ReadMemStats(&before)
				for i := range pods {
					text, err := fatPod(i).Marshal()
					if err != nil {
						b.Fatal(err)
					}
					decoded := &corev1.Pod{}
					if err := decoded.Unmarshal(text); err != nil {
						b.Fatal(err)
					}
					p, err := keep(decoded)
					if err != nil {
						b.Fatal(err)
					}
					kept = append(kept, p)
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				runtime.KeepAlive(kept)
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/pods, "B/pod")
		})
	}
}
