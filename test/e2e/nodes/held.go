//go:build linux

package nodes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// nodeWaves has as many nodes register at once as three budgets feed, in a pool of as many
// that hold what they run: those that cannot be fed wear the taint until they can, and no
// pull is refused.
func nodeWaves(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	return wavesOfNodes(ctx, s, r, nil)
}

// failedOver is the same, and the leader is killed when the first have pulled.
func failedOver(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	return wavesOfNodes(ctx, s, r, killLeader)
}

func wavesOfNodes(ctx context.Context, s *stage.Stage, r *suite.Report, meanwhile func(context.Context, *stage.Stage) error) error {
	f, err := newFleet(ctx, s, pulls)
	if err != nil {
		return err
	}
	names := f.names("new", pulls)
	if err := f.register(ctx, names, 0); err != nil {
		return err
	}
	if meanwhile != nil {
		if _, err := s.AwaitCharged(ctx, stage.Limit); err != nil {
			return err
		}
		if err := meanwhile(ctx, s); err != nil {
			return err
		}
	}
	if err := f.joined(ctx, names); err != nil {
		return err
	}
	wore := f.seen.those(f.seen.wore)
	r.Note("held", len(wore))
	spread := s.Spread()
	r.Note("spread", spread.Round(100*time.Millisecond))
	var wrong error
	if len(wore) < pulls-2*stage.Limit {
		wrong = fmt.Errorf("%d nodes were held, want those of the last window at least", len(wore))
	}
	if robbed := f.seen.those(f.seen.robbed); len(robbed) > 0 {
		wrong = all(wrong, fmt.Errorf("taints of others went from %v", robbed))
	}
	return f.done(ctx, wrong, none429(s), exactly(s, pulls))
}

// nodesUnheld is the control: nodes of a pool whose registry has no PullBudget are not
// held, and refused.
func nodesUnheld(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	f, err := newFleet(ctx, s, pulls)
	if err != nil {
		return err
	}
	if err := f.register(ctx, f.names("new", pulls), 0); err != nil {
		return err
	}
	own := s.Own()
	own.Throttled = true
	if _, err := s.Registry.Log().Wait(ctx, 1, own); err != nil {
		return fmt.Errorf("nodes that nobody holds were never refused: %w", err)
	}
	if wore := f.seen.those(f.seen.wore); len(wore) > 0 {
		return fmt.Errorf("%v were held for a registry without a PullBudget", wore)
	}
	return f.clear(ctx)
}

// heldFleet is a fleet whose account is paused, with n new nodes that are held for it. It
// has twice as many others as the registry allows in a window: half of a pool may be held.
func heldFleet(ctx context.Context, s *stage.Stage, n int) (*fleet, error) {
	f, err := newFleet(ctx, s, 2*stage.Limit)
	if err != nil {
		return nil, err
	}
	if err := s.Pause(ctx); err != nil {
		return nil, err
	}
	return f, all(f.register(ctx, f.names("new", n), 0), f.held(ctx, n))
}

// editedTaint has somebody take the taint off one held node and add one of their own to
// another: the first goes and stays free, the second keeps what is not Pace's.
func editedTaint(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	f, err := heldFleet(ctx, s, 3)
	if err != nil {
		return err
	}
	names := f.names("new", 3)
	const other = "example.com/inspected"
	for _, args := range [][]string{{names[0], v1alpha1.Taint + "-"}, {names[1], other + "=yes:NoSchedule"}} {
		if out := s.Kubectl(ctx, append([]string{"taint", "node"}, args...)...); out.Code != 0 {
			return fmt.Errorf("editing a taint: %s", out)
		}
	}
	if err := f.joined(ctx, names[:1]); err != nil {
		return fmt.Errorf("a node whose taint was taken off: %w", err)
	}
	if held := f.seen.those(f.seen.held); slices.Contains(held, names[0]) || !slices.Contains(held, names[2]) {
		return fmt.Errorf("held are %v, want all but %s", held, names[0])
	}
	if err := s.Resume(ctx); err != nil {
		return err
	}
	// The agent does not tolerate the other's taint: that node is free of Pace's only.
	err = stage.Poll(ctx, "the taint to go", func(ctx context.Context) (bool, string, error) {
		var n corev1.Node
		if err := s.Client.Get(ctx, client.ObjectKey{Name: names[1]}, &n); err != nil {
			return false, "", err
		}
		return !nodeHeld(&n) && slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == other }), fmt.Sprint(n.Spec.Taints), nil
	})
	return f.done(ctx, err, f.joined(ctx, names[2:]), none429(s))
}

// rebooted boots a node again that everybody knows: it is not new.
func rebooted(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	f, err := newFleet(ctx, s, stage.Limit)
	if err != nil {
		return err
	}
	if err := s.Pause(ctx); err != nil {
		return err
	}
	known := f.names("warm", 1)[0]
	status, err := json.Marshal(map[string]any{"status": map[string]any{
		"nodeInfo":   map[string]any{"bootID": known + "-2"},
		"conditions": []any{map[string]any{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "it boots"}},
	}})
	if err != nil {
		return err
	}
	n := &corev1.Node{}
	n.Name = known
	if err := s.Client.Status().Patch(ctx, n, client.RawPatch(types.StrategicMergePatchType, status)); err != nil {
		return fmt.Errorf("booting a node again: %w", err)
	}
	// A node that is new beside it shows that holds are made.
	fresh := f.names("new", 1)
	if err := f.register(ctx, fresh, 0); err != nil {
		return err
	}
	if err := f.held(ctx, 1); err != nil {
		return err
	}
	err = stage.Poll(ctx, "the node to be Ready again", func(ctx context.Context) (bool, string, error) {
		if err := s.Client.Get(ctx, client.ObjectKey{Name: known}, n); err != nil {
			return false, "", err
		}
		return ready(n) && n.Status.NodeInfo.BootID == known+"-2", fmt.Sprint(n.Status.Conditions), nil
	})
	if err != nil {
		return err
	}
	if wore := f.seen.those(f.seen.wore); len(wore) != 1 || wore[0] != fresh[0] {
		err = fmt.Errorf("%v were held, want %v: a node that boots again is not new", wore, fresh)
	}
	return f.done(ctx, err, s.Resume(ctx), f.joined(ctx, fresh), none429(s))
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}

// allLetGo holds nodes and lets them go by one order.
func allLetGo(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	f, err := heldFleet(ctx, s, 3)
	if err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "pace", "release", "--all", "--now", "--reason", "we cannot wait"); out.Code != 0 {
		return fmt.Errorf("letting all go: %s", out)
	}
	return f.done(ctx, f.joined(ctx, f.names("new", 3)))
}

// manyNodes has 500 nodes register within a minute, fewer in a window than the budget
// feeds: all join, none is refused.
func manyNodes(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	f, err := newFleet(ctx, s, stage.Limit)
	if err != nil {
		return err
	}
	f.startsIn = startsSooner
	began := time.Now()
	names := f.names("new", crowd)
	if err := f.register(ctx, names, 50*time.Second); err != nil {
		return err
	}
	r.Note("registered", time.Since(began).Round(time.Second))
	if err := f.joined(ctx, names); err != nil {
		return err
	}
	r.Note("joined", time.Since(began).Round(time.Second))
	r.Note("held", len(f.seen.those(f.seen.wore)))
	return f.done(ctx, none429(s), exactly(s, crowd))
}

// crowd is how many nodes register within a minute.
const crowd = 500
