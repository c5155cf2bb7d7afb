package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PacePolicy says whose pods are paced and how. Of several that select a pod the
// oldest rules it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=pp,categories=pace
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Max Hold",type=string,JSONPath=`.spec.maxHold`
// +kubebuilder:printcolumn:name="Held",type=integer,JSONPath=`.status.held`
// +kubebuilder:printcolumn:name="Slipped",type=integer,JSONPath=`.status.slipped`
// +kubebuilder:printcolumn:name="Gate",type=string,JSONPath=`.status.conditions[?(@.type=="GateActive")].status`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PacePolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PacePolicySpec   `json:"spec"`
	Status PacePolicyStatus `json:"status,omitempty"`
}

// PacePolicyList is a list of PacePolicies.
//
// +kubebuilder:object:root=true
type PacePolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PacePolicy `json:"items"`
}

// Mode says whether a policy acts.
//
// +kubebuilder:validation:Enum=Shadow;Enforce;Off
type Mode string

// The modes.
const (
	// Shadow reports what would have been held and holds nothing.
	Shadow Mode = "Shadow"
	// Enforce holds.
	Enforce Mode = "Enforce"
	// Off does nothing.
	Off Mode = "Off"
)

// DeleteFirst says what is done about Deployments that delete pods first.
//
// +kubebuilder:validation:Enum=SurgeOnly;Pause;Never
type DeleteFirst string

// The ways.
const (
	SurgeOnly    DeleteFirst = "SurgeOnly"
	PauseRollout DeleteFirst = "Pause"
	NeverHold    DeleteFirst = "Never"
)

// PacePolicySpec says who is held and how.
type PacePolicySpec struct {
	// Mode is Enforce unless said otherwise; `install` makes a policy in Shadow.
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`
	// NamespaceSelector selects namespaces among those that are opted in.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// PodSelector selects pods.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
	// MaxHold bounds every hold, of pods and of suspended Jobs. Default 24h, class ci 2m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('168h')",message="maxHold must be between 10s and 168h"
	MaxHold *metav1.Duration `json:"maxHold,omitempty"`
	// MaxGatedPerNamespace lets further pods go ungated. Default 500.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxGatedPerNamespace *int32 `json:"maxGatedPerNamespace,omitempty"`
	// DeleteFirst is what is done about Deployments with maxUnavailable above zero.
	// SurgeOnly, the default, admits a change of the template with maxUnavailable 0
	// and maxSurge 1 at least, and puts both back when nothing is held. Pause admits
	// it with paused set, until the account could pay the first pods. Never leaves such
	// Deployments alone.
	// +optional
	DeleteFirst DeleteFirst `json:"deleteFirst,omitempty"`
	// Waves bound how many nodes pull at once.
	// +optional
	Waves *Waves `json:"waves,omitempty"`
	// Nodes says whether new nodes are held, in mode Enforce. It needs the role of
	// `install --node-waves`. Of several policies that hold nodes the oldest counts.
	// +optional
	Nodes *Nodes `json:"nodes,omitempty"`
	// PauseOn says when failing pulls pause a revision of a workload. An image that
	// is missing, denied or for another platform does at once.
	// +optional
	PauseOn *PauseOn `json:"pauseOn,omitempty"`
	// Rollouts says what is done to Rollouts of Argo besides answering their steps.
	// +optional
	Rollouts *Rollouts `json:"rollouts,omitempty"`
	// DefaultClass of pods without a mapped PriorityClass. Default rollout; pods that
	// nobody owns are ci.
	// +optional
	DefaultClass Class `json:"defaultClass,omitempty"`
	// Classes map PriorityClasses to classes.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=priorityClass
	Classes []ClassMapping `json:"classes,omitempty"`
	// Weights of namespaces against each other. Default 1 each.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=namespace
	Weights []NamespaceWeight `json:"weights,omitempty"`
}

// Class orders demand.
//
// +kubebuilder:validation:Enum=node-critical;rollback;serving;rollout;batch;pre-pull;ci
type Class string

// ClassMapping gives pods of a PriorityClass a class.
type ClassMapping struct {
	// +kubebuilder:validation:MinLength=1
	PriorityClass string `json:"priorityClass"`
	Class         Class  `json:"class"`
}

// NamespaceWeight is the share of a namespace.
type NamespaceWeight struct {
	// +kubebuilder:validation:MinLength=1
	Namespace string `json:"namespace"`
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight"`
}

// WaveBy says what a wave is counted in.
//
// +kubebuilder:validation:Enum=Node;Zone;Egress
type WaveBy string

// Waves bound how many nodes, zones or egress groups pull for a workload at once.
type Waves struct {
	// By is Egress unless said otherwise.
	// +optional
	By WaveBy `json:"by,omitempty"`
	// Size is how many at once; 0: the budget decides.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Size int32 `json:"size,omitempty"`
	// Canary pods of a revision must be past their pulls before others follow.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Canary int32 `json:"canary,omitempty"`
}

// Nodes says whether new nodes are held.
type Nodes struct {
	// Hold keeps new nodes from taking pods until what their DaemonSets pull is within
	// the budget: by a taint in the time before they are ready, or by the taint that
	// they register with.
	// +optional
	Hold bool `json:"hold,omitempty"`
	// Size is how many new nodes pull at once; 0: the budget decides.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Size int32 `json:"size,omitempty"`
	// MaxHold bounds the hold of a node, from when it was created. It must be less than
	// the autoscaler waits for a node to start. Default 10m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s') && duration(self) <= duration('24h')",message="nodes.maxHold must be a duration above zero and at most 24h"
	MaxHold *metav1.Duration `json:"maxHold,omitempty"`
	// PauseDisruption keeps Karpenter from replacing nodes of its own accord while units
	// are short: NodePools get one more disruption budget, of 0 nodes, which is taken off
	// again. It needs the role in manifests/rbac/disruption.yaml.
	// +optional
	PauseDisruption bool `json:"pauseDisruption,omitempty"`
}

// Rollouts says what is done to Rollouts of Argo.
type Rollouts struct {
	// AbortBadImage aborts a Rollout of which an image is missing, denied or for another
	// platform, whether it has an analysis or not, and where Argo does not look at its
	// analysis because pods are missing (subset routing of Istio). It needs the role of
	// manifests/integrations/argo-rollouts, and mode Enforce.
	// +optional
	AbortBadImage bool `json:"abortBadImage,omitempty"`
}

// PauseOn says when failing pulls pause a workload.
type PauseOn struct {
	// FailureRate, such as "20%". Default 20%.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == string ? self.matches('^([0-9]|[1-9][0-9]|100)%$') : type(self) == int && self >= 0 && self <= 100",message="pauseOn.failureRate must be a percentage such as 20%, of 0% to 100%"
	FailureRate *intstr.IntOrString `json:"failureRate,omitempty"`
	// MinPods is the least sample. Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MinPods *int32 `json:"minPods,omitempty"`
	// Window of the sample. Default 2m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s') && duration(self) <= duration('24h')",message="pauseOn.window must be a duration above zero and at most 24h"
	Window *metav1.Duration `json:"window,omitempty"`
	// ResumeBelow is the rate below which it goes on. Default 5%.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == string ? self.matches('^([0-9]|[1-9][0-9]|100)%$') : type(self) == int && self >= 0 && self <= 100",message="pauseOn.resumeBelow must be a percentage such as 20%, of 0% to 100%"
	ResumeBelow *intstr.IntOrString `json:"resumeBelow,omitempty"`
}

// PacePolicyStatus is what the policy does now.
type PacePolicyStatus struct {
	// Held counts pods that the policy holds.
	// +optional
	Held int32 `json:"held,omitempty"`
	// Shadow is what the policy would have done in mode Shadow; it stays when the mode
	// changes.
	// +optional
	Shadow *ShadowStatus `json:"shadow,omitempty"`
	// Slipped counts living pods that the policy would hold and that the webhook never
	// saw: they started as if Pace were not there.
	// +optional
	Slipped int32 `json:"slipped,omitempty"`
	// NewestSlipped are the newest few of them, as namespace/name.
	// +optional
	// +kubebuilder:validation:MaxItems=5
	// +listType=atomic
	NewestSlipped []string `json:"newestSlipped,omitempty"`
	// GateAskedAt is when a dry-run pod was last sent through the API server to see
	// whether it comes back gated.
	// +optional
	GateAskedAt *metav1.Time `json:"gateAskedAt,omitempty"`
	// Conditions: Ready, GateActive, NoneSlipped, NodesHeld where it is to hold nodes, and Overlapped where an older policy
	// rules pods of this one.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration of the spec.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}
