package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/kube"
)

// Where Argo Rollouts numbers revisions, and by what it tells their pods apart. Source:
// v1.10.1, utils/annotations and types.go.
const (
	argoRevision = "rollout.argoproj.io/revision"
	argoHash     = "rollouts-pod-template-hash"
)

// Argo is an Argo Rollout as it stands.
type Argo struct {
	*kube.Rollout
	Object *unstructured.Unstructured
	// Phase and Message are Argo's own; empty while its controller has not seen the last
	// change.
	Phase, Message string
	// Paused are the reasons for which it pauses.
	Paused []string
	// Steps are those of its canary, in words; Promotion is what a blue-green rollout
	// waits for before its promotion, empty where that is nothing.
	Steps     []string
	Promotion string
	// Gated says that one of those asks the gate, by the template that comes with Pace.
	Gated bool
	// Source is the Deployment that describes its pods, empty where it does itself.
	Source string

	state argoState
}

// argoState is what is read of a Rollout beyond its steps.
type argoState struct {
	Spec struct {
		Selector    *metav1.LabelSelector `json:"selector"`
		WorkloadRef *struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"workloadRef"`
		Strategy struct {
			Canary *struct {
				Steps []argoStep `json:"steps"`
			} `json:"canary"`
			BlueGreen *struct {
				PrePromotionAnalysis argoAnalysis `json:"prePromotionAnalysis"`
			} `json:"blueGreen"`
		} `json:"strategy"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration string `json:"observedGeneration"`
		Phase              string `json:"phase"`
		Message            string `json:"message"`
		Replicas           int32  `json:"replicas"`
		UpdatedReplicas    int32  `json:"updatedReplicas"`
		ReadyReplicas      int32  `json:"readyReplicas"`
		AvailableReplicas  int32  `json:"availableReplicas"`
		PauseConditions    []struct {
			Reason string `json:"reason"`
		} `json:"pauseConditions"`
	} `json:"status"`
}

// argoStep is a step of a canary, as far as people are told what it does.
type argoStep struct {
	SetWeight *int32 `json:"setWeight"`
	Pause     *struct {
		Duration *intstr.IntOrString `json:"duration"`
	} `json:"pause"`
	SetCanaryScale *struct{}    `json:"setCanaryScale"`
	Analysis       argoAnalysis `json:"analysis"`
}

// argoAnalysis is an analysis, by its templates.
type argoAnalysis struct {
	Templates []struct {
		TemplateName string `json:"templateName"`
	} `json:"templates"`
}

// gateTemplate is the template that comes with Pace and waits for budget.
const gateTemplate = "pull-budget"

// asksUs reports whether one of the templates is that.
func (a argoAnalysis) asksUs() bool { return slices.Contains(a.names(), gateTemplate) }

func (a argoAnalysis) names() []string {
	var names []string
	for _, t := range a.Templates {
		names = append(names, t.TemplateName)
	}
	return names
}

func (a argoAnalysis) String() string { return "analysis " + strings.Join(a.names(), ", ") }

// String says what a step does.
func (s argoStep) String() string {
	switch {
	case s.SetWeight != nil:
		return fmt.Sprintf("weight %d", *s.SetWeight)
	case s.Pause != nil && s.Pause.Duration != nil:
		return "pause " + s.Pause.Duration.String()
	case s.Pause != nil:
		return "pause for a person"
	case s.SetCanaryScale != nil:
		return "scale"
	case len(s.Analysis.Templates) > 0:
		return s.Analysis.String()
	}
	return "step"
}

// ArgoOf reads an Argo Rollout and says what to do where it is missing.
func ArgoOf(ctx context.Context, c client.Reader, namespace, name string) (*Argo, error) {
	u := kube.NewRollout()
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, u)
	switch {
	case meta.IsNoMatchError(err):
		return nil, fmt.Errorf("rollout/%s: this cluster has no Argo Rollouts (no kind Rollout of argoproj.io)", name)
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("rollout/%s is not in namespace %q: check the name, or choose another with -n", name, namespace)
	case err != nil:
		return nil, fmt.Errorf("reading rollout/%s: %w", name, err)
	}
	a, err := ReadArgo(u)
	if err != nil || a.Source == "" {
		return a, err
	}
	d, err := DeploymentOf(ctx, c, namespace, a.Source)
	if err != nil {
		return nil, fmt.Errorf("rollout/%s runs the pods of another: %w", name, err)
	}
	a.Template = d.Spec.Template
	a.state.Spec.Selector = cmp.Or(a.state.Spec.Selector, d.Spec.Selector)
	return a, nil
}

// ReadArgo reads an Argo Rollout. Pods that a Deployment describes for it are not read.
func ReadArgo(u *unstructured.Unstructured) (*Argo, error) {
	r, err := kube.ReadRollout(u)
	if err != nil {
		return nil, err
	}
	a := &Argo{Rollout: r, Object: u}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &a.state); err != nil {
		return nil, fmt.Errorf("reading rollout %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	if a.Observed() {
		a.Phase, a.Message = a.state.Status.Phase, a.state.Status.Message
	}
	for _, p := range a.state.Status.PauseConditions {
		a.Paused = append(a.Paused, p.Reason)
	}
	if canary := a.state.Spec.Strategy.Canary; canary != nil {
		for _, s := range canary.Steps {
			a.Steps = append(a.Steps, s.String())
			a.Gated = a.Gated || s.Analysis.asksUs()
		}
	}
	if bg := a.state.Spec.Strategy.BlueGreen; bg != nil && len(bg.PrePromotionAnalysis.Templates) > 0 {
		a.Promotion, a.Gated = bg.PrePromotionAnalysis.String(), bg.PrePromotionAnalysis.asksUs()
	}
	if ref := a.state.Spec.WorkloadRef; ref != nil && ref.Kind == string(Deployment) {
		a.Source = ref.Name
	}
	return a, nil
}

// Later reads another version of the Rollout. Pods that a Deployment describes for it are
// as they were.
func (a *Argo) Later(u *unstructured.Unstructured) (*Argo, error) {
	next, err := ReadArgo(u)
	if err != nil || next.Source == "" || next.Source != a.Source {
		return next, err
	}
	next.Template = a.Template
	next.state.Spec.Selector = cmp.Or(next.state.Spec.Selector, a.Selector())
	return next, nil
}

// Observed reports whether Argo's controller has seen the last change.
func (a *Argo) Observed() bool { return a.observed() == a.Object.GetGeneration() }

func (a *Argo) observed() int64 {
	n, err := strconv.ParseInt(a.state.Status.ObservedGeneration, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Selector is what its pods have.
func (a *Argo) Selector() *metav1.LabelSelector { return a.state.Spec.Selector }

// AsDeployment describes the Rollout as a Deployment that deletes nothing first, for
// what asks of a workload its pods and how many there are. Its kind stays Rollout.
func (a *Argo) AsDeployment() *appsv1.Deployment {
	none, status := intstr.FromInt32(0), a.state.Status
	d := &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{Kind: string(Rollout)},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: a.Namespace, Name: a.Name, UID: a.UID, Generation: a.Object.GetGeneration(), ResourceVersion: a.Object.GetResourceVersion(),
			Labels: maps.Clone(a.Object.GetLabels()), Annotations: maps.Clone(a.Object.GetAnnotations()), ManagedFields: a.Object.GetManagedFields(),
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(a.Replicas)), Selector: a.Selector(), Template: *a.Template.DeepCopy(),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none}},
		},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: a.observed(), Replicas: status.Replicas, UpdatedReplicas: status.UpdatedReplicas,
			ReadyReplicas: status.ReadyReplicas, AvailableReplicas: status.AvailableReplicas,
		},
	}
	return d
}

// WorkloadOf names a Deployment, or the Rollout that is described as one, as the plugin
// prints it.
func WorkloadOf(d *appsv1.Deployment) Target {
	return Target{Kind: cmp.Or(Kind(d.Kind), Deployment), Name: d.Name}
}

// SetTemplate puts another template in the Rollout; false: a Deployment describes its
// pods.
func (a *Argo) SetTemplate(template *corev1.PodTemplateSpec) (*unstructured.Unstructured, bool) {
	if a.Source != "" {
		return nil, false
	}
	text, err := runtime.DefaultUnstructuredConverter.ToUnstructured(template)
	if err != nil {
		return nil, false
	}
	changed := a.Object.DeepCopy()
	return changed, unstructured.SetNestedMap(changed.Object, text, "spec", "template") == nil
}
