//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
)

// hands are how many requests are under way at once while a cluster is populated.
const hands = 32

// crowd is the namespace of the pods that run.
const crowd = "crowd"

// populate makes nodes, and pods that run on them in workloads of their own. The
// controllers are given no time meanwhile: they find what they would have made.
func (b *bench) populate(ctx context.Context, lab *stage.Lab) (err error) {
	thaw, err := lab.Cluster.FreezeControllers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, thaw()) }()
	// Their service account is made by a controller.
	if err := lab.Namespace(ctx, crowd, false); err != nil {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: crowd, Name: "default"}}
	if _, err := b.fast.CoreV1().ServiceAccounts(crowd).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making a service account: %w", err)
	}
	if err := each(ctx, b.nodes, b.node); err != nil {
		return fmt.Errorf("making nodes: %w", err)
	}
	owners := make([]*appsv1.ReplicaSet, (b.pods+b.each-1)/b.each)
	if err := each(ctx, len(owners), func(ctx context.Context, i int) (err error) {
		owners[i], err = b.fast.AppsV1().ReplicaSets(crowd).Create(ctx, owner(i, min(b.each, b.pods-i*b.each)), metav1.CreateOptions{})
		return err
	}); err != nil {
		return fmt.Errorf("making workloads: %w", err)
	}
	if err := each(ctx, b.pods, func(ctx context.Context, i int) error { return b.pod(ctx, owners[i/b.each], i) }); err != nil {
		return fmt.Errorf("making pods: %w", err)
	}
	return nil
}

// each does n things, many at once.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(hands)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// node makes one node, and takes off the taint that admission puts on each: the controller
// that does so is given no time, and would have a node change twenty times a second.
func (b *bench) node(ctx context.Context, i int) error {
	nodes := b.fast.CoreV1().Nodes()
	made, err := nodes.Create(ctx, node(i), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	made.Spec.Taints = node(i).Spec.Taints
	_, err = nodes.Update(ctx, made, metav1.UpdateOptions{})
	return err
}

// image is that of a workload: 20 of them share one.
func image(workload int) string { return fmt.Sprintf("crowd.test/app-%d:1", workload/20) }

// listed are how many images a node of the crowd says that it holds.
const listed = 30

// node is one that is Ready already and holds what runs on it.
func node(i int) *corev1.Node {
	name := fmt.Sprintf("node-%05d", i)
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			cluster.LabelUnrun: cluster.LabelUnrunValue, corev1.LabelHostname: name,
			corev1.LabelTopologyZone: string(rune('a' + i%3)), corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
			// A controller adds these to nodes that lack them.
			"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
		}},
		Status: corev1.NodeStatus{Phase: corev1.NodeRunning, Capacity: room, Allocatable: room},
	}
	// What is not meant for such nodes must not land there: nobody would start it.
	n.Spec.Taints = []corev1.Taint{{Key: cluster.LabelUnrun, Value: cluster.LabelUnrunValue, Effect: corev1.TaintEffectNoSchedule}}
	// As a controller notes it on the nodes of so large a cluster.
	n.Annotations = map[string]string{corev1.ObjectTTLAnnotationKey: "300"}
	n.Status.NodeInfo.BootID, n.Status.NodeInfo.ContainerRuntimeVersion = name, "containerd://2.4.2"
	now := metav1.Now()
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now}}
	for k := range listed {
		n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{fmt.Sprintf("crowd.test/app-%d:1", k)}, SizeBytes: 64 << 20})
	}
	return n
}

func owner(i, replicas int) *appsv1.ReplicaSet {
	labels := map[string]string{"app": fmt.Sprint("app-", i)}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: crowd, Name: labels["app"], Labels: labels},
		Spec: appsv1.ReplicaSetSpec{Replicas: new(int32(replicas)), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec(image(i)),
		}},
	}
}

// spec is of a pod with what those of services have: settings, a probe, a volume.
func spec(image string) corev1.PodSpec {
	app := corev1.Container{Name: "app", Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
	}}
	for k := range 20 {
		app.Env = append(app.Env, corev1.EnvVar{Name: fmt.Sprint("SETTING_", k), Value: fmt.Sprint("value of setting ", k)})
	}
	app.ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ready", Port: intstr.FromInt32(8080)}}}
	app.VolumeMounts = []corev1.VolumeMount{{Name: "work", MountPath: "/var/work"}}
	return corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(0)), AutomountServiceAccountToken: new(bool), Containers: []corev1.Container{app},
		Volumes: []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
	}
}

// pod makes one that runs.
func (b *bench) pod(ctx context.Context, of *appsv1.ReplicaSet, i int) error {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: crowd, Name: fmt.Sprintf("%s-%d", of.Name, i), Labels: of.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(of, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: of.Spec.Template.Spec,
	}
	p.Spec.NodeName = fmt.Sprintf("node-%05d", i%b.nodes)
	made, err := b.fast.CoreV1().Pods(crowd).Create(ctx, p, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	now := metav1.Now()
	made.Status.Phase, made.Status.StartTime = corev1.PodRunning, &now
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		made.Status.Conditions = append(made.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	made.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "app", Image: p.Spec.Containers[0].Image, ImageID: p.Spec.Containers[0].Image, Ready: true, Started: new(true),
		ContainerID: "containerd://" + made.Name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
	}}
	_, err = b.fast.CoreV1().Pods(crowd).UpdateStatus(ctx, made, metav1.UpdateOptions{})
	return err
}
