//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// byHand are objects that are held as Pace holds them.
type byHand struct {
	deployment *appsv1.Deployment
	job        *batchv1.Job
	node       string
}

// heldByHand makes a Deployment whose fields Pace changes, a suspended Job and a tainted
// node.
func heldByHand(ctx context.Context, s *stage.Stage) (byHand, error) {
	b := byHand{node: s.Cluster.Nodes()[0].Name()}
	var err error
	if b.deployment, err = s.Deployment(ctx, "changed", 1); err != nil {
		return b, err
	}
	quarter, one := intstr.FromString("25%"), intstr.FromInt32(1)
	b.deployment.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: &quarter, MaxSurge: &one}
	b.deployment.Spec.ProgressDeadlineSeconds = new(int32(600))
	if err := s.Create(ctx, b.deployment); err != nil {
		return b, err
	}
	var imposed appsv1.Deployment
	if err := s.Client.Get(ctx, client.ObjectKeyFromObject(b.deployment), &imposed); err != nil {
		return b, fmt.Errorf("reading a Deployment: %w", err)
	}
	if _, saved := gate.SavedOf(&imposed); !saved || *imposed.Spec.ProgressDeadlineSeconds != gate.Lifted {
		return b, fmt.Errorf("no field of a Deployment was changed: %+v, deadline %d", imposed.Annotations, *imposed.Spec.ProgressDeadlineSeconds)
	}
	b.job = &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: "suspended",
		Annotations: map[string]string{v1alpha1.AnnotationSaved: gate.Saved{Suspend: new(false)}.String()}}}
	b.job.Spec.Suspend = new(true)
	b.job.Spec.Template.Spec = b.deployment.Spec.Template.Spec
	b.job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: stage.Unmetered}}
	b.job.Spec.Template.Spec.TopologySpreadConstraints = nil
	b.job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	gate.MarkHeld(b.job, time.Now().Add(time.Hour))
	if err := s.Client.Create(ctx, b.job); err != nil {
		return b, fmt.Errorf("making a suspended job: %w", err)
	}
	var node corev1.Node
	if err := s.Client.Get(ctx, client.ObjectKey{Name: b.node}, &node); err != nil {
		return b, fmt.Errorf("reading a node: %w", err)
	}
	before := node.DeepCopy()
	node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule})
	gate.MarkHeld(&node, time.Now().Add(time.Hour))
	if err := s.Client.Patch(ctx, &node, client.MergeFrom(before)); err != nil {
		return b, fmt.Errorf("tainting a node: %w", err)
	}
	return b, nil
}

// free waits until all is as it was before.
func (b byHand) free(ctx context.Context, s *stage.Stage) error {
	return stage.Poll(ctx, "workloads and nodes to be as they were", func(ctx context.Context) (bool, string, error) {
		var d appsv1.Deployment
		var j batchv1.Job
		var n corev1.Node
		err := all(s.Client.Get(ctx, client.ObjectKeyFromObject(b.deployment), &d), s.Client.Get(ctx, client.ObjectKeyFromObject(b.job), &j),
			s.Client.Get(ctx, client.ObjectKey{Name: b.node}, &n))
		if err != nil {
			return false, "", err
		}
		var wrong []string
		if r := d.Spec.Strategy.RollingUpdate; r.MaxUnavailable.String() != "25%" || r.MaxSurge.String() != "1" || *d.Spec.ProgressDeadlineSeconds != 600 {
			wrong = append(wrong, fmt.Sprintf("deployment %s, %s, %d", r.MaxUnavailable, r.MaxSurge, *d.Spec.ProgressDeadlineSeconds))
		}
		if *j.Spec.Suspend {
			wrong = append(wrong, "the job is suspended")
		}
		if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint }) {
			wrong = append(wrong, "the node is tainted")
		}
		for _, o := range []client.Object{&d, &j, &n} {
			if o.GetLabels()[v1alpha1.LabelHeld] != "" || o.GetAnnotations()[v1alpha1.AnnotationSaved] != "" {
				wrong = append(wrong, fmt.Sprintf("%s is marked: %v", o.GetName(), o.GetAnnotations()))
			}
		}
		return len(wrong) == 0, strings.Join(wrong, "; "), nil
	})
}

// pageOfRemoval deletes Pace's namespace while objects of every kind are held, and
// runs the very text of `uninstall --print`. Then Pace is installed again.
func pageOfRemoval(ctx context.Context, s *stage.Stage, _ *suite.Report) (err error) {
	page := s.Kubectl(ctx, "pace", "uninstall", "--print")
	if page.Code != 0 {
		return errors.New(page.String())
	}
	if err := s.Deploy(ctx, "held", stage.Nodes); err != nil {
		return err
	}
	marked, err := heldByHand(ctx, s)
	if err != nil {
		return err
	}
	if err := allHeld(ctx, s, "held", stage.Nodes); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "delete", "namespace", v1alpha1.Namespace); out.Code != 0 {
		return fmt.Errorf("deleting the namespace: %s", out)
	}
	defer func() { err = all(err, s.Install(ctx, stage.Enforcing()...)) }()
	kubectl := s.Command(ctx)
	bash := exec.CommandContext(ctx, "bash")
	bash.Env, bash.Stdin = kubectl.Env, strings.NewReader(page.Stdout)
	text, err := bash.CombinedOutput()
	if err != nil {
		return fmt.Errorf("running the page: %w\n%s", err, text)
	}
	pods, err := s.Pods(ctx, "held")
	if err != nil {
		return err
	}
	for _, p := range pods {
		if stage.Held(&p) || p.Labels[v1alpha1.LabelHeld] != "" || p.Annotations[v1alpha1.AnnotationHoldUntil] != "" {
			err = all(err, fmt.Errorf("pod %s is held: gates %v, annotations %v", p.Name, p.Spec.SchedulingGates, p.Annotations))
		}
	}
	soon, cancel := context.WithTimeout(ctx, slack)
	defer cancel()
	if err := all(err, marked.free(soon, s)); err != nil {
		return fmt.Errorf("%w\n%s", err, text)
	}
	var roles = s.Kubectl(ctx, "get", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations", "-l", "app.kubernetes.io/part-of=pullpace", "-o", "name")
	if roles.Code != 0 || strings.TrimSpace(roles.Stdout) != "" {
		return fmt.Errorf("left behind: %s\n%s", roles, text)
	}
	return nil
}
