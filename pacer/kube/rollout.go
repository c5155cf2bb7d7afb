package kube

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/core/plan"
)

// RolloutKind is the kind of Argo Rollouts in an Owner.
const RolloutKind = "Rollout"

// Names that Argo Rollouts gives to what it makes. Source: v1.10.1,
// pkg/apis/rollouts/v1alpha1/types.go and utils/annotations.
const (
	rolloutHashLabel       = "rollouts-pod-template-hash"
	rolloutRevision        = "rollout.argoproj.io/revision"
	rolloutHistory         = "rollout.argoproj.io/revision-history"
	runStepLabel           = "step-index"
	runTypeLabel           = "rollout-type"
	runTypeBackground      = "Background"
	runTypePrePromotion    = "PrePromotion"
	argoGroup, argoVersion = "argoproj.io", "v1alpha1"
	runsKind               = "AnalysisRun"
)

// The steps of a Rollout that have no number.
const (
	// StepHealth asks how the pulls of a revision do, all through its rollout.
	StepHealth = "health"
	// StepPrePromotion is what is left of a blue-green rollout after its preview.
	StepPrePromotion = "prePromotion"
)

// ArgoGroupVersion is that of Rollouts and AnalysisRuns.
func ArgoGroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: argoGroup, Version: argoVersion}
}

// NewRollout is an empty Rollout to read one into.
func NewRollout() *unstructured.Unstructured { return ofArgo(RolloutKind) }

// NewRollouts is an empty list of Rollouts.
func NewRollouts() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(ArgoGroupVersion().WithKind(RolloutKind + "List"))
	return list
}

// NewRun is an empty AnalysisRun to read one into.
func NewRun() *unstructured.Unstructured { return ofArgo(runsKind) }

// NewRuns is an empty list of AnalysisRuns.
func NewRuns() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(ArgoGroupVersion().WithKind(runsKind + "List"))
	return list
}

func ofArgo(kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(ArgoGroupVersion().WithKind(kind))
	return u
}

// Step names a step of a Rollout's revision: what a caller of the gate waits at.
type Step struct {
	Namespace, Rollout string
	UID                types.UID
	Hash               string
	// Index is the number of the step, StepHealth or StepPrePromotion.
	Index string
}

// String names a step for people and logs.
func (s Step) String() string {
	return s.Namespace + "/" + s.Rollout + "@" + s.Hash + " step " + s.Index
}

func (s Step) owner() Owner {
	return Owner{Kind: RolloutKind, Namespace: s.Namespace, Name: s.Rollout}
}

// Rollout is what an Argo Rollout says of its steps and of how far it is.
type Rollout struct {
	Namespace, Name string
	UID             types.UID
	// Replicas is how many pods it wants, Template what they run as far as it says.
	Replicas int
	Template corev1.PodTemplateSpec
	// Hash is its newest revision, Stable the one that serves, Index the number of the
	// step that it is at, none before the first.
	Hash, Stable string
	Index        int
	// Aborted says that it goes back, Full that it skips what is left of its steps.
	Aborted, Full bool
	RestartAt     time.Time
	// Inconclusive says that it pauses because an analysis could not tell, and for
	// nothing else.
	Inconclusive bool

	// canary says how many pods its steps make.
	canary    plan.Canary
	blueGreen bool
}

// none is the number of the step of a Rollout that is at none.
const none = -1

// rolloutObject is what is read of a Rollout.
type rolloutObject struct {
	Spec struct {
		Replicas  *int32                 `json:"replicas"`
		Template  corev1.PodTemplateSpec `json:"template"`
		RestartAt *metav1.Time           `json:"restartAt"`
		Strategy  struct {
			Canary *struct {
				Steps          []plan.CanaryStep `json:"steps"`
				TrafficRouting *struct {
					MaxTrafficWeight *int32 `json:"maxTrafficWeight"`
				} `json:"trafficRouting"`
				MinPodsPerReplicaSet *int32 `json:"minPodsPerReplicaSet"`
			} `json:"canary"`
			BlueGreen *struct{} `json:"blueGreen"`
		} `json:"strategy"`
	} `json:"spec"`
	Status struct {
		Abort            bool   `json:"abort"`
		PromoteFull      bool   `json:"promoteFull"`
		CurrentPodHash   string `json:"currentPodHash"`
		StableRS         string `json:"stableRS"`
		CurrentStepIndex *int32 `json:"currentStepIndex"`
		ControllerPause  bool   `json:"controllerPause"`
		PauseConditions  []struct {
			Reason string `json:"reason"`
		} `json:"pauseConditions"`
	} `json:"status"`
}

// inconclusiveRun is why a Rollout pauses whose analysis could not tell.
const inconclusiveRun = "InconclusiveAnalysisRun"

// ReadRollout reads a Rollout; an error says that it is none that can be understood.
func ReadRollout(u *unstructured.Unstructured) (*Rollout, error) {
	var o rolloutObject
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o); err != nil {
		return nil, fmt.Errorf("reading rollout %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	r := &Rollout{
		Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), Replicas: 1, Template: o.Spec.Template,
		Hash: o.Status.CurrentPodHash, Stable: o.Status.StableRS, Index: none, Aborted: o.Status.Abort, Full: o.Status.PromoteFull,
		blueGreen:    o.Spec.Strategy.BlueGreen != nil,
		Inconclusive: o.Status.ControllerPause && len(o.Status.PauseConditions) > 0,
	}
	for _, c := range o.Status.PauseConditions {
		r.Inconclusive = r.Inconclusive && c.Reason == inconclusiveRun
	}
	if o.Spec.Replicas != nil {
		r.Replicas = int(*o.Spec.Replicas)
	}
	if o.Spec.RestartAt != nil {
		r.RestartAt = o.Spec.RestartAt.Time
	}
	if o.Status.CurrentStepIndex != nil {
		r.Index = int(*o.Status.CurrentStepIndex)
	}
	if c := o.Spec.Strategy.Canary; c != nil {
		r.canary.Steps, r.canary.Routed = c.Steps, c.TrafficRouting != nil
		if r.canary.Routed && c.TrafficRouting.MaxTrafficWeight != nil && *c.TrafficRouting.MaxTrafficWeight > 0 {
			r.canary.MaxWeight = int(*c.TrafficRouting.MaxTrafficWeight)
		}
		if r.canary.Routed && c.MinPodsPerReplicaSet != nil {
			r.canary.MinPods = int(*c.MinPodsPerReplicaSet)
		}
	}
	r.canary.Replicas = r.Replicas
	return r, nil
}

// settled reports whether its newest revision is the one that serves.
func (r *Rollout) settled() bool { return r.Hash == "" || r.Hash == r.Stable }

// at reports whether the Rollout is at a step now.
func (r *Rollout) at(s Step) bool {
	if r.UID != s.UID || r.Hash != s.Hash || r.Aborted || r.Full || r.settled() {
		return false
	}
	return s.Index == StepPrePromotion && r.blueGreen || strconv.Itoa(r.Index) == s.Index
}

// Opens is how many pods of the new revision there may be once the gate at a step is
// passed, and the number of the step that makes them, as plan.Canary has it. It reports
// false for a step that the Rollout has not got.
func (r *Rollout) Opens(step string) (pods, by int, ok bool) {
	if step == StepPrePromotion {
		return r.Replicas, len(r.canary.Steps), r.blueGreen
	}
	at, err := strconv.Atoi(step)
	if err != nil {
		return 0, 0, false
	}
	return r.canary.Opens(at)
}

// TrimArgo is what an informer is to keep of Rollouts and AnalysisRuns: of a run what
// tells of our gate, and of who set which field only who ended it.
func TrimArgo(object any) (any, error) {
	u, ok := object.(*unstructured.Unstructured)
	if !ok {
		return object, nil
	}
	if ended, _, err := unstructured.NestedBool(u.Object, "spec", "terminate"); err != nil || !ended {
		u.SetManagedFields(nil)
	}
	if u.GetKind() == runsKind {
		trimRun(u)
	}
	return u, nil
}
