//go:build linux

package mainjob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/proof"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// gateStatus is what `status -o json` says of the gate.
type gateStatus struct {
	Gate struct {
		State, Reason, Message string
	}
	Slipped struct {
		Pods   int
		Newest []string
	}
}

func statusOf(ctx context.Context, s *stage.Stage) (gateStatus, error) {
	var got gateStatus
	out := s.Kubectl(ctx, "pace", "status", "-o", "json")
	if out.Code != 0 {
		return got, errors.New(out.String())
	}
	if err := json.Unmarshal([]byte(out.Stdout), &got); err != nil {
		return got, fmt.Errorf("reading the status: %w", err)
	}
	return got, nil
}

// awaitGate returns when `status` says so of the gate.
func awaitGate(ctx context.Context, s *stage.Stage, state string) (got gateStatus, err error) {
	err = stage.Poll(ctx, "the gate to be "+state, func(ctx context.Context) (bool, string, error) {
		got, err = statusOf(ctx, s)
		return got.Gate.State == state, fmt.Sprintf("%+v", got), err
	})
	return got, err
}

// asker sends dry runs with all rights.
func asker(s *stage.Stage) proof.Asker {
	return proof.Asker{Client: s.Client, Live: s.Client, Namespace: v1alpha1.Namespace, Webhook: "pacer", Owner: "e2e", Now: time.Now}
}

// proven looks at what an installation that works says of itself: the gate is proven,
// the replicas are apart, pods that are not held are marked too, no pod of Pace's own
// namespace is ever held, and its image is not taken from where it paces.
func proven(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	got, err := awaitGate(ctx, s, "active")
	if err != nil {
		return err
	}
	r.Note("proof", got.Gate.Message)
	pods, err := s.Controllers(ctx)
	if err != nil {
		return err
	}
	nodes := map[string]bool{}
	for _, p := range pods {
		nodes[p.Spec.NodeName] = true
	}
	var wrong error
	if len(pods) != 2 || len(nodes) != 2 {
		wrong = fmt.Errorf("%d replicas on %d nodes, want 2 on 2", len(pods), len(nodes))
	}
	if err := s.Create(ctx, ground.Deployment(s.Name, "unpaced", stage.Unmetered, 1)); err != nil {
		return err
	}
	made, err := s.AwaitPods(ctx, "unpaced", "a pod of an image that nobody paces", func(pods []corev1.Pod) bool { return len(pods) == 1 })
	if err != nil {
		return err
	}
	if made[0].Annotations[v1alpha1.AnnotationSeen] == "" || stage.Held(&made[0]) {
		wrong = all(wrong, fmt.Errorf("a pod that is not paced has annotations %v and gates %v, want it seen and not held", made[0].Annotations, made[0].Spec.SchedulingGates))
	}
	out := s.Kubectl(ctx, "pace", "install", "--image", s.Host.Name()+"/pacer:1", "--dry-run=server")
	if out.Code != 1 || !strings.Contains(out.Stderr, fmt.Sprintf("PullBudget %q paces", s.Name)) {
		wrong = all(wrong, fmt.Errorf("an image from an account that is paced: want exit code 1 and why:\n%s", out))
	}
	return all(wrong, neverOurs(ctx, s))
}

// neverOurs makes a pod in Pace's own namespace that asks to be gated: only a dry run
// is.
func neverOurs(ctx context.Context, s *stage.Stage) error {
	if answer := asker(s).Ask(ctx, stage.Unmetered); !answer.Gated() {
		return fmt.Errorf("a dry run in %s: %s", v1alpha1.Namespace, answer)
	}
	pod := proof.Pod(v1alpha1.Namespace, stage.Unmetered)
	if err := s.Client.Create(ctx, pod); err != nil {
		return fmt.Errorf("making a pod in %s: %w", v1alpha1.Namespace, err)
	}
	var wrong error
	if stage.Held(pod) || pod.Annotations[v1alpha1.AnnotationProof] != v1alpha1.AskProof {
		wrong = fmt.Errorf("a pod that was made in %s came by the webhook: gates %v, annotations %v", v1alpha1.Namespace, pod.Spec.SchedulingGates, pod.Annotations)
	}
	return all(wrong, s.Client.Delete(ctx, pod, client.GracePeriodSeconds(0)))
}

// patience is how long the API server may take for a pod when the webhook does not
// answer: its timeout of 2 s, and half a second.
const patience = 2500 * time.Millisecond

// webhookUnreachable has a firewall swallow what the API server sends to the webhook:
// pods start all the same, within the timeout, and `status` counts them and says that
// the gate does not work. Afterwards all is as before.
func webhookUnreachable(ctx context.Context, s *stage.Stage, r *suite.Report) (err error) {
	if _, err := awaitGate(ctx, s, "active"); err != nil {
		return err
	}
	before, err := statusOf(ctx, s)
	if err != nil {
		return err
	}
	if err := s.Cluster.DropPodPort(ctx, v1alpha1.WebhookPort, true); err != nil {
		return err
	}
	open := func() error { return s.Cluster.DropPodPort(context.WithoutCancel(ctx), v1alpha1.WebhookPort, false) }
	defer func() { err = all(err, open()) }()
	// The quickest of them, lest it be the machine that is measured.
	quickest := time.Hour
	for i := range 3 {
		took, err := start(ctx, s, fmt.Sprintf("bare-%d", i))
		if err != nil {
			return err
		}
		quickest = min(quickest, took)
	}
	r.Note("quickest", quickest.Round(time.Millisecond))
	if quickest > patience {
		err = fmt.Errorf("a pod took %s to be created, want %s at most", quickest, patience)
	}
	const replicas = 2
	if deploy := s.Deploy(ctx, "slips", replicas); deploy != nil {
		return all(err, deploy)
	}
	if wait := s.Await(ctx, "slips"); wait != nil {
		return all(err, wait)
	}
	poll := stage.Poll(ctx, "status to count the pods that slipped by", func(ctx context.Context) (bool, string, error) {
		got, err := statusOf(ctx, s)
		named := strings.Contains(strings.Join(got.Slipped.Newest, " "), s.Name+"/slips-")
		return got.Slipped.Pods >= before.Slipped.Pods+replicas && named && got.Gate.State == "broken", fmt.Sprintf("%+v", got), err
	})
	if poll != nil {
		return all(err, poll)
	}
	if err := all(err, open()); err != nil {
		return err
	}
	if _, err := awaitGate(ctx, s, "active"); err != nil {
		return err
	}
	return seenAgain(ctx, s)
}

// start makes a bare pod and returns how long the API server took.
func start(ctx context.Context, s *stage.Stage, name string) (time.Duration, error) {
	if err := s.Push(ctx, s.Image(name)); err != nil {
		return 0, err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: name},
		Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(0)), DNSPolicy: corev1.DNSDefault,
			Containers: []corev1.Container{{Name: "app", Image: s.Image(name)}}},
	}
	began := time.Now()
	if err := s.Client.Create(ctx, pod); err != nil {
		return 0, fmt.Errorf("making pod %q: %w", name, err)
	}
	took := time.Since(began)
	if stage.Held(pod) || pod.Annotations[v1alpha1.AnnotationSeen] != "" {
		return took, fmt.Errorf("pod %q came by the webhook, which cannot be reached: %v", name, pod.Annotations)
	}
	return took, nil
}

// seenAgain makes a pod that the webhook must see.
func seenAgain(ctx context.Context, s *stage.Stage) error {
	if err := s.Deploy(ctx, "again", 1); err != nil {
		return err
	}
	_, err := s.AwaitPods(ctx, "again", "a pod that the webhook saw", func(pods []corev1.Pod) bool {
		return stage.Count(pods, func(p *corev1.Pod) bool { return p.Annotations[v1alpha1.AnnotationSeen] != "" }) == 1
	})
	return err
}

// distrust takes the webhook's authority out of its configuration until a dry run
// comes back ungated; the controller may have put it back before that is seen, and
// then it is taken out again.
func distrust(ctx context.Context, s *stage.Stage, authority []byte) (proof.Answer, error) {
	for range 5 {
		var hook admissionv1.MutatingWebhookConfiguration
		if err := s.Client.Get(ctx, client.ObjectKey{Name: "pacer"}, &hook); err != nil {
			return proof.Answer{}, fmt.Errorf("reading the webhook: %w", err)
		}
		next := hook.DeepCopy()
		for i := range next.Webhooks {
			next.Webhooks[i].ClientConfig.CABundle = authority
		}
		if err := s.Client.Patch(ctx, next, client.MergeFrom(&hook)); err != nil {
			return proof.Answer{}, fmt.Errorf("breaking the webhook: %w", err)
		}
		for range 20 {
			if answer := asker(s).Ask(ctx, stage.Unmetered); !answer.Gated() {
				return answer, nil
			}
		}
	}
	return proof.Answer{}, errors.New("the webhook is called although its certificate is not trusted")
}
