package doctor

import (
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/capture"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// Part is something of a cluster that is read by itself, since each takes a right of
// its own.
type Part string

// The parts.
const (
	Pods            Part = "pods"
	Nodes           Part = "nodes"
	Events          Part = "events"
	Pulled          Part = "events of pulls"
	ReplicaSets     Part = "replicasets"
	Deployments     Part = "deployments"
	Secrets         Part = "secrets"
	ServiceAccounts Part = "serviceaccounts"
	Budgets         Part = "pullbudgets"
	Kubelets        Part = "kubelets"
	DaemonSets      Part = "daemonsets"
	NodePools       Part = "nodepools"
)

// Snapshot is what was read of a cluster at a moment. Nothing in it is changed.
type Snapshot struct {
	// Now is when it was read.
	Now time.Time
	// Context is what the reader calls the cluster, Version the API server's; either
	// may be empty.
	Context, Version string

	Nodes       []corev1.Node
	Pods        []corev1.Pod
	Deployments []appsv1.Deployment
	// ReplicaSets are names, ages and owners alone.
	ReplicaSets []metav1.PartialObjectMetadata
	// Events are warnings, and those that tell of a pull that succeeded. API servers
	// forget them, after an hour unless told otherwise.
	Events []corev1.Event
	// Secrets are the names of pull secrets. What is in them is not read, so that it
	// is not known which registry one is for.
	Secrets         []Secret
	ServiceAccounts []corev1.ServiceAccount
	Budgets         []v1alpha1.PullBudget
	Policies        []v1alpha1.PacePolicy
	Controller      view.Controller
	// DaemonSets are read where a policy holds nodes, the NodePools of Karpenter always.
	DaemonSets []appsv1.DaemonSet
	NodePools  []cluster.KarpenterPool
	// Kubelets are the configurations of some nodes, by name.
	Kubelets map[string]capture.Kubelet

	// Unread says why a part is not there.
	Unread map[Part]string
	// Cut says what of a part was left out because there is too much of it.
	Cut map[Part]string
	// Only is the one namespace that was read, empty for all.
	Only string
}

// Secret is a pull secret by name.
type Secret struct{ Namespace, Name string }

// Scope is what a diagnosis is about. Its zero value is the whole cluster.
type Scope struct {
	// Name is what was asked for, as the plugin prints it.
	Name string
	// Owner is a workload, Pod a pod, Node a node; one of them is set.
	Owner kube.Owner
	Pod   string
	Node  string
	// Namespace of the workload or pod.
	Namespace string
}

// whole reports whether the diagnosis is of the cluster.
func (s Scope) whole() bool { return s.Name == "" }

// has reports whether a pod is in the scope.
func (s Scope) has(p *corev1.Pod) bool {
	switch {
	case s.whole():
		return true
	case s.Node != "":
		return p.Spec.NodeName == s.Node
	case s.Pod != "":
		return p.Namespace == s.Namespace && p.Name == s.Pod
	case s.Owner.Kind == "ReplicaSet":
		ref := metav1.GetControllerOf(p)
		return p.Namespace == s.Namespace && ref != nil && ref.Kind == "ReplicaSet" && ref.Name == s.Owner.Name
	}
	return kube.OwnerOf(p) == s.Owner
}

// read reports whether a part is there.
func (s *Snapshot) read(p Part) bool { return s.Unread[p] == "" }

// finished reports whether a pod will never pull again.
func finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || p.DeletionTimestamp != nil
}

// eventTime is when an event was seen last.
func eventTime(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

// eventStart is when an event was seen first.
func eventStart(e *corev1.Event) time.Time {
	switch {
	case !e.FirstTimestamp.IsZero():
		return e.FirstTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return eventTime(e)
}

// HoldsNodes reports whether some policy holds new nodes.
func (s *Snapshot) HoldsNodes() bool { return len(s.holders()) > 0 }

// holders are the policies that hold new nodes.
func (s *Snapshot) holders() []v1alpha1.PacePolicy {
	return slices.DeleteFunc(slices.Clone(s.Policies), func(p v1alpha1.PacePolicy) bool {
		_, holds := p.Spec.HoldsNodes()
		return !holds
	})
}
