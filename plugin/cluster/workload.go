package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/kube"
)

// revision is where the Deployment controller numbers revisions.
const revision = "deployment.kubernetes.io/revision"

// DeploymentOf reads a Deployment and says what to do where it is missing.
func DeploymentOf(ctx context.Context, c client.Reader, namespace, name string) (*appsv1.Deployment, error) {
	var d appsv1.Deployment
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &d)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("deploy/%s is not in namespace %q: check the name, or choose another with -n", name, namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("reading deploy/%s: %w", name, err)
	}
	return &d, nil
}

// Replicas is how many pods a Deployment wants.
func Replicas(d *appsv1.Deployment) int32 {
	if d.Spec.Replicas == nil {
		return 1
	}
	return *d.Spec.Replicas
}

// ReplicaSets lists those of a Deployment, in no order.
func ReplicaSets(ctx context.Context, c client.Reader, d *appsv1.Deployment) ([]appsv1.ReplicaSet, error) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("reading the selector of deploy/%s: %w", d.Name, err)
	}
	var list appsv1.ReplicaSetList
	if err := c.List(ctx, &list, client.InNamespace(d.Namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("listing replicasets of deploy/%s: %w", d.Name, err)
	}
	var own []appsv1.ReplicaSet
	for _, rs := range list.Items {
		if metav1.IsControlledBy(&rs, d) {
			own = append(own, rs)
		}
	}
	return own, nil
}

// Revision is the number of a revision; 0 where there is none yet.
func Revision(obj metav1.Object) int64 {
	notes := obj.GetAnnotations()
	n, err := strconv.ParseInt(cmp.Or(notes[revision], notes[argoRevision]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Current returns the ReplicaSet of the Deployment's newest revision and the one
// before it, nil where there is none.
func Current(d *appsv1.Deployment, sets []appsv1.ReplicaSet) (current, previous *appsv1.ReplicaSet) {
	newest := Revision(d)
	for i := range sets {
		set := &sets[i]
		switch n := Revision(set); {
		case n == newest:
			current = set
		case n < newest && (previous == nil || n > Revision(previous)):
			previous = set
		}
	}
	return current, previous
}

// ErrNoPrevious says that there is no revision to go back to.
var ErrNoPrevious = errors.New("there is no earlier revision to go back to")

// Undo puts the template of the previous revision back. The patch fails when
// somebody else changed the Deployment meanwhile.
func Undo(ctx context.Context, c client.Client, d *appsv1.Deployment) error {
	sets, err := ReplicaSets(ctx, c, d)
	if err != nil {
		return err
	}
	_, previous := Current(d, sets)
	if previous == nil {
		return ErrNoPrevious
	}
	changed := d.DeepCopy()
	changed.Spec.Template = *previous.Spec.Template.DeepCopy()
	delete(changed.Spec.Template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	if err := PatchLocked(ctx, c, d, changed); err != nil {
		return fmt.Errorf("going back to revision %d: %w", Revision(previous), err)
	}
	return nil
}

// UndoArgo is Undo of an Argo Rollout, which goes through its steps again unless they are
// within its rollback window.
func UndoArgo(ctx context.Context, c client.Client, a *Argo) error {
	sets, err := ReplicaSets(ctx, c, a.AsDeployment())
	if err != nil {
		return err
	}
	_, previous := Current(a.AsDeployment(), sets)
	if previous == nil {
		return ErrNoPrevious
	}
	template := previous.Spec.Template.DeepCopy()
	delete(template.Labels, argoHash)
	changed, ok := a.SetTemplate(template)
	if !ok {
		return fmt.Errorf("deploy/%s describes its pods: go back there", a.Source)
	}
	if err := PatchLocked(ctx, c, a.Object, changed); err != nil {
		return fmt.Errorf("going back to revision %d: %w", Revision(previous), err)
	}
	return nil
}

// OwnerOf returns the workload that a pod belongs to as the plugin prints it; a
// ReplicaSet's name without its hash is that of its Deployment.
func OwnerOf(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return "pod/" + pod.Name
	}
	known := kube.OwnerOf(pod)
	if prefix, ok := short[Kind(known.Kind)]; ok {
		return prefix + "/" + known.Name
	}
	return known.Kind + "/" + known.Name
}
