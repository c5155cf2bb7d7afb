package doctor

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/capture"
	"github.com/pullpace/pace/plugin/view"
)

// now is the clock of every test.
var now = time.Date(2026, 3, 2, 13, 40, 0, 0, time.UTC)

// builder makes snapshots as a cluster would give them.
type builder struct{ *Snapshot }

// healthy is a cluster of four nodes and three workloads in which nothing is wrong.
func healthy() builder {
	b := builder{&Snapshot{
		Now: now, Context: "prod-eu-1", Version: "v1.34.4", Kubelets: map[string]capture.Kubelet{},
		Unread: map[Part]string{}, Cut: map[Part]string{},
	}}
	for i := range 4 {
		b.node(fmt.Sprint("node-", i+1), "containerd://2.1.4", "amd64", 48*time.Hour)
	}
	for _, name := range []string{"web", "api", "agent"} {
		for i := range 4 {
			b.runs("shop", name, fmt.Sprintf("docker.io/acme/%s:1.0", name), fmt.Sprint("node-", i+1))
		}
	}
	return b
}

func (b builder) node(name, runtime, arch string, age time.Duration) {
	b.Nodes = append(b.Nodes, corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age))},
		Status: corev1.NodeStatus{
			NodeInfo:    corev1.NodeSystemInfo{ContainerRuntimeVersion: runtime, Architecture: arch, OperatingSystem: "linux", KubeletVersion: "v1.34.4"},
			Allocatable: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("110")},
			Images:      []corev1.ContainerImage{{Names: []string{"docker.io/acme/web:1.0"}, SizeBytes: 80 << 20}},
		},
	})
}

// pod is one of a Deployment's ReplicaSet, of a revision, of an age.
func (b builder) pod(namespace, app, revision, image, node string, age time.Duration) *corev1.Pod {
	yes := true
	set := app + "-" + revision
	name := fmt.Sprintf("%s-%d", set, len(b.Pods))
	b.Pods = append(b.Pods, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-age)),
			Labels:          map[string]string{"pod-template-hash": revision},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: set, Controller: &yes}},
		},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: app, Image: image, ImagePullPolicy: corev1.PullIfNotPresent}}},
	})
	b.set(namespace, app, revision, age)
	return &b.Pods[len(b.Pods)-1]
}

// set makes the ReplicaSet of a revision, unless it is there.
func (b builder) set(namespace, app, revision string, age time.Duration) {
	yes := true
	for i := range b.ReplicaSets {
		if rs := &b.ReplicaSets[i]; rs.Namespace == namespace && rs.Name == app+"-"+revision {
			return
		}
	}
	b.ReplicaSets = append(b.ReplicaSets, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: app + "-" + revision, CreationTimestamp: metav1.NewTime(now.Add(-age)),
		OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: app, Controller: &yes}},
	}})
}

// runs adds a pod that has run for a day.
func (b builder) runs(namespace, app, image, node string) *corev1.Pod {
	p := b.pod(namespace, app, "one", image, node, 24*time.Hour)
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: app, Ready: true, Image: image, ImageID: "docker.io/acme/" + app + "@sha256:aa", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	return p
}

// waits adds a pod of a new revision whose pull fails with a message.
func (b builder) waits(namespace, app, image, node, message string) *corev1.Pod {
	p := b.pod(namespace, app, "two", image, node, 5*time.Minute)
	p.Status.Phase = corev1.PodPending
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: app, Image: image, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", image, message)},
	}}}
	return p
}

// event adds what a kubelet tells of a pod or node.
func (b builder) event(kind, namespace, name, reason, message string, age time.Duration) {
	b.Events = append(b.Events, corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("event-", len(b.Events))},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Namespace: namespace, Name: name, UID: types.UID(name)},
		Reason:         reason, Message: message, Type: corev1.EventTypeWarning, Count: 1,
		FirstTimestamp: metav1.NewTime(now.Add(-age)), LastTimestamp: metav1.NewTime(now.Add(-age)),
	})
}

// roll has three of four pods of a new revision wait.
func (b builder) roll(image, message string) {
	for i := range 3 {
		b.waits("shop", "web", image, fmt.Sprint("node-", i+1), message)
	}
}

// secret is a pull secret; user is a ServiceAccount that names it, empty for none.
func (b builder) secret(namespace, name, user string) {
	b.Secrets = append(b.Secrets, Secret{namespace, name})
	if user != "" {
		b.ServiceAccounts = append(b.ServiceAccounts, corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: name}},
		})
	}
}

// account is one that a controller at work reads.
func (b builder) account(a v1alpha1.AccountStatus) {
	b.Controller = view.Controller{Installed: true, Heartbeat: now, Ready: 2, Wanted: 2}
	sent := metav1.NewMicroTime(now.Add(-12 * time.Second))
	a.SentAt = &sent
	b.Budgets = append(b.Budgets, v1alpha1.PullBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "hub"}, Spec: v1alpha1.PullBudgetSpec{Registry: "docker.io"},
		Status: v1alpha1.PullBudgetStatus{Accounts: []v1alpha1.AccountStatus{a}},
	})
}

// came adds a pod of the new revision that has its image.
func (b builder) came(namespace, app, image, node string) {
	p := b.pod(namespace, app, "two", image, node, 5*time.Minute)
	p.Status.Phase = corev1.PodRunning
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: app, Image: image, ImageID: "docker.io/acme/" + app + "@sha256:cc", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
}

// holds is a policy that holds new nodes for so long.
func (b builder) holds(longest string) {
	d, err := time.ParseDuration(longest)
	if err != nil {
		panic(err)
	}
	b.Policies = append(b.Policies, v1alpha1.PacePolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.PacePolicySpec{
		Mode: v1alpha1.Enforce, Nodes: &v1alpha1.Nodes{Hold: true, MaxHold: &metav1.Duration{Duration: d}}}})
}

// held is a new node with our taint, whose bound is so far away; 0: it has none.
func (b builder) held(name string, since time.Time, left time.Duration) {
	b.node(name, "containerd://2.1.4", "amd64", now.Sub(since))
	n := &b.Nodes[len(b.Nodes)-1]
	n.Labels = map[string]string{v1alpha1.LabelHeld: "true"}
	added := metav1.NewTime(since)
	n.Spec.Taints = []corev1.Taint{{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule, TimeAdded: &added}}
	if left != 0 {
		n.Annotations = map[string]string{v1alpha1.AnnotationHoldUntil: now.Add(left).Format(time.RFC3339)}
	}
}

// daemon is a DaemonSet with an image and tolerations.
func (b builder) daemon(name, image string, tolerations []corev1.Toleration) {
	set := appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: name}}
	set.Spec.Template.Spec = corev1.PodSpec{Tolerations: tolerations, Containers: []corev1.Container{{Name: name, Image: image}}}
	b.DaemonSets = append(b.DaemonSets, set)
}
