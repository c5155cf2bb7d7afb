package kube

import (
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// Template is pods of a workload that are not there yet.
type Template struct {
	Namespace *corev1.Namespace
	// Owner is the workload; zero: they are pods of none.
	Owner Owner
	Pods  *corev1.PodTemplateSpec
	// EachNode says that there is one on each node.
	EachNode bool
	// Deployment tells how one replaces its pods; nil: not known, or another kind.
	Deployment *appsv1.Deployment
}

// Terms are how Pace treats pods of a template.
type Terms struct {
	Verdict
	Class core.Class
	// MaxGated is how many pods of the namespace are held at once; 0: none is.
	MaxGated int
	// DeleteFirst is what is done about Deployments that delete first.
	DeleteFirst v1alpha1.DeleteFirst
}

// quoteHash stands for the hash of a revision that is not there yet.
const quoteHash = "quote"

// Terms says what admission would do with pods of a template, as far as what is
// held already does not matter.
func (r *Rules) Terms(t Template) Terms {
	pod := &corev1.Pod{ObjectMeta: *t.Pods.ObjectMeta.DeepCopy(), Spec: t.Pods.Spec}
	pod.Namespace, pod.Name, pod.OwnerReferences = t.Owner.Namespace, t.Owner.Name, nil
	owner := metav1.OwnerReference{Kind: t.Owner.Kind, Name: t.Owner.Name, Controller: new(true)}
	if t.Owner.Kind == "Deployment" {
		// Its pods belong to a ReplicaSet.
		owner.Kind, owner.Name = "ReplicaSet", t.Owner.Name+"-"+quoteHash
		metav1.SetMetaDataLabel(&pod.ObjectMeta, appsv1.DefaultDeploymentUniqueLabelKey, quoteHash)
	}
	if owner.Kind == "CronJob" {
		owner.Kind = jobKind
	}
	if owner.Kind != "" {
		pod.OwnerReferences = []metav1.OwnerReference{owner}
	}
	terms := Terms{Verdict: r.Judge(Case{
		Pod: pod, Namespace: t.Namespace, Deployment: t.Deployment,
		Job: &batchv1.Job{}, // held by its pods, or itself where a deadline runs
	}), Class: core.ClassRollout}
	if t.Namespace == nil {
		return terms
	}
	rules := policyFor(r.policies, t.Namespace.Labels, pod.Labels)
	terms.Class = rules.classOf(pod)
	if rules != nil {
		terms.MaxGated, terms.DeleteFirst = int(*rules.spec.MaxGatedPerNamespace), rules.spec.DeleteFirst
	}
	return terms
}
