//go:build linux

package feedback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// The rollout that is throttled in its middle: 10 Deployments on 4 nodes, 40 pulls. Of
// them 8 at most are under way at once when paced, and 32 fail at once when not.
const (
	throttledApps = 10
	throttledFor  = 25 * time.Second
)

// storm is a rollout on a registry that refuses everything for a while.
type storm struct {
	*scene
	names []string
	// from and to are when the registry refused, opened is the turn that paused the
	// account, by its own word, and paused when that was seen: the turn was over then.
	from, to, opened, paused time.Time
}

// awaitPaused returns when the account was seen to be in one of the states.
func (st *storm) awaitPaused(ctx context.Context, states ...string) error {
	b, seen, err := awaitBreaker(ctx, st.scene, states...)
	if err != nil {
		return err
	}
	if b.Kept == nil || b.Kept.Since == nil {
		return fmt.Errorf("a breaker that is not ok does not keep since when: %+v", b)
	}
	st.opened, st.paused = b.Kept.Since.Time, seen
	return nil
}

// refuse makes a fault that says, where it says anything, when it will be over.
type refuse func(until time.Time) registry.Fault

// brew starts a rollout and has the registry refuse as soon as the second wave pulls.
func brew(ctx context.Context, s *scene, apps int, inject func(registry.Fault) func(), how refuse) (st *storm, lift func(), err error) {
	st = &storm{scene: s}
	if st.names, err = s.Fleet(ctx, apps); err != nil {
		return nil, nil, err
	}
	if _, err := s.AwaitCharged(ctx, stage.Limit+1); err != nil {
		return nil, nil, err
	}
	st.from = time.Now()
	return st, inject(how(st.said())), nil
}

// said is when the registry says that it will serve again. A machine that is late in
// ending the fault leaves it without a word of that.
func (st *storm) said() time.Time { return st.from.Add(throttledFor) }

// pass lets the time of the fault pass, and ends it.
func (st *storm) pass(ctx context.Context, lift func()) error {
	err := stage.Pass(ctx, time.Until(st.said()))
	lift()
	st.to = time.Now()
	return err
}

// silently refuses GETs of manifests as GHCR does: only the body says when to come back,
// and every header and HEAD says that there are units.
func silently(until time.Time) registry.Fault {
	d := registry.GHCRDenial()
	d.RetryAfter.Until = until
	return registry.Refusing(d, registry.ManifestGET)
}

// throttledMidRollout has the registry refuse for a while. Pace lets nothing more go
// after the turn that saw it, so that only what was under way fails, and goes on when the
// registry said that it may. Left alone the same rollout fails many times as often.
func throttledMidRollout(ctx context.Context, s *scene, r *suite.Report) error {
	alone, err := s.New(ctx, s.Name+"-unpaced", stage.Options{NotPaced: true, NoBudget: true})
	if err != nil {
		return err
	}
	unpaced := make(chan error, 1)
	go func() {
		st, lift, err := brew(ctx, &scene{Stage: alone}, throttledApps, alone.Host.Inject, silently)
		if err == nil {
			err = st.pass(ctx, lift)
		}
		unpaced <- err
	}()
	st, lift, err := brew(ctx, s, throttledApps, s.Host.Inject, silently)
	if err != nil {
		return err
	}
	if err := st.awaitPaused(ctx, paused); err != nil {
		return err
	}
	if err := st.pass(ctx, lift); err != nil {
		return err
	}
	if err := all(s.Await(ctx, st.names...), <-unpaced); err != nil {
		return err
	}
	paced, control := s.Throttled(time.Time{}), alone.Throttled(time.Time{})
	r.Note("unpaced_429", control)
	err = st.contained(ctx, r, false)
	if control < 5*paced {
		err = all(err, fmt.Errorf("unpaced the nodes met %d answers of 429, want 5 times the %d of the paced run at least", control, paced))
	}
	return all(err, st.resumed(ctx, r), alone.Clear(ctx))
}

// contained expects that the refusals were met by pulls that were under way alone, or
// tried one at a time, and that nothing was let go after the turn that saw the first
// where nothing may be tried.
func (st *storm) contained(ctx context.Context, r *suite.Report, mayTry bool) error {
	seen, err := failed(st.witness, "")
	if err != nil {
		return err
	}
	if len(seen) == 0 {
		return errors.New("no pull failed: nothing is proved")
	}
	for _, f := range seen {
		if got := feedback.Classify(f.Waiting, f.Message, st.Host.Name()).Class; got != feedback.Throttled {
			err = all(err, fmt.Errorf("a refusal is taken for %s: %s", got, f.Message))
		}
	}
	gone, also := st.Releases(ctx, "")
	if err = all(err, also); err != nil {
		return err
	}
	after := between(gone, seen[0].At, st.to)
	tries := between(after, st.paused, st.to)
	r.Note("tried", len(tries))
	if n := decisions(tries); n < len(tries) {
		err = fmt.Errorf("%d pods were let go to try by %d decisions, want one at a time", len(tries), n)
	}
	if late := between(gone, st.opened, st.to); len(late) > 0 && !mayTry {
		err = fmt.Errorf("%d pods were let go from the turn on that took a refusal in, want none: the first is %+v", len(late), late[0])
	}
	if !mayTry {
		err = all(err, st.unbound(gone, r))
	}
	served := 0
	for _, at := range st.charged() {
		if at.Before(st.from) {
			served++
		}
	}
	flying := len(between(gone, time.Time{}, st.to)) - served
	most := flying * ladder(st.to.Sub(st.from)) * attempts
	r.Note("under_way", flying)
	r.Note("let_go_after", len(after))
	if got := st.Throttled(time.Time{}); got == 0 || got > most {
		err = all(err, fmt.Errorf("the nodes met %d answers of 429, want some and %d at most: %d for each of %d tries of %d pulls under way",
			got, most, attempts, ladder(st.to.Sub(st.from)), flying))
	}
	if got := st.Throttled(st.to); got > 0 {
		err = all(err, fmt.Errorf("the nodes met %d answers of 429 after the registry stopped refusing, want 0", got))
	}
	if got, want := st.Charges(""), int64(len(st.names)*stage.Nodes); got != want {
		err = all(err, fmt.Errorf("the nodes were charged %d units, want %d", got, want))
	}
	return err
}

// unbound complains of pods that were bound after the turn that saw a refusal, but for
// those that had been let go by then: the scheduler had them.
func (st *storm) unbound(gone []stage.Release, r *suite.Report) error {
	bound, err := st.witness.Sights(func(s stage.Sight) bool { return s.Bound && s.At.After(st.paused) && s.At.Before(st.to) })
	r.Note("bound_after", len(bound))
	before := map[string]bool{}
	for _, g := range between(gone, time.Time{}, st.paused) {
		before[g.Pod] = true
	}
	for _, b := range bound {
		if !before[st.Name+"/"+b.Pod] {
			err = all(err, fmt.Errorf("%s was bound %s after the account was paused, and not let go before", b.Pod, b.At.Sub(st.paused)))
		}
	}
	return err
}

// soon is the longest that a reading is awaited while work waits.
const soon = 20 * time.Second

// resumed expects that the first pod went within one interval of readings from when the
// registry served again, had room for one more pull by what Pace can know, and was not
// asked to be left alone any more by what a failed pull said.
func (st *storm) resumed(ctx context.Context, r *suite.Report) error {
	gone, err := st.Releases(ctx, "")
	if err != nil {
		return err
	}
	later := between(gone, st.to, time.Now())
	if len(later) == 0 {
		return errors.New("no pod was left to go when the registry served again: nothing is proved")
	}
	arrived, err := st.arrived()
	if err != nil {
		return err
	}
	asked, err := st.asked(later[0].At)
	if err != nil {
		return err
	}
	room := refill(pulls{charged: st.charged(), arrived: arrived}, st.to, len(between(gone, time.Time{}, st.to)))
	waited := min(later[0].At.Sub(room), later[0].At.Sub(asked))
	r.Note("refilled_after", room.Sub(st.to).Round(100*time.Millisecond))
	r.Note("asked_until", asked.Sub(st.to).Round(100*time.Millisecond))
	r.Note("resumed_after", waited.Round(100*time.Millisecond))
	r.Note("seen_after", st.paused.Sub(st.from).Round(100*time.Millisecond))
	if waited > soon {
		return fmt.Errorf("the first pod went %s after it could be served, want %s at most", waited, soon)
	}
	return nil
}

// asked is until when the registry asked to be left alone by what was seen before a time,
// its own end at least. It said in how many seconds, or Pace waits for as long as its
// breaker does at most, and counts from when it sees that: kubelets on a busy machine
// tell of a failed pull late.
func (st *storm) asked(before time.Time) (time.Time, error) {
	seen, err := failed(st.witness, "")
	type answer struct {
		pod   string
		after time.Duration
	}
	known := map[answer]bool{}
	until := st.to
	for _, f := range seen {
		a := answer{f.Pod, feedback.Classify(f.Waiting, f.Message, st.Host.Name()).RetryAfter}
		if known[a] || f.At.After(before) {
			continue // a kubelet says the same again while it backs off
		}
		known[a] = true
		if end := f.At.Add(cmp.Or(a.after, hastyBreaker().Max.Duration)); end.After(until) {
			until = end
		}
	}
	return until, err
}

// charged is when the registry charged each of the pulls, in order.
func (st *storm) charged() []time.Time {
	f := st.Own()
	f.Kind, f.Charged = registry.ManifestGET, true
	var out []time.Time
	for _, e := range st.Registry.Log().Entries(f) {
		out = append(out, e.Time)
	}
	return out
}

// arrived is when each pod was seen to have its image, in order.
func (st *storm) arrived() (out []time.Time, err error) {
	seen, err := st.witness.Sights(func(s stage.Sight) bool { return s.Arrived && slices.Contains(st.names, s.App) })
	for _, s := range seen {
		out = append(out, s.At)
	}
	return out, err
}

// pulls are when each was charged, and when its image was there.
type pulls struct{ charged, arrived []time.Time }

// refill is the first time from to on at which the window has room for one more pull than
// those that were let go before and have not arrived: each may be charged until a kubelet
// tells that it was, and nothing but a 429 could come of one more.
func refill(p pulls, to time.Time, letGo int) time.Time {
	before := func(all []time.Time, at time.Time) int {
		n := 0
		for _, t := range all {
			if !t.After(at) {
				n++
			}
		}
		return n
	}
	free := func(at time.Time) int {
		window := before(p.charged, at) - before(p.charged, at.Add(-stage.Window))
		return stage.Limit - window - max(0, letGo-before(p.arrived, at))
	}
	moments := append([]time.Time{to}, p.arrived...)
	for _, c := range p.charged {
		moments = append(moments, c.Add(stage.Window))
	}
	slices.SortFunc(moments, time.Time.Compare)
	for _, at := range moments {
		if !at.Before(to) && free(at) >= 1 {
			return at
		}
	}
	return to
}

// tokenThrottled has the token service refuse logins for a while: no pull gets as far as
// the registry, but Pace has a token that is good for minutes and reads that all is well.
// So it tries a pod at a time, each later than the one before.
func tokenThrottled(ctx context.Context, s *scene, r *suite.Report) error {
	if err := introduce(ctx, s, s.Name); err != nil {
		return err
	}
	return blocked(ctx, s, r, s.Tokens.Inject, func(until time.Time) registry.Fault {
		return registry.Refusing(registry.Denial{
			Message:    "too many failed login attempts for username or IP address",
			RetryAfter: registry.RetryAfter{Form: registry.RetrySeconds, Until: until},
		}, registry.Token)
	}, true)
}

// headsThrottled has the registry refuse every HEAD for a while and serve every GET: so do
// limits of requests. A pull asks by HEAD first, and so does a reading.
func headsThrottled(ctx context.Context, s *scene, r *suite.Report) error {
	return blocked(ctx, s, r, s.Host.Inject, func(until time.Time) registry.Fault {
		f := registry.HeadThrottled()
		f.Answer.RetryAfter = registry.RetryAfter{Form: registry.RetrySeconds, Until: until}
		return f
	}, false)
}

// blockedApps are the Deployments of a rollout of the usual size.
const blockedApps = 6

// blocked runs a rollout that is refused before anything is charged. Where readings are
// refused too no pod is tried, and they are not asked for again before they may.
func blocked(ctx context.Context, s *scene, r *suite.Report, inject func(registry.Fault) func(), how refuse, read bool) error {
	st, lift, err := brew(ctx, s, blockedApps, inject, how)
	if err != nil {
		return err
	}
	states := []string{paused}
	if read {
		// It says for how long alone, and a reading that is good ends the pause at once: it
		// may be over before a status tells of it.
		states = append(states, tryingOne)
	}
	if err := st.awaitPaused(ctx, states...); err != nil {
		return err
	}
	if err := st.pass(ctx, lift); err != nil {
		return err
	}
	gone, err := s.Releases(ctx, "")
	if err != nil {
		return err
	}
	if after := between(gone, st.paused, st.to); len(after) > 0 && !read {
		err = fmt.Errorf("%d pods were let go while the account was paused and no reading came, want none", len(after))
	}
	asked := 0
	for _, kind := range []registry.Kind{registry.ManifestHEAD, registry.Token} {
		for _, e := range ownAsked(s, kind, st.from) {
			if e.Throttled() && e.Time.Before(st.said()) {
				asked++
			}
		}
	}
	r.Note("own_429", asked)
	if asked > 3 {
		err = all(err, fmt.Errorf("readings were asked for %d times and refused, want 3 at most: it was said when to come back", asked))
	}
	if err := all(err, s.Await(ctx, st.names...)); err != nil {
		return err
	}
	return all(st.contained(ctx, r, read), st.resumed(ctx, r))
}
