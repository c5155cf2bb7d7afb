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
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// freeWithin is how long after the last turn everything is free, and spared how long
// after it nothing is let go, by the contract.
const (
	freeWithin = 5 * time.Minute
	spared     = 2 * time.Minute
)

// slack is what a container of the controller may take to end, and a watch to tell.
const slack = 15 * time.Second

// controllerGone takes the controller away while objects of every kind are held, and
// touches nothing: new pods are not held, and all that is held is free in time.
func controllerGone(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
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
	scale := func(replicas string) error {
		if out := s.Kubectl(ctx, "scale", "deploy/pacer", "-n", v1alpha1.Namespace, "--replicas="+replicas); out.Code != 0 {
			return fmt.Errorf("scaling the controller: %s", out)
		}
		return s.AwaitRollout(ctx, v1alpha1.Namespace, "pacer")
	}
	gone := time.Now()
	if err := scale("0"); err != nil {
		return err
	}
	defer func() { err = all(err, scale("2"), awaitTurns(ctx, s)) }()
	if err := s.Deploy(ctx, "new", 1); err != nil {
		return err
	}
	if err := ungated(ctx, s, "new"); err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, time.Until(gone.Add(freeWithin+slack)))
	defer cancel()
	pods, err := s.AwaitPods(within, "held", "all to be free", noneHeld)
	if err != nil {
		return err
	}
	if err := marked.free(within, s); err != nil {
		return err
	}
	r.Note("free_after_s", int(time.Since(gone).Seconds()))
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	for _, rel := range releases {
		if rel.Reason != string(core.Failsafe) || rel.At.Before(gone.Add(spared-slack)) {
			err = all(err, fmt.Errorf("%s was released as %s %s after the controller went", rel.Pod, rel.Reason, rel.At.Sub(gone).Round(time.Second)))
		}
	}
	if n := len(releases); n != stage.Nodes {
		return all(err, fmt.Errorf("%d pods carry a release, want %d", n, stage.Nodes))
	}
	if spread := releases[len(releases)-1].At.Sub(releases[0].At); spread < spared/2 {
		err = all(err, fmt.Errorf("all went within %s, want a drip over minutes", spread))
	}
	return err
}

func noneHeld(pods []corev1.Pod) bool { return stage.Count(pods, stage.Held) == 0 }

// allHeld waits until so many pods of an app are held, with a Reason.
func allHeld(ctx context.Context, s *stage.Stage, app string, n int) error {
	_, err := s.AwaitPods(ctx, app, "its pods to be held", func(pods []corev1.Pod) bool {
		return len(pods) == n && stage.Count(pods, stage.Held) == n
	})
	return err
}

// awaitTurns waits until turns complete again.
func awaitTurns(ctx context.Context, s *stage.Stage) error {
	return stage.Poll(ctx, "turns to complete", func(ctx context.Context) (bool, string, error) {
		at, err := renewed(ctx, s, v1alpha1.Heartbeat)
		return time.Since(at) < slack, "last at " + clock(at), err
	})
}

// renewed is when a Lease of ours was renewed last.
func renewed(ctx context.Context, s *stage.Stage, name string) (time.Time, error) {
	var lease coordinationv1.Lease
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, &lease); err != nil {
		return time.Time{}, fmt.Errorf("reading Lease %s: %w", name, err)
	}
	return lease.Spec.RenewTime.Time, nil
}

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

// deny is a policy that refuses what the controller's account does to a resource.
const deny = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [GROUP], apiVersions: ["*"], operations: [UPDATE], resources: [RESOURCE]}
  matchConditions:
  - {name: by-the-controller, expression: "request.userInfo.username == 'system:serviceaccount:pullpace-system:pacer'"}
  validations:
  - {expression: "false", message: "nobody touches this"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec:
  policyName: NAME
  validationActions: [Deny]
  matchResources: {namespaceSelector: SELECTOR}
`

// denied refuses writes of the controller until allow is called.
func denied(ctx context.Context, s *stage.Stage, group, resource, selector string) (allow func() error, err error) {
	text := strings.NewReplacer("NAME", s.Name, "GROUP", fmt.Sprintf("%q", group), "RESOURCE", resource, "SELECTOR", selector).Replace(deny)
	allow = func() error {
		out := s.Kubectl(ctx, "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", s.Name)
		if out.Code != 0 {
			return fmt.Errorf("taking a policy away: %s", out)
		}
		return nil
	}
	return allow, s.Apply(ctx, text)
}

// turnsWedged refuses what every turn writes: the leader leads, but no turn
// completes. Nothing new is held from then on, and what is held waits for it.
func turnsWedged(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
	if err := s.Deploy(ctx, "held", stage.Nodes); err != nil {
		return err
	}
	if err := allHeld(ctx, s, "held", stage.Nodes); err != nil {
		return err
	}
	allow, err := denied(ctx, s, v1alpha1.Group, "pullbudgets/status", "{}")
	if err != nil {
		return err
	}
	wedged := time.Now()
	defer func() { err = all(err, allow(), awaitTurns(ctx, s)) }()
	// Something must be there to write down: somebody takes from the account.
	s.Host.SetLimit(0, stage.Limit-1)
	open := 0
	err = stage.Poll(ctx, "a new pod not to be held", func(ctx context.Context) (bool, string, error) {
		open++
		app := fmt.Sprint("new-", open)
		if err := s.Create(ctx, ground.Deployment(s.Name, app, s.Image("held"), 1)); err != nil {
			return false, "", err
		}
		pods, err := s.AwaitPods(ctx, app, "a pod", func(pods []corev1.Pod) bool { return len(pods) > 0 })
		if err != nil {
			return false, "", err
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
		return noneHeld(pods), fmt.Sprintf("%d new Deployments, the last one held", open), nil
	})
	if err != nil {
		return err
	}
	r.Note("open_after_s", int(time.Since(wedged).Seconds()))
	if since := time.Since(wedged); since > time.Minute {
		err = fmt.Errorf("new pods were held for %s after the last turn, want 30 s or so", since.Round(time.Second))
	}
	leads, also := renewed(ctx, s, "pullpace-leader")
	if also != nil || time.Since(leads) > slack {
		err = all(err, also, fmt.Errorf("nobody has led since %s: the turns were to be wedged, not the leader", clock(leads)))
	}
	if pods, also := s.Pods(ctx, "held"); also != nil || stage.Count(pods, stage.Held) != stage.Nodes {
		err = all(err, also, fmt.Errorf("%d of %d old pods are held, want all: the controller is to come back", stage.Count(pods, stage.Held), stage.Nodes))
	}
	return err
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

// withMaxHold gives the default policy a bound until restore is called.
func withMaxHold(ctx context.Context, s *stage.Stage, bound time.Duration) (restore func() error, err error) {
	patch := func(value string) error {
		out := s.Kubectl(ctx, "patch", "pacepolicy", "default", "--type=merge", "-p", `{"spec":{"maxHold":`+value+`}}`)
		if out.Code != 0 {
			return fmt.Errorf("changing the policy: %s", out)
		}
		return nil
	}
	return func() error { return patch("null") }, patch(fmt.Sprintf("%q", bound))
}

// drip is the stage of boundsPassed: nothing is left when it begins, and all comes
// back at once a window later. A unit would refill in 5 s.
var drip = stage.Options{Window: 40 * time.Second, Taken: stage.Limit}

// boundsPassed ends holds on an account that is used up, by their bound and by
// `release --all`: one pod is tried, and none other between its 429 and the next
// units. Then a policy engine refuses the controller's release, and the failsafe ends
// the hold at its bound.
func boundsPassed(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
	restore, err := withMaxHold(ctx, s, 12*time.Second)
	if err != nil {
		return err
	}
	defer func() { err = all(err, restore()) }()
	began := time.Now()
	if err := s.Deploy(ctx, "bound", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "bound"); err != nil {
		return err
	}
	tried, _, err := beforeUnits(ctx, s, "bound")
	if err != nil {
		return err
	}
	if len(tried) != 1 || tried[0].Reason != string(core.HoldExpired) || s.Throttled(began) == 0 {
		return fmt.Errorf("before units came back %+v were let go and met %d answers of 429, want one that did", tried, s.Throttled(began))
	}
	r.Note("429_of_one_tried", s.Throttled(began))
	if err := restore(); err != nil {
		return err
	}
	s.Host.Spend(s.Identity(), 2*stage.Limit)
	if err := orderAll(ctx, s); err != nil {
		return err
	}
	if err := s.Await(ctx, "ordered"); err != nil {
		return err
	}
	tried, rest, err := beforeUnits(ctx, s, "ordered")
	if err != nil {
		return err
	}
	for _, rel := range append(tried, rest...) {
		if rel.Reason != string(core.Override) {
			err = all(err, fmt.Errorf("%s was released as %s, want Override", rel.Pod, rel.Reason))
		}
	}
	if refill := drip.Window / stage.Limit; len(tried) > 1 || rest[len(rest)-1].At.Sub(rest[0].At) < refill*time.Duration(len(rest)-1)-time.Second {
		err = all(err, fmt.Errorf("%d went before units came back and the others from %s to %s, want one at most and then one per %s",
			len(tried), clock(rest[0].At), clock(rest[len(rest)-1].At), refill))
	}
	if err != nil {
		return err
	}
	if _, err := withMaxHold(ctx, s, 20*time.Second); err != nil {
		return err
	}
	return refusedRelease(ctx, s)
}

// orderAll holds pods of a workload that is paused until the controller knows that
// nothing is left, and then lets all go that is held anywhere.
func orderAll(ctx context.Context, s *stage.Stage) error {
	pace := func(args ...string) error {
		if out := s.Kubectl(ctx, append([]string{"pace"}, args...)...); out.Code != 0 {
			return errors.New(out.String())
		}
		return nil
	}
	if err := pace("pause", "budget/"+s.Name, "--reason", "until it is read"); err != nil {
		return err
	}
	if err := s.Deploy(ctx, "ordered", stage.Nodes); err != nil {
		return err
	}
	if err := all(allHeld(ctx, s, "ordered", stage.Nodes), pace("pause", "deploy/ordered", "-n", s.Name, "--reason", "until it is ordered")); err != nil {
		return err
	}
	if err := s.AwaitAccount(ctx, "a reading of an account that is used up", func(a v1alpha1.AccountStatus) bool { return a.Remaining <= 0 }); err != nil {
		return err
	}
	return all(pace("resume", "budget/"+s.Name, "--reason", "it was read"), pace("release", "--all", "--reason", "we cannot wait"))
}

// beforeUnits are the releases of an app before the first of its pulls was charged, and
// the others.
func beforeUnits(ctx context.Context, s *stage.Stage, app string) (tried, rest []stage.Release, err error) {
	pods, err := s.Pods(ctx, app)
	if err != nil {
		return nil, nil, err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return nil, nil, err
	}
	f := s.Own()
	f.Repo, f.Charged = app, true
	first, ok := s.Registry.Log().FirstCharged(f)
	if !ok || len(releases) != stage.Nodes {
		return nil, nil, fmt.Errorf("%d pods of %s carry a release, want %d; charged at all: %v", len(releases), app, stage.Nodes, ok)
	}
	// A pod that was let go when units were there takes a moment to its pull.
	at := slices.IndexFunc(releases, func(rel stage.Release) bool { return rel.At.After(first.Time.Add(-3 * time.Second)) })
	if at < 0 {
		return nil, nil, fmt.Errorf("all pods of %s were let go before %s, when the first was served: %+v", app, clock(first.Time), releases)
	}
	return releases[:at], releases[at:], nil
}

// inForce waits until the API server refuses a patch of the controller's account: it
// takes a policy in after a while.
func inForce(ctx context.Context, s *stage.Stage) error {
	pods, err := s.Pods(ctx, "")
	if err != nil || len(pods) == 0 {
		return all(err, errors.New("no pod to try on"))
	}
	return stage.Poll(ctx, "a policy to be in force", func(ctx context.Context) (bool, string, error) {
		out := s.Kubectl(ctx, "label", "pod", pods[0].Name, "-n", s.Name, "tried=yes", "--dry-run=server",
			"--as=system:serviceaccount:"+v1alpha1.Namespace+":pacer")
		return strings.Contains(out.Stderr, "nobody touches this"), out.String(), nil
	})
}

// refusedRelease has a policy engine refuse every patch of the controller on pods of
// the stage.
func refusedRelease(ctx context.Context, s *stage.Stage) (err error) {
	allow, err := denied(ctx, s, "", "pods", fmt.Sprintf("{matchLabels: {kubernetes.io/metadata.name: %s}}", s.Name))
	if err != nil {
		return err
	}
	defer func() { err = all(err, allow()) }()
	if err := inForce(ctx, s); err != nil {
		return err
	}
	// A limit of which something is free, so that the controller would let them go.
	s.Host.SetLimit(0, 2*stage.Limit)
	if err := s.Deploy(ctx, "refused", 2); err != nil {
		return err
	}
	pods, err := s.AwaitPods(ctx, "refused", "its release to be refused", func(pods []corev1.Pod) bool {
		return stage.Count(pods, heldFor(core.ReleaseRefused)) == 2
	})
	if err != nil {
		return err
	}
	out := s.Kubectl(ctx, "pace", "explain", "pod/"+pods[0].Name, "-n", s.Name)
	for _, word := range []string{"ReleaseRefused", "nobody touches this", "failsafe ok"} {
		if out.Code != 0 || !strings.Contains(out.Stdout, word) {
			err = all(err, fmt.Errorf("explain does not say %q: %s", word, out))
		}
	}
	if err != nil {
		return err
	}
	if pods, err = s.AwaitPods(ctx, "refused", "the failsafe to end the hold", noneHeld); err != nil {
		return err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	for _, rel := range releases {
		if rel.Reason != string(core.HoldExpired) {
			err = all(err, fmt.Errorf("%s was released as %s, want HoldExpired", rel.Pod, rel.Reason))
		}
	}
	return all(err, s.Await(ctx, "refused"))
}
