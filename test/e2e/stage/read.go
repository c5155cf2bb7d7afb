//go:build linux

package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/registry"
)

// pollEvery is how often the cluster is asked while waiting for it.
const pollEvery = 200 * time.Millisecond

// Poll asks until ok is true, and tells the last state in the error. An error of
// ok is a state too: the API server may be on its way back.
func Poll(ctx context.Context, what string, ok func(ctx context.Context) (done bool, state string, err error)) error {
	last := "nothing known"
	err := wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
		done, state, err := ok(ctx)
		if err != nil {
			state = err.Error()
		}
		if ctx.Err() == nil {
			last = state
		}
		return done && err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w; last: %s", what, err, last)
	}
	return nil
}

// Says returns when a command that only reads ends with the code and has said all of the
// words. What it reads is written by others after what they tell of: an Event comes a
// moment later than the condition beside it.
func (s *Stage) Says(ctx context.Context, code int, words []string, args ...string) error {
	return Poll(ctx, fmt.Sprintf("exit code %d and %q", code, words), func(ctx context.Context) (bool, string, error) {
		err := s.Kubectl(ctx, args...).Tells(code, words...)
		return err == nil, "all said", err
	})
}

// AwaitAccount returns when what is known of the stage's account is as wanted.
func (s *Stage) AwaitAccount(ctx context.Context, what string, ok func(v1alpha1.AccountStatus) bool) error {
	return Poll(ctx, what, func(ctx context.Context) (bool, string, error) {
		var budget v1alpha1.PullBudget
		if err := s.Client.Get(ctx, client.ObjectKey{Name: s.Name}, &budget); err != nil {
			return false, "", err
		}
		if len(budget.Status.Accounts) == 0 {
			return false, "no account in its status", nil
		}
		a := budget.Status.Accounts[0]
		return ok(a), fmt.Sprintf("%+v", a), nil
	})
}

// Pods returns the pods of the stage, or those of one app.
func (s *Stage) Pods(ctx context.Context, app string) ([]corev1.Pod, error) {
	var list corev1.PodList
	options := []client.ListOption{client.InNamespace(s.Name)}
	if app != "" {
		options = append(options, client.MatchingLabels{"app": app})
	}
	if err := s.Client.List(ctx, &list, options...); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	return list.Items, nil
}

// AwaitPods returns the pods of an app, or all, when they are as wanted.
func (s *Stage) AwaitPods(ctx context.Context, app, what string, ok func([]corev1.Pod) bool) (pods []corev1.Pod, err error) {
	err = Poll(ctx, what, func(ctx context.Context) (bool, string, error) {
		if pods, err = s.Pods(ctx, app); err != nil {
			return false, "", err
		}
		return ok(pods), fmt.Sprintf("%d pods, %d held, %d released", len(pods), Count(pods, Held), Count(pods, Released)), nil
	})
	return pods, err
}

// Count is how many pods are as ok wants.
func Count(pods []corev1.Pod, ok func(*corev1.Pod) bool) (n int) {
	for i := range pods {
		if ok(&pods[i]) {
			n++
		}
	}
	return n
}

// Held says whether our gate is on the pod.
func Held(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.Gate })
}

// Pass lets time pass, where that itself is what is tested.
func Pass(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// HeldReason is why the pod is held, by its condition; empty: it is not held, or
// nothing says why yet.
func HeldReason(p *corev1.Pod) core.Reason {
	for _, c := range p.Status.Conditions {
		if Held(p) && c.Type == v1alpha1.ConditionHeld {
			return core.Reason(c.Reason)
		}
	}
	return ""
}

// HeldFor says whether a pod is held for that reason.
func HeldFor(reason core.Reason) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool { return HeldReason(p) == reason }
}

// Released says whether the pod carries the mark of a release.
func Released(p *corev1.Pod) bool { return p.Annotations[v1alpha1.AnnotationRelease] != "" }

// A Release is a pod that was let go.
type Release struct {
	App, Pod string
	At       time.Time
	Reason   string
	// Decision is that of the turn that let it go.
	Decision string
	Units    int64
}

// Releases reads the marks of pods, oldest first, ties by name.
func Releases(pods []corev1.Pod) ([]Release, error) {
	var out []Release
	for i := range pods {
		p := &pods[i]
		if !Released(p) {
			continue
		}
		mark, err := v1alpha1.ParseReleaseMark(p.Annotations[v1alpha1.AnnotationRelease])
		if err != nil {
			return nil, fmt.Errorf("pod %s: %w", p.Name, err)
		}
		r := Release{App: p.Labels["app"], Pod: p.Namespace + "/" + p.Name, At: mark.Time, Reason: mark.Reason, Decision: mark.Decision}
		for _, c := range mark.Cost {
			r.Units += c.Units
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b Release) int { return a.At.Compare(b.At) })
	return out, nil
}

// Releases are those of an app's pods, or of all, that still exist, oldest first.
func (s *Stage) Releases(ctx context.Context, app string) ([]Release, error) {
	pods, err := s.Pods(ctx, app)
	if err != nil {
		return nil, err
	}
	return Releases(pods)
}

// Own selects what the nodes asked of the stage's host: all that Pace answers for.
func (s *Stage) Own() registry.Filter {
	return registry.Filter{Host: s.Host.Name(), UserAgent: Runtime}
}

// Charges are the units that the nodes were charged, of an app or of all.
func (s *Stage) Charges(app string) int64 {
	f := s.Own()
	f.Repo = app
	return s.Registry.Log().Charged(f)
}

// Throttled is how often the nodes were refused from a time on.
func (s *Stage) Throttled(notBefore time.Time) int {
	f := s.Own()
	f.NotBefore = notBefore
	return s.Registry.Log().Throttled(f)
}

// AwaitCharged returns when so many of the nodes' manifest requests were charged.
func (s *Stage) AwaitCharged(ctx context.Context, n int) ([]registry.Entry, error) {
	f := s.Own()
	f.Kind, f.Charged = registry.ManifestGET, true
	return s.Registry.Log().Wait(ctx, n, f)
}

// Spread is the time from the first of the nodes' charged requests to the last.
func (s *Stage) Spread() time.Duration {
	from, ok := s.Registry.Log().FirstCharged(s.Own())
	to, also := s.Registry.Log().LastCharged(s.Own())
	if !ok || !also {
		return 0
	}
	return to.Time.Sub(from.Time)
}

// ControllerGone returns when none of the controller's pods is left: their processes answer
// until they end.
func (l *Lab) ControllerGone(ctx context.Context) error {
	return Poll(ctx, "the controller to be gone", func(ctx context.Context) (bool, string, error) {
		var list corev1.PodList
		err := l.Client.List(ctx, &list, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{"app.kubernetes.io/name": "pacer"})
		return len(list.Items) == 0, fmt.Sprintf("%d pods", len(list.Items)), err
	})
}

// Controllers are the pods of the controller's replicas; there is one at least.
func (l *Lab) Controllers(ctx context.Context) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := l.Client.List(ctx, &list, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{"app.kubernetes.io/name": "pacer"})
	if err == nil && len(list.Items) == 0 {
		err = errors.New("there are none")
	}
	if err != nil {
		return nil, fmt.Errorf("listing the controller's pods: %w", err)
	}
	return list.Items, nil
}
