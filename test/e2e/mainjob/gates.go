//go:build linux

package mainjob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// neverGated makes pods that Pace must leave alone, of an image that it would hold:
// nothing is left of the account, and an ordinary pod beside them is held.
func neverGated(ctx context.Context, s *stage.Stage, _ *suite.Report) (err error) {
	if err := optIn(ctx, s, metav1.NamespaceSystem, "enabled"); err != nil {
		return err
	}
	defer func() { err = all(err, optIn(ctx, s, metav1.NamespaceSystem, "")) }()
	deployments := map[string]func(*appsv1.Deployment){
		"bound":        func(d *appsv1.Deployment) { d.Spec.Template.Spec.NodeName = s.Cluster.Nodes()[0].Name() },
		"node-vital":   func(d *appsv1.Deployment) { d.Spec.Template.Spec.PriorityClassName = "system-node-critical" },
		"vital":        func(d *appsv1.Deployment) { d.Spec.Template.Spec.PriorityClassName = "system-cluster-critical" },
		"kueue":        func(d *appsv1.Deployment) { d.Spec.Template.Labels["kueue.x-k8s.io/managed"] = "true" },
		"kueue-queued": func(d *appsv1.Deployment) { d.Spec.Template.Labels["kueue.x-k8s.io/queue-name"] = "team" },
		"of-system":    func(d *appsv1.Deployment) { d.Namespace = metav1.NamespaceSystem },
		"recreate": func(d *appsv1.Deployment) {
			d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
		},
	}
	for app, change := range deployments {
		d, err := s.Deployment(ctx, app, 1)
		if err != nil {
			return err
		}
		change(d)
		if err := s.Create(ctx, d); err != nil {
			return err
		}
		// Their pulls are refused for an hour: do not leave them to the other cases.
		defer func() { err = all(err, client.IgnoreNotFound(s.Client.Delete(ctx, d))) }()
	}
	remove, err := staticPod(s)
	if err != nil {
		return err
	}
	defer func() { err = all(err, remove()) }()
	if err := s.Deploy(ctx, "ordinary", 1); err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "ordinary", "an ordinary pod to be held", someHeld); err != nil {
		return err
	}
	for _, app := range append(slices.Sorted(maps.Keys(deployments)), "static") {
		if err := ungated(ctx, s, app); err != nil {
			return err
		}
	}
	return nil
}

// optIn sets or, with an empty value, removes a namespace's label.
func optIn(ctx context.Context, s *stage.Stage, namespace, value string) error {
	label := v1alpha1.LabelPace + "=" + value
	if value == "" {
		label = v1alpha1.LabelPace + "-"
	}
	if out := s.Kubectl(ctx, "label", "namespace", namespace, label); out.Code != 0 {
		return fmt.Errorf("labelling a namespace: %s", out)
	}
	return nil
}

// staticPod has the first node run a pod from a file, which its kubelet then shows
// to the API server as a mirror pod.
func staticPod(s *stage.Stage) (remove func() error, err error) {
	pod := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: "static", Labels: map[string]string{"app": "static"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: s.Image("probe")}}},
	}
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("writing a static pod: %w", err)
	}
	file := s.Cluster.Nodes()[0].Disk(filepath.Base(stage.StaticPods), s.Name+".json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("writing a static pod: %w", err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return nil, fmt.Errorf("writing a static pod: %w", err)
	}
	return func() error { return os.Remove(file) }, nil
}

// ungated waits for the pods of an app and complains if our gate is on one.
func ungated(ctx context.Context, s *stage.Stage, app string) error {
	var list corev1.PodList
	err := stage.Poll(ctx, "a pod of "+app, func(ctx context.Context) (bool, string, error) {
		err := s.Client.List(ctx, &list, client.MatchingLabels{"app": app})
		return len(list.Items) > 0, "none", err
	})
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		if stage.Held(&p) || stage.Released(&p) || p.Labels[v1alpha1.LabelHeld] != "" {
			err = all(err, fmt.Errorf("pod %s/%s of %s was held: gates %v, annotations %v", p.Namespace, p.Name, app, p.Spec.SchedulingGates, p.Annotations))
		}
	}
	return err
}

// othersGate is a gate that is not ours.
const othersGate = "example.com/approval"

// foreignGate holds pods by another owner's gate besides ours: nothing is let go
// until that is off, and the user's own affinity terms are there afterwards.
func foreignGate(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	d, err := s.Deployment(ctx, "approved", 2)
	if err != nil {
		return err
	}
	mine := preferences()
	d.Spec.Template.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: othersGate}}
	d.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: mine}}
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "approved", "its pods to be held for the other gate", func(pods []corev1.Pod) bool {
		return stage.Count(pods, stage.HeldFor(core.ForeignGate)) == 2
	}); err != nil {
		return err
	}
	// Room for 8 is there, of which others take 4 while these wait.
	if err := s.Deploy(ctx, "other", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "other"); err != nil {
		return err
	}
	pods, err := s.Pods(ctx, "approved")
	if err != nil {
		return err
	}
	if n := stage.Count(pods, stage.Held); n != 2 {
		return fmt.Errorf("%d of 2 pods are held while another owner's gate is on them", n)
	}
	for i := range pods {
		if err := approve(ctx, s, &pods[i]); err != nil {
			return err
		}
	}
	if err := s.Await(ctx, "approved"); err != nil {
		return err
	}
	if pods, err = s.Pods(ctx, "approved"); err != nil {
		return err
	}
	return all(keepsTerms(pods, mine), noOwn429(s), exactly(s, stage.Nodes+2))
}

// preferences are terms as users write them.
func preferences() []corev1.PreferredSchedulingTerm {
	var terms []corev1.PreferredSchedulingTerm
	for i, zone := range []string{"a", "b"} {
		terms = append(terms, corev1.PreferredSchedulingTerm{Weight: int32(10 * (i + 1)), Preference: corev1.NodeSelectorTerm{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelTopologyZone, Operator: corev1.NodeSelectorOpIn, Values: []string{zone}}},
		}})
	}
	return terms
}

// approve takes the other owner's gate off.
func approve(ctx context.Context, s *stage.Stage, p *corev1.Pod) error {
	before := p.DeepCopy()
	p.Spec.SchedulingGates = slices.DeleteFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == othersGate })
	if err := s.Client.Patch(ctx, p, client.StrategicMergeFrom(before)); err != nil {
		return fmt.Errorf("taking the other gate off: %w", err)
	}
	return nil
}

// keepsTerms complains unless the pods' preferred terms begin with the user's.
func keepsTerms(pods []corev1.Pod, mine []corev1.PreferredSchedulingTerm) error {
	var errs []error
	for _, p := range pods {
		if p.Spec.Affinity == nil || p.Spec.Affinity.NodeAffinity == nil {
			errs = append(errs, fmt.Errorf("pod %s has lost its affinity", p.Name))
			continue
		}
		got := p.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution
		if diff := cmp.Diff(mine, got[:min(len(got), len(mine))]); diff != "" {
			errs = append(errs, fmt.Errorf("preferred terms of pod %s (-user's +now):\n%s", p.Name, diff))
		}
	}
	return errors.Join(errs...)
}
