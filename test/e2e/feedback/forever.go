//go:build linux

package feedback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// longest is the bound of a hold on an account that denies for ever.
const longest = 40 * time.Second

// boundedHolds is a policy whose holds end soon.
func boundedHolds() *v1alpha1.PacePolicySpec {
	return &v1alpha1.PacePolicySpec{Mode: v1alpha1.Enforce, MaxHold: &metav1.Duration{Duration: longest}}
}

// deniesForEver has a registry deny every pull from the start, though it says that there
// are units. What was let go before that was known fails; the others are held and say
// why, until their bound. Then they go by drops, and the first that is denied stops them.
func deniesForEver(ctx context.Context, s *scene, r *suite.Report) error {
	s.Host.Inject(registry.Refusing(registry.HubDenial(), registry.ManifestGET))
	began := time.Now()
	names, err := s.Fleet(ctx, 6)
	if err != nil {
		return err
	}
	breaker, _, err := awaitBreaker(ctx, s, paused)
	if err != nil {
		return err
	}
	if breaker.Cause == "" || breaker.Until == nil {
		err = fmt.Errorf("a paused account does not say why or until when: %+v", breaker)
	}
	held := stage.HeldFor(core.BreakerOpen)
	pods, also := s.AwaitPods(ctx, "", "a pod to be held as BreakerOpen", func(pods []corev1.Pod) bool {
		return stage.Count(pods, held) > 0
	})
	if err = all(err, also); err != nil {
		return err
	}
	one := pods[slices.IndexFunc(pods, func(p corev1.Pod) bool { return held(&p) })].Name
	if err := s.Says(ctx, 0, []string{string(core.BreakerOpen), "429"}, "pace", "explain", "pod/"+one, "-n", s.Name); err != nil {
		return err
	}
	first, err := s.Releases(ctx, "")
	if err != nil {
		return err
	}
	// All bounds have passed, and two tries of the breaker since.
	if err := stage.Pass(ctx, time.Until(began.Add(longest+25*time.Second))); err != nil {
		return err
	}
	gone, err := s.Releases(ctx, "")
	if err != nil {
		return err
	}
	expired := 0
	for _, g := range gone {
		if g.Reason == string(core.HoldExpired) {
			expired++
		}
	}
	refused := s.Throttled(time.Time{})
	r.Note("at_first", len(first))
	r.Note("later", len(gone)-len(first))
	r.Note("expired", expired)
	if expired == 0 {
		err = fmt.Errorf("no hold ended at its bound of %s", longest)
	}
	// One is tried at a time and fails after it has asked 5 times; the next waits for
	// the breaker, 5 s and then 10 s at most, with a jitter that may be nothing at all.
	if most := len(names) * stage.Nodes / 2; len(gone) > most+len(first) {
		err = all(err, fmt.Errorf("%d pods were let go on an account that denies, want %d at most after the first %d", len(gone), most, len(first)))
	}
	if most := len(gone) * ladder(time.Since(began)) * attempts; refused > most {
		err = all(err, fmt.Errorf("the nodes met %d answers of 429, want %d at most", refused, most))
	}
	return all(err)
}

// hopeless says for long that nobody need come back: 10 minutes, longer than a case.
func hopeless(time.Time) registry.Fault {
	d := registry.GHCRDenial()
	d.RetryAfter.After = 10 * time.Minute
	return registry.Refusing(d, registry.ManifestGET)
}

// stuck is a rollout whose account is paused for longer than a case. The registry is well
// again when it is lifted.
func stuck(ctx context.Context, s *scene) (st *storm, lift func(), err error) {
	st, lift, err = brew(ctx, s, blockedApps, s.Host.Inject, hopeless)
	if err != nil {
		return nil, nil, err
	}
	if err := st.awaitPaused(ctx, paused); err != nil {
		return nil, nil, err
	}
	_, err = s.AwaitPods(ctx, "", "pods to be held as BreakerOpen", func(pods []corev1.Pod) bool {
		return stage.Count(pods, stage.HeldFor(core.BreakerOpen)) > 0
	})
	return st, lift, err
}

// resumeOverride has a person say that an account is well again: the rollout goes on at
// once, and who said it is told.
func resumeOverride(ctx context.Context, s *scene, _ *suite.Report) error {
	st, lift, err := stuck(ctx, s)
	if err != nil {
		return err
	}
	lift()
	const why = "the registry was mended"
	if out := s.Kubectl(ctx, "pace", "resume", "budget/"+s.Name, "--reason", why); out.Code != 0 {
		return fmt.Errorf("resuming: %s", out)
	}
	if err := s.Await(ctx, st.names...); err != nil {
		return err
	}
	if _, _, err := awaitBreaker(ctx, s, ok); err != nil {
		return err
	}
	return stage.Poll(ctx, "an Event of the PullBudget to tell who resumed it and why", func(ctx context.Context) (bool, string, error) {
		told := s.Kubectl(ctx, "get", "events", "-A", "-o", "jsonpath={range .items[*]}{.regarding.name}{.involvedObject.name} {.message}{\"\\n\"}{end}")
		is := func(line string) bool { return strings.HasPrefix(line, s.Name+" ") && strings.Contains(line, why) }
		return slices.ContainsFunc(strings.Split(told.Stdout, "\n"), is), told.String(), nil
	})
}

// recreated deletes the pods that are in back-off. Those that come in their place are
// held like all others: nothing pulls that did not before.
func recreated(ctx context.Context, s *scene, r *suite.Report) error {
	// The registry refuses until all is seen: what is in back-off stays there.
	st, lift, err := stuck(ctx, s)
	if err != nil {
		return err
	}
	// What was under way when the account was paused has come to its end.
	pods, err := s.AwaitPods(ctx, "", "all pods that were let go to run or to fail", func(pods []corev1.Pod) bool {
		return stage.Count(pods, func(p *corev1.Pod) bool { return stage.Held(p) || running(p) || inBackOff(p) }) == len(pods)
	})
	if err != nil {
		return err
	}
	before := map[string]bool{}
	victims := []string{"delete", "pod", "-n", s.Name}
	for i := range pods {
		before[pods[i].Name] = true
		if inBackOff(&pods[i]) {
			victims = append(victims, pods[i].Name)
		}
	}
	deleted := len(victims) - 4
	r.Note("deleted", deleted)
	if deleted == 0 {
		return errors.New("no pod is in back-off: nothing is proved")
	}
	paused := time.Now()
	if out := s.Kubectl(ctx, victims...); out.Code != 0 {
		return fmt.Errorf("deleting pods in back-off: %s", out)
	}
	gone := time.Now()
	fresh := func(p *corev1.Pod) bool { return !before[p.Name] && stage.HeldReason(p) == core.BreakerOpen }
	if _, err := s.AwaitPods(ctx, "", fmt.Sprintf("%d new pods to be held", deleted), func(pods []corev1.Pod) bool {
		return stage.Count(pods, fresh) == deleted
	}); err != nil {
		return err
	}
	bound, err := st.witness.Sights(func(s stage.Sight) bool { return s.Bound && s.At.After(paused) })
	if err == nil && len(bound) > 0 {
		err = fmt.Errorf("%d pods were bound on a paused account, the first %s", len(bound), bound[0].Pod)
	}
	f := s.Own()
	f.Kind, f.NotBefore = registry.ManifestHEAD, gone
	if n := s.Registry.Log().Count(f); n > 0 {
		err = all(err, fmt.Errorf("%d pulls began after all that were in back-off were deleted, want none", n))
	}
	if err != nil {
		return err
	}
	lift()
	if out := s.Kubectl(ctx, "pace", "resume", "budget/"+s.Name, "--reason", "the case is over"); out.Code != 0 {
		return fmt.Errorf("resuming: %s", out)
	}
	return s.Await(ctx, st.names...)
}

// running says whether a pod runs.
func running(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning }

// inBackOff says whether a container of a pod waits because its pull failed.
func inBackOff(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && pullReason(c.State.Waiting.Reason)
	})
}
