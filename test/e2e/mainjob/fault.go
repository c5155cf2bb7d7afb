//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// disturbed runs a whole rollout of 24 pulls, does something once when returns, in
// the middle of a wave, and waits for the end. It returns when the fault
// was injected.
func disturbed(ctx context.Context, s *stage.Stage, when func(context.Context, *stage.Stage) error, fault func() error) (time.Time, error) {
	names, err := s.Fleet(ctx, pulls/stage.Nodes)
	if err != nil {
		return time.Time{}, err
	}
	if err := when(ctx, s); err != nil {
		return time.Time{}, err
	}
	at := time.Now()
	if err := fault(); err != nil {
		return at, err
	}
	return at, s.Await(ctx, names...)
}

// served waits for the first pull.
func served(ctx context.Context, s *stage.Stage) error {
	_, err := s.AwaitCharged(ctx, 1)
	return err
}

// pulling waits until the second wave pulls: the first is 8 units.
func pulling(ctx context.Context, s *stage.Stage) error {
	_, err := s.AwaitCharged(ctx, stage.Limit+1)
	return err
}

// beyond waits until more than n pods were let go; they take a moment from there to
// their pull.
func beyond(n int) func(context.Context, *stage.Stage) error {
	return func(ctx context.Context, s *stage.Stage) error {
		_, err := s.AwaitPods(ctx, "", fmt.Sprintf("more than %d releases", n), func(pods []corev1.Pod) bool {
			return stage.Count(pods, stage.Released) > n
		})
		return err
	}
}

// foreignBurst has somebody else take half the limit at once, unannounced.
func foreignBurst(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	// In the first wave, as its first pull is served: later Pace spends every unit as
	// it comes back, and there would be nothing to take.
	return surprised(ctx, s, r, served, func() error {
		taken := s.Host.Spend(s.Identity(), stage.Limit/2)
		r.Note("burst", taken)
		if taken == 0 {
			return errors.New("nothing was left to take: the burst came too late")
		}
		return nil
	})
}

// limitCut has the registry allow half as much from one moment to the next.
func limitCut(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	return surprised(ctx, s, r, beyond(stage.Limit), func() error {
		s.Host.SetLimit(0, stage.Limit/2)
		return nil
	})
}

// attempts is how often containerd asks for one manifest before a pull fails.
const attempts = 5

// surprised expects that only pulls that were under way at the fault are refused.
func surprised(ctx context.Context, s *stage.Stage, r *suite.Report, when func(context.Context, *stage.Stage) error, fault func() error) error {
	at, err := disturbed(ctx, s, when, fault)
	if err != nil {
		return err
	}
	releases, err := s.Releases(ctx, "")
	if err != nil {
		return err
	}
	f := s.Own()
	f.Kind, f.Charged = registry.ManifestGET, true
	flying := underWay(releases, s.Registry.Log().Entries(f), known(s, at), at)
	r.Note("under_way", flying)
	// Each pull under way may fail once, and containerd asks 5 times for it.
	if got, most := s.Throttled(time.Time{}), attempts*flying; got > most {
		return fmt.Errorf("the nodes met %d answers of 429, want %d at most: %d for each of %d pulls under way", got, most, attempts, flying)
	}
	return exactly(s, pulls)
}

// known is when Pace must have known of what happened at a time. It asks for a
// reading only when the answer before was taken in, so that the second that it asks
// for after that time proves that it had the first. What it asks of images tells it
// no limit.
func known(s *stage.Stage, at time.Time) time.Time {
	f := registry.Filter{Host: s.Host.Name(), Kind: registry.ManifestHEAD, Repo: "probe", NotBefore: at}
	if asked := s.Registry.Log().Entries(f); len(asked) > 1 {
		return asked[1].Time
	}
	return at
}

// underWay counts the pulls that were let go before known and not served before
// at: all pulls cost one unit.
func underWay(releases []stage.Release, charged []registry.Entry, known, at time.Time) (n int) {
	for _, r := range releases {
		if !r.At.After(known) {
			n++
		}
	}
	for _, e := range charged {
		if e.Time.Before(at) {
			n--
		}
	}
	return n
}

// headersVanish has the registry send no limit any more, in the middle of a wave.
func headersVanish(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	w, err := s.Witness(ctx)
	if err != nil {
		return err
	}
	_, err = disturbed(ctx, s, pulling, func() error {
		s.Host.Inject(registry.Fault{Name: "headers vanish", Headers: registry.HeadersMissing})
		return nil
	})
	if err != nil {
		return err
	}
	r.Note("spread", s.Spread().Round(100*time.Millisecond))
	return all(keptPace(ctx, s, w), noOwn429(s), exactly(s, pulls))
}

// keptPace complains of pods that were let go later than by what Pace can know without
// headers: a pull counts from when its kubelet tells that its image is there, for a window;
// what others may have taken while nothing was read counts for one more, and 15 % of the
// bound of 20 s are for turns.
func keptPace(ctx context.Context, s *stage.Stage, w *stage.Witness) error {
	gone, err := s.Releases(ctx, "")
	if err != nil {
		return err
	}
	arrived, err := w.Sights(func(s stage.Sight) bool { return s.Arrived })
	if err == nil && (len(gone) != pulls || len(arrived) != pulls) {
		err = fmt.Errorf("%d pods were let go and %d have their image, want %d", len(gone), len(arrived), pulls)
	}
	if err != nil {
		return err
	}
	const most = 2*stage.Window + 20*time.Second*15/100
	for i, rel := range gone[stage.Limit:] {
		if late := rel.At.Sub(arrived[i].At); late > most {
			err = all(err, fmt.Errorf("%s, number %d, was let go %s after number %d had its image, want %s at most", rel.Pod, i+stage.Limit+1, late, i+1, most))
		}
	}
	return err
}

// foreignSteady has somebody else take a quarter of the limit, evenly, from before the
// rollout until after it. A newcomer whose units come back and go while our own pulls have
// the account at zero can be seen in no reading; one who came before the rollout is, since
// a reading older than its window is read again before anything goes.
func foreignSteady(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	const every = stage.Window / (stage.Limit / 4)
	client, stop := context.WithCancel(ctx)
	defer stop()
	taken := make(chan int64, 1)
	go func() { taken <- spendEvery(client, s, every) }()
	if err := stage.Pass(ctx, stage.Window+every); err != nil {
		return err
	}
	names, err := s.Fleet(ctx, pulls/stage.Nodes)
	if err == nil {
		err = s.Await(ctx, names...)
	}
	stop()
	r.Note("foreign", <-taken)
	return all(err, noOwn429(s), exactly(s, pulls))
}

// spendEvery takes a unit at once and then at even steps until ctx ends. It
// returns how many it was given.
func spendEvery(ctx context.Context, s *stage.Stage, step time.Duration) (taken int64) {
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		taken += s.Host.Spend(s.Identity(), 1)
		select {
		case <-ctx.Done():
			return taken
		case <-tick.C:
		}
	}
}
