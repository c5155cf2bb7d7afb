//go:build linux

package feedback

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/ground"
	"github.com/pullpace/pace/test/registry"
)

// The states of a breaker in a status.
const (
	ok        = "ok"
	paused    = "paused"
	tryingOne = "trying one"
)

// attempts is how often containerd asks for one manifest before a pull fails.
const attempts = 5

// ladder is how often a kubelet tries a pull at most within a time: it waits 10 s, 20 s,
// 40 s... after a failure, and more until it looks again.
func ladder(within time.Duration) int {
	n, wait := 1, 10*time.Second
	for passed := wait; passed <= within; passed += wait {
		n++
		wait *= 2
	}
	return n
}

// awaitBreaker returns when the breaker of the stage's account is in one of the states,
// and when it was seen so.
func awaitBreaker(ctx context.Context, s *scene, states ...string) (v1alpha1.BreakerStatus, time.Time, error) {
	var b v1alpha1.BreakerStatus
	err := s.AwaitAccount(ctx, "its breaker to be "+strings.Join(states, " or "), func(a v1alpha1.AccountStatus) bool {
		if a.Breaker != nil {
			b = *a.Breaker
		}
		return a.Breaker != nil && slices.Contains(states, a.Breaker.State)
	})
	return b, time.Now(), err
}

// between are the releases from a time on and before another.
func between(all []stage.Release, from, to time.Time) (some []stage.Release) {
	for _, r := range all {
		if !r.At.Before(from) && r.At.Before(to) {
			some = append(some, r)
		}
	}
	return some
}

// decisions counts those that let something go.
func decisions(all []stage.Release) int {
	ids := map[string]bool{}
	for _, r := range all {
		ids[r.Decision] = true
	}
	return len(ids)
}

// failed are the failed pulls that were seen, of an app or of all, but for those that no
// case makes: of kubelets that had not seen a pull secret yet and went without, and of a
// name server that was late on a busy machine. One that is broken answers.
func failed(w *stage.Witness, app string) ([]stage.Sight, error) {
	stray := func(message string) bool {
		return strings.Contains(message, "insufficient_scope") || strings.Contains(message, "lookup ") && strings.Contains(message, "i/o timeout")
	}
	return w.Sights(func(s stage.Sight) bool {
		return s.Message != "" && pullReason(s.Waiting) && (app == "" || s.App == app) && !stray(s.Message)
	})
}

// introduce has every kubelet see the pull secrets of those names before a pull needs
// them, by pods of an image that nobody meters: on a busy machine it takes them seconds.
func introduce(ctx context.Context, s *scene, secrets ...string) error {
	d := ground.Deployment(s.Name, "introduced", stage.Unmetered, stage.Nodes)
	for _, name := range secrets {
		d.Spec.Template.Spec.ImagePullSecrets = append(d.Spec.Template.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	return s.Await(ctx, d.Name)
}

// pullReason says whether a container waits for that reason because its pull failed.
func pullReason(waiting string) bool {
	return slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}, waiting)
}

// neverHeld complains if a pod of those apps was ever held for one of the reasons.
func neverHeld(w *stage.Witness, apps []string, reasons ...core.Reason) error {
	held, err := w.Sights(func(s stage.Sight) bool { return slices.Contains(apps, s.App) && slices.Contains(reasons, s.Held) })
	if err == nil && len(held) > 0 {
		err = fmt.Errorf("%d pods were held for %v that have no part in it; the first: %s, for %s", len(held), reasons, held[0].Pod, held[0].Held)
	}
	return err
}

// ownAsked counts what Pace itself asked the registry of a kind.
func ownAsked(s *scene, kind registry.Kind, from time.Time) []registry.Entry {
	return s.Registry.Log().Entries(registry.Filter{Host: s.Host.Name(), Kind: kind, NotBefore: from, Where: func(e registry.Entry) bool {
		return !strings.Contains(e.UserAgent, stage.Runtime)
	}})
}

// recordedFailures is the file, beside the logs, of what kubelets said of failed pulls:
// what a classifier must know.
const recordedFailures = "failures.txt"

// record keeps what kubelets said of failed pulls on the stage, in statuses and Events.
func record(ctx context.Context, s *stage.Stage, w *stage.Witness) error {
	seen, err := failed(w, "")
	if err != nil {
		return err
	}
	lines := map[string]bool{}
	for _, f := range seen {
		lines[fmt.Sprintf("%s\tstatus %s\t%q", s.Name, f.Waiting, f.Message)] = true
	}
	var events corev1.EventList
	if err := s.Client.List(ctx, &events, client.InNamespace(s.Name)); err != nil {
		return fmt.Errorf("listing Events: %w", err)
	}
	for _, e := range events.Items {
		if e.Source.Component == "kubelet" && e.Type == corev1.EventTypeWarning {
			lines[fmt.Sprintf("%s\tEvent %s\t%q", s.Name, e.Reason, e.Message)] = true
		}
	}
	file, err := os.OpenFile(filepath.Join(s.Cluster.LogsDir(), recordedFailures), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("keeping what failed: %w", err)
	}
	defer file.Close()
	for line := range lines {
		if _, err := fmt.Fprintln(file, line); err != nil {
			return fmt.Errorf("keeping what failed: %w", err)
		}
	}
	return nil
}
