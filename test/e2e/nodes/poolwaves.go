//go:build linux

package nodes

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// growing is how many nodes the pool of poolWaves gets at a time, twice what the registry
// allows in a window: half of a pool may be held.
const growing = 8

// poolWaves has an autoscaler bring nodes for pods that nobody holds, of a NodePool which
// declares the taint: nodes wear it from their first moment, are let go as their DaemonSet
// can be fed, and the autoscaler waits for them rather than making others. The second half
// comes to a pool of as many that are there, so that all of it may be held.
func poolWaves(ctx context.Context, s *scene, r *suite.Report) error {
	if err := runAgent(ctx, s.Stage, labelPool); err != nil {
		return err
	}
	d, err := s.workload(ctx, "app", growing, oneANode)
	if err != nil {
		return err
	}
	d.Spec.Template.Spec.Containers[0].Image = stage.Unmetered
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if err := s.runs(ctx, growing); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "scale", "deployment", d.Name, "-n", s.Name, "--replicas="+strconv.Itoa(2*growing)); out.Code != 0 {
		return fmt.Errorf("scaling: %s", out)
	}
	if err := s.runs(ctx, 2*growing); err != nil {
		return err
	}
	// Pods may be Ready before the agent beside them.
	if _, err := s.AwaitCharged(ctx, 2*growing); err != nil {
		return err
	}
	return all(none429(s.Stage), exactly(s.Stage, 2*growing), s.grewBy(ctx, 2*growing), s.heldOnes(ctx, r))
}

// heldOnes complains unless nodes of the pool were held and went in waves.
func (s *scene) heldOnes(ctx context.Context, r *suite.Report) error {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return err
	}
	var wrong error
	var at []time.Time
	for i := range nodes {
		n := &nodes[i]
		if nodeHeld(n) {
			wrong = all(wrong, fmt.Errorf("node %s is still held", n.Name))
		}
		text := n.Annotations[v1alpha1.AnnotationRelease]
		if text == "" {
			continue // nobody held it
		}
		mark, err := v1alpha1.ParseReleaseMark(text)
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		at = append(at, mark.Time)
	}
	slices.SortFunc(at, time.Time.Compare)
	waves := s.wavesOf(at)
	r.Note("let_go", len(at))
	r.Note("waves", waves)
	if waves < 2 {
		wrong = all(wrong, fmt.Errorf("%d nodes were let go in %d waves, want 2 at least", len(at), waves))
	}
	return wrong
}
