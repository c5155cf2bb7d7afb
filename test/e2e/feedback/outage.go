//go:build linux

package feedback

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	names, err := s.Fleet(ctx, 6)
	if err != nil {
		return err
	}
	others, err := other.Fleet(ctx, 6)
	if err != nil {
		return err
	}
	if err := awaitUnderWay(ctx, s, sample-1); err != nil {
		return err
	}
	down := time.Now()
	lift := s.Host.Inject(registry.Unreachable())
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
	gone, err := releases(ctx, s)
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

// awaitUnderWay returns when a pull was served and n more pods at least were let go whose
// pulls the registry has not seen, of two images at least: enough to see by them that it is
// down, and not one image bad.
func awaitUnderWay(ctx context.Context, s *scene, n int) error {
	return stage.Poll(ctx, fmt.Sprintf("%d pulls to be under way", n), func(ctx context.Context) (bool, string, error) {
		gone, err := releases(ctx, s)
		served := int(s.Charges(""))
		waiting := map[string]int64{}
		for _, g := range gone {
			waiting[g.App]++
		}
		maps.DeleteFunc(waiting, func(app string, n int64) bool { return n <= s.Charges(app) })
		return served > 0 && len(gone) >= served+n && len(waiting) > 1, fmt.Sprintf("%d let go, %d served, waiting %v", len(gone), served, waiting), err
	})
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
