//go:build linux

package mainjob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// warmed is how many nodes have the image "warm" before anything waits.
const warmed = stage.Nodes - 1

// unmoved is a stage on which nothing refills while it is looked at: what is left of
// the hour's limit after the warm-up is a wave of 8.
func unmoved(policy *v1alpha1.PacePolicySpec) stage.Options {
	return stage.Options{Limit: stage.Limit + warmed, Window: anHour, Policy: policy}
}

// shadowed plays the same start under a policy in mode Shadow and under one that
// enforces: the first decision must be the same. Then it compares what Shadow counted
// with the log of the registry.
func shadowed(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	enforced, err := s.New(ctx, s.Name+"-enforced", unmoved(nil))
	if err != nil {
		return err
	}
	for _, on := range []*stage.Stage{s, enforced} {
		if err := readied(ctx, on); err != nil {
			return err
		}
	}
	if err := settledShadow(ctx, s); err != nil {
		return err
	}
	for _, on := range []*stage.Stage{s, enforced} {
		if err := on.Resume(ctx); err != nil {
			return err
		}
	}
	want, err := enforcedHolds(ctx, enforced)
	if err != nil {
		return err
	}
	got, err := shadowHolds(ctx, s, pulls-stage.Limit)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("first decision (-Enforce +Shadow):\n%s", diff)
	}
	if err := heldForNothing(ctx, s, r); err != nil {
		return err
	}
	if _, err := enforced.AwaitCharged(ctx, watching); err != nil {
		return err
	}
	return all(noOwn429(enforced), exactly(enforced, watching), neverHeld(ctx, s), enforced.Clear(ctx))
}

// watching is what is charged on each stage: the warm-up, and a wave.
const watching = stage.Limit + warmed

// readied warms nodes up, and then starts a whole rollout while the account is paused:
// it is held until all are there, in truth or in the books.
func readied(ctx context.Context, s *stage.Stage) error {
	d, err := s.Deployment(ctx, "warm", warmed)
	if err != nil {
		return err
	}
	d.Name = "seed"
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if err := s.Await(ctx, "seed"); err != nil {
		return err
	}
	if err := s.Pause(ctx); err != nil {
		return err
	}
	_, err = s.Fleet(ctx, pulls/stage.Nodes)
	return err
}

// settledShadow returns when all pods of the rollout would be held, 8 of them have
// pulled, and a reading tells so.
func settledShadow(ctx context.Context, s *stage.Stage) error {
	if _, err := shadowHolds(ctx, s, pulls); err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "", "a wave to have pulled", func(pods []corev1.Pod) bool { return stage.Count(pods, started) == watching }); err != nil {
		return err
	}
	seen := time.Now()
	return s.AwaitAccount(ctx, "a reading that contains the wave", func(a v1alpha1.AccountStatus) bool {
		return a.SentAt != nil && a.SentAt.After(seen.Add(2*lag)) && a.Remaining == 0
	})
}

// lag is how much older than a reading a pull is that the reading contains.
const lag = 5 * time.Second

func started(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodRunning }

// shadowHold is a hold without whose it is.
type shadowHold struct {
	Pods         int64
	Reason, Says string
}

// anonymous is a hold with the host's name taken out, and without the numbers that
// follow what it lacks.
func anonymous(s *stage.Stage, pods int64, reason, message string) shadowHold {
	says, _, _ := strings.Cut(strings.ReplaceAll(message, s.Host.Name(), "host"), ";")
	return shadowHold{Pods: pods, Reason: reason, Says: says}
}

func sorted(holds []shadowHold) []shadowHold {
	slices.SortFunc(holds, func(a, b shadowHold) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return holds
}

// enforcedHolds returns what is held, and why, when the first decision after the pause
// was carried out.
func enforcedHolds(ctx context.Context, s *stage.Stage) ([]shadowHold, error) {
	if _, err := s.AwaitPods(ctx, "", "the first wave to be let go", func(pods []corev1.Pod) bool {
		return stage.Count(pods, stage.Held) == pulls-stage.Limit
	}); err != nil {
		return nil, err
	}
	var holds []shadowHold
	err := stage.Poll(ctx, "every held pod to say why", func(ctx context.Context) (bool, string, error) {
		out := s.Kubectl(ctx, "pace", "status", "-o", "json")
		var model view.Status
		if err := json.Unmarshal([]byte(out.Stdout), &model); err != nil {
			return false, "", fmt.Errorf("%w: %s", err, out)
		}
		holds = nil
		said := true
		for _, g := range model.Held {
			if g.Namespace == s.Name {
				holds = append(holds, anonymous(s, int64(g.Pods), g.Reason, g.Message))
				said = said && g.Reason == string(core.WaitingForBudget)
			}
		}
		return said && len(holds) > 0, fmt.Sprint(holds), nil
	})
	return sorted(holds), err
}

// shadowHolds returns what would be held, and why, when it is so many pods that do not
// wait for a person.
func shadowHolds(ctx context.Context, s *stage.Stage, want int64) ([]shadowHold, error) {
	var holds []shadowHold
	err := stage.Poll(ctx, fmt.Sprintf("%d pods that would be held", want), func(ctx context.Context) (bool, string, error) {
		status, err := shadowOf(ctx, s)
		if err != nil {
			return false, "", err
		}
		var sum int64
		holds = nil
		for _, h := range status.Holds {
			sum += h.Pods
			holds = append(holds, anonymous(s, h.Pods, h.Reason, h.Message))
		}
		return sum == want, fmt.Sprint(holds), nil
	})
	return sorted(holds), err
}

// shadowOf is what the stage's policy says of its Shadow.
func shadowOf(ctx context.Context, s *stage.Stage) (v1alpha1.ShadowStatus, error) {
	var policy v1alpha1.PacePolicy
	if err := s.Client.Get(ctx, client.ObjectKey{Name: s.Name}, &policy); err != nil {
		return v1alpha1.ShadowStatus{}, err
	}
	if policy.Status.Shadow == nil {
		return v1alpha1.ShadowStatus{}, errors.New("no status.shadow")
	}
	return *policy.Status.Shadow, nil
}

// heldForNothing starts pods of an image that all nodes but one have, and compares what
// Shadow counts with the log of the registry.
func heldForNothing(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	d := ground.Deployment(s.Name, "warm", s.Image("warm"), stage.Nodes)
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	// The pods of the rollout and these would have been held. Those of them that run and
	// for which no node sent a request that was charged were held for nothing.
	var status v1alpha1.ShadowStatus
	err := stage.Poll(ctx, "Shadow to count as the registry does", func(ctx context.Context) (bool, string, error) {
		pods, err := s.Pods(ctx, "")
		if err != nil {
			return false, "", err
		}
		if status, err = shadowOf(ctx, s); err != nil {
			return false, "", err
		}
		nothing := int64(stage.Count(pods, started)) - s.Charges("")
		refused := int64(s.Throttled(time.Time{}))
		state := fmt.Sprintf("%d pods and %d rollouts would have been held, %d for nothing; %d of %d answers of 429 saved; by the log %d pods pulled nothing and %d answers were 429",
			status.Pods, status.Rollouts, status.HeldForNothing, status.Saved, status.Throttled, nothing, refused)
		if status.Throttled > refused || status.Saved > status.Throttled {
			return false, "", fmt.Errorf("more answers of 429 than the registry gave: %s", state)
		}
		// Where the scheduler puts the pods is not ours: at least one finds its image.
		return nothing > 0 && status.HeldForNothing == nothing && status.Pods == pulls+stage.Nodes &&
			status.Rollouts == pulls/stage.Nodes+1 && status.Saved > 0, state, nil
	})
	r.Note("saved", status.Saved)
	r.Note("nothing", status.HeldForNothing)
	if err != nil {
		return err
	}
	return s.Says(ctx, 0, []string{"kubectl patch pacepolicy " + s.Name}, "pace", "status", "--shadow")
}

// neverHeld complains if a pod of the stage was ever held.
func neverHeld(ctx context.Context, s *stage.Stage) error {
	pods, err := s.Pods(ctx, "")
	for _, p := range pods {
		if stage.Held(&p) || stage.Released(&p) {
			err = all(err, fmt.Errorf("pod %s was held by a policy in mode Shadow: %v", p.Name, p.Annotations))
		}
	}
	return err
}
