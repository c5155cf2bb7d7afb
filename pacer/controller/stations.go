package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/pacer/probe"
)

// stationEvery is how often it is looked whether every egress group has its probe.
const stationEvery = 5 * time.Second

// The names of what runs probes.
const (
	probeApp       = "pacer-probe" // label, and the service account of manifests/rbac
	labelApp       = "app.kubernetes.io/name"
	annotationMade = v1alpha1.Group + "/made-of" // digest of a workload as it was made
)

// stations keeps one probe running in every egress group whose readings must be made
// from there: a Deployment, or a DaemonSet where each node is a group of its own.
type stations struct {
	client client.Client
	// live reads past the cache, and what is not in it.
	live client.Reader
	// namespace is where we run, identity the name of our own pod.
	namespace, identity string
}

// NeedLeaderElection says that the leader does it.
func (s *stations) NeedLeaderElection() bool { return true }

// Start looks until ctx ends. It implements manager.Runnable.
func (s *stations) Start(ctx context.Context) error {
	tick := time.NewTicker(stationEvery)
	defer tick.Stop()
	for {
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "probes not looked after")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look makes the probes that are missing and removes those that nobody needs.
func (s *stations) look(ctx context.Context) error {
	var budgets v1alpha1.PullBudgetList
	if err := s.client.List(ctx, &budgets); err != nil {
		return fmt.Errorf("listing PullBudgets: %w", err)
	}
	wanted := kube.Stations(budgets.Items)
	there, err := s.there(ctx)
	if err != nil {
		return err
	}
	if len(wanted) > 0 {
		var own corev1.Pod
		if err := s.live.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: s.identity}, &own); err != nil {
			return fmt.Errorf("reading our own pod: %w", err)
		}
		for _, station := range wanted {
			if err := s.keep(ctx, s.workload(station, &own), there); err != nil {
				return err
			}
		}
	}
	for name, object := range there {
		log.FromContext(ctx).Info("probe not needed any more", "name", name)
		if err := s.client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground)); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("removing probe %q: %w", name, err)
		}
	}
	return s.forget(ctx, wanted)
}

// there are the probes that run, by name.
func (s *stations) there(ctx context.Context) (map[string]client.Object, error) {
	there := map[string]client.Object{}
	mine := []client.ListOption{client.InNamespace(s.namespace), client.MatchingLabels{labelApp: probeApp}}
	var deployments appsv1.DeploymentList
	if err := s.live.List(ctx, &deployments, mine...); err != nil {
		return nil, fmt.Errorf("listing probes: %w", err)
	}
	for i := range deployments.Items {
		there[deployments.Items[i].Name] = &deployments.Items[i]
	}
	var daemons appsv1.DaemonSetList
	if err := s.live.List(ctx, &daemons, mine...); err != nil {
		return nil, fmt.Errorf("listing probes: %w", err)
	}
	for i := range daemons.Items {
		there[daemons.Items[i].Name] = &daemons.Items[i]
	}
	return there, nil
}

// keep makes a workload, or makes it anew where it was made of something else; it is
// taken out of what is there.
func (s *stations) keep(ctx context.Context, wanted client.Object, there map[string]client.Object) error {
	have := there[wanted.GetName()]
	delete(there, wanted.GetName())
	if have != nil && have.GetAnnotations()[annotationMade] == wanted.GetAnnotations()[annotationMade] {
		return nil
	}
	var err error
	if have == nil {
		err = s.client.Create(ctx, wanted, client.FieldOwner(v1alpha1.FieldManager))
	} else {
		err = s.client.Patch(ctx, wanted, client.MergeFrom(have), client.FieldOwner(v1alpha1.FieldManager))
	}
	if err != nil {
		return fmt.Errorf("making probe %q: %w", wanted.GetName(), err)
	}
	log.FromContext(ctx).Info("probe made", "name", wanted.GetName())
	return nil
}

// forget removes questions that no probe answers any more.
func (s *stations) forget(ctx context.Context, wanted []kube.Station) error {
	groups := map[string]bool{}
	var nodes corev1.NodeList
	for _, station := range wanted {
		if !station.PerNode {
			groups[probe.GroupID(station.Egress)] = true
			continue
		}
		if nodes.Items == nil {
			if err := s.client.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
				return fmt.Errorf("listing nodes: %w", err)
			}
		}
		for i := range nodes.Items {
			if station.Covers(&nodes.Items[i]) {
				groups[probe.GroupID(probe.NodeGroup(nodes.Items[i].Name))] = true
			}
		}
	}
	var questions corev1.ConfigMapList
	if err := s.client.List(ctx, &questions, client.InNamespace(s.namespace), client.HasLabels{probe.LabelEgress}); err != nil {
		return fmt.Errorf("listing questions: %w", err)
	}
	for i := range questions.Items {
		q := &questions.Items[i]
		if groups[q.Labels[probe.LabelEgress]] {
			continue
		}
		if err := s.client.Delete(ctx, q); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("removing question %q: %w", q.Name, err)
		}
	}
	return nil
}

// workload is what runs the probe of a station, with the image that we run.
func (s *stations) workload(station kube.Station, own *corev1.Pod) client.Object {
	labels := map[string]string{labelApp: probeApp, v1alpha1.Group + "/station": station.Name()}
	meta := metav1.ObjectMeta{Namespace: s.namespace, Name: station.Name(), Labels: labels}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: s.pod(station, own)}
	meta.Annotations = map[string]string{annotationMade: madeOf(template)}
	if station.PerNode {
		return &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}
	}
	return &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template, Replicas: new(int32(1))}}
}

// pod is the probe: as little as can ask a registry.
func (s *stations) pod(station kube.Station, own *corev1.Pod) corev1.PodSpec {
	container := corev1.Container{
		Name: "probe", Image: own.Spec.Containers[0].Image, ImagePullPolicy: own.Spec.Containers[0].ImagePullPolicy,
		Args: []string{"probe", "--namespace", s.namespace, "--egress", station.Egress},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("5m"), corev1.ResourceMemory: resource.MustParse("24Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("96Mi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	for _, e := range own.Spec.Containers[0].Env {
		if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
			container.Env = append(container.Env, e) // how the cluster leaves its network
		}
	}
	if station.PerNode {
		container.Args = []string{"probe", "--namespace", s.namespace, "--node", "$(NODE_NAME)"}
		node := corev1.EnvVar{Name: "NODE_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}
		container.Env = append(container.Env, node)
	}
	spec := corev1.PodSpec{
		ServiceAccountName: probeApp, PriorityClassName: own.Spec.PriorityClassName, ImagePullSecrets: own.Spec.ImagePullSecrets,
		TerminationGracePeriodSeconds: new(int64(1)),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), RunAsGroup: new(int64(65532)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		// The nodes of the group may be set apart for others: a probe takes next to nothing.
		Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}},
		Containers:  []corev1.Container{container},
	}
	if len(station.Nodes) > 0 {
		spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: station.Nodes}}}}}
	}
	return spec
}

// madeOf names a template by its content.
func madeOf(template corev1.PodTemplateSpec) string {
	text, err := json.Marshal(template)
	if err != nil {
		return "unnamed" // a template of ours can be encoded
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
