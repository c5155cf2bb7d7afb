//go:build linux

package feedback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// downFor is how long a registry is down, half of it without any answer.
const downFor = 40 * time.Second

// registryDown has a registry go down in the middle of a rollout, while another one
// serves. Nothing more is let go until it answers, and all goes on by itself.
func registryDown(ctx context.Context, s *scene, r *suite.Report) error {
	other, err := s.New(ctx, s.Name+"-other", stage.Options{})
	if err != nil {
		return err
	}
	beside, err := other.Witness(ctx)
	if err != nil {
		return err
	}
	names, quick, err := underWay(ctx, s)
	if err != nil {
		return err
	}
	others, err := other.Fleet(ctx, 6)
	if err != nil {
		return err
	}
	down := time.Now()
	lift := s.Host.Inject(registry.Unreachable())
	quick()
	breaker, at, err := awaitBreaker(ctx, s, paused)
	if err != nil {
		return err
	}
	r.Note("cause", fmt.Sprintf("%q", breaker.Cause))
	err = stage.Pass(ctx, time.Until(down.Add(downFor/2)))
	lift()
	lift = s.Host.Inject(registry.Failing(http.StatusServiceUnavailable))
	err = all(err, stage.Pass(ctx, time.Until(down.Add(downFor))))
	up := time.Now()
	lift()
	if err != nil {
		return err
	}
	gone, err := s.Releases(ctx, "")
	if err != nil {
		return err
	}
	r.Note("let_go_before_paused", len(between(gone, down, at)))
	if after := between(gone, at, up); len(after) > 0 {
		err = fmt.Errorf("%d pods were let go to a registry that was known to be down, want none", len(after))
	}
	err = all(err, other.Await(ctx, others...), s.Await(ctx, names...), alone(beside, others))
	if err != nil {
		return err
	}
	_, _, err = awaitBreaker(ctx, s, ok)
	return all(err, classified(s, feedback.Reset, feedback.Timeout), other.Clear(ctx))
}

// sample is how many pods of an account must have pulled or failed before the share of
// those that failed says anything of it.
const sample = 5

// slowFor is how long a pull takes until the registry goes down: many are under way then,
// however late it is seen that they are.
const slowFor = 5 * time.Second

// underWay starts a rollout of a registry that served before and takes long now, until
// quick, and returns when as many pulls are under way as it takes to see that it is down,
// of two images at least: else the image could be bad.
func underWay(ctx context.Context, s *scene) (names []string, quick func(), err error) {
	if err := s.Deploy(ctx, "served", 1); err != nil {
		return nil, nil, err
	}
	if err := all(s.Await(ctx, "served"), s.Pause(ctx)); err != nil {
		return nil, nil, err
	}
	if names, err = s.Fleet(ctx, 6); err != nil {
		return nil, nil, err
	}
	// Pace looks at images before it lets anything of them go, and is not kept waiting.
	looks := registry.Filter{Host: s.Host.Name(), Kind: registry.ManifestHEAD, Where: func(e registry.Entry) bool {
		return slices.Contains(names, e.Repo) && !strings.Contains(e.UserAgent, stage.Runtime)
	}}
	if _, err := s.Registry.Log().Wait(ctx, len(names), looks); err != nil {
		return nil, nil, fmt.Errorf("waiting for Pace to look at images: %w", err)
	}
	quick = slow(s, names)
	if err := s.Resume(ctx); err != nil {
		return nil, nil, err
	}
	return names, quick, stage.Poll(ctx, fmt.Sprintf("%d pulls to be under way", sample), func(ctx context.Context) (bool, string, error) {
		gone, err := s.Releases(ctx, "")
		gone = slices.DeleteFunc(gone, func(r stage.Release) bool { return !slices.Contains(names, r.App) })
		apps := map[string]bool{}
		for _, r := range gone {
			apps[r.App] = true
		}
		return len(gone) >= sample && len(apps) > 1, fmt.Sprintf("%d of %d apps were let go", len(gone), len(apps)), err
	})
}

// slow has the registry take its time for the first question of each pull of those images,
// until quick. It answers Pace, which asks for another, as ever.
func slow(s *scene, repos []string) (quick func()) {
	var lifts []func()
	for _, repo := range repos {
		lifts = append(lifts, s.Host.Inject(registry.Fault{Name: "slow", Kinds: []registry.Kind{registry.ManifestHEAD}, Repo: repo, Delay: slowFor}))
	}
	return func() {
		for _, lift := range lifts {
			lift()
		}
	}
}

// classified complains of a failure that is taken for something else.
func classified(s *scene, want ...feedback.Class) error {
	seen, err := failed(s.witness, "")
	for _, f := range seen {
		got := feedback.Classify(f.Waiting, f.Message, s.Host.Name()).Class
		right := false
		for _, c := range want {
			right = right || got == c
		}
		if !right {
			err = all(err, fmt.Errorf("a failure is taken for %s, want one of %v: %s", got, want, f.Message))
		}
	}
	return err
}

// nodeApart is a node without a replica of the controller: from another one readings
// would fail too.
func nodeApart(ctx context.Context, s *scene) (*cluster.Node, error) {
	var own corev1.PodList
	if err := s.Client.List(ctx, &own, client.InNamespace(v1alpha1.Namespace)); err != nil {
		return nil, err
	}
	for _, node := range s.Cluster.Nodes() {
		if !slices.ContainsFunc(own.Items, func(p corev1.Pod) bool { return p.Spec.NodeName == node.Name() && strings.HasPrefix(p.Name, "pacer-") }) {
			return node, nil
		}
	}
	return nil, errors.New("a replica of the controller is on every node")
}

// dnsOfOneNode breaks the registry's name for one node of four. Its pulls fail, the
// account is nobody's to pause for that, and the pods of other nodes go on.
func dnsOfOneNode(ctx context.Context, s *scene, r *suite.Report) error {
	node, err := nodeApart(ctx, s)
	if err != nil {
		return err
	}
	node.SetNameBroken(s.Host.Name(), true)
	defer node.SetNameBroken(s.Host.Name(), false)
	names, err := s.Fleet(ctx, 6)
	if err != nil {
		return err
	}
	// All pods of the other nodes get their images; then all that is left is there.
	elsewhere := len(names) * (stage.Nodes - 1)
	if _, err := s.AwaitCharged(ctx, elsewhere); err != nil {
		return err
	}
	seen, err := failed(s.witness, "")
	if err != nil {
		return err
	}
	pods := map[string]bool{}
	for _, f := range seen {
		pods[f.Pod] = true
		if f.Node != node.Name() {
			err = all(err, fmt.Errorf("%s failed on %s, whose name server is well: %s", f.Pod, f.Node, f.Message))
		}
	}
	r.Note("failed_there", len(pods))
	if len(pods) == 0 {
		err = all(err, fmt.Errorf("no pull failed on %s: nothing is proved", node.Name()))
	}
	err = all(err, classified(s, feedback.DNS), neverHeld(s.witness, names, core.BreakerOpen, core.ImageFailing))
	err = all(err, s.Says(ctx, 3, []string{node.Name(), string(feedback.DNS)}, "pace", "doctor", "node/"+node.Name()))
	node.SetNameBroken(s.Host.Name(), false)
	return all(err, s.Await(ctx, names...))
}
