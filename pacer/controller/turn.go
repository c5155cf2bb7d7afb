package controller

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/heartbeat"
	"github.com/pullpace/pace/pacer/kube"
)

// The pace of turns. Changes that come together are taken in together; a turn is
// taken at least every turnIdle, so that the heartbeat stays fresh.
const (
	turnDebounce = 50 * time.Millisecond
	turnIdle     = 5 * time.Second
)

// Turn owns the engine: it takes in what changed, lets the engine decide, carries
// the decision out and writes down what is known. One replica at a time runs it,
// in one goroutine.
type Turn struct {
	engine *taped
	world  *world
	feed   *feed
	clock  clock.PassiveClock

	releaser  *releaser
	prober    *prober
	books     *bookkeeper
	explainer *explainer
	restorer  *restorer
	disrupt   *disruption
	doubter   *doubter
	alarms    *alarms
	hinter    *hinter
	heart     *heartbeat.Writer
	metrics   *Metrics
	answers   *answers
	orders    *orders
	claims    *claims
	argo      *argoWatch
	again     goneOn
	aborted   goneOn
	events    recorder.EventRecorder
	watch     watching
	// slips is told when a pod slipped by the webhook; nil: nobody wants to know.
	slips func()
	// slipped is how many had when somebody was told last.
	slipped int

	cache  cache.Cache
	reader client.Reader
	writes writes
	// rights are those on nodes, excess the held nodes of which too many are held,
	// looseUntil when a node may be tidied up again.
	rights     *nodeRights
	excess     []kube.NodeRelease
	looseUntil map[types.UID]time.Time
	// crowdedAt is when pods of a workload last went that were too many to tell of each.
	crowdedAt map[kube.Owner]time.Time
	// version and config are what a trace of the engine begins with.
	version string
	config  engine.Config
}

// NeedLeaderElection says that one replica takes turns.
func (t *Turn) NeedLeaderElection() bool { return true }

// Start takes turns until ctx ends. It implements manager.Runnable.
func (t *Turn) Start(ctx context.Context) error {
	stop, err := t.feed.subscribe(ctx, t.cache)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer stop()
	t.argo.start(ctx)
	defer t.claims.lead(false)
	if err := t.begin(ctx); err != nil {
		return err
	}
	defer t.prober.wait()
	defer t.hinter.wait()
	for {
		wake, err := t.take(ctx)
		if err != nil {
			// What was not written is written by a later turn; until one is completed
			// the heartbeat grows old, and people are told so.
			log.FromContext(ctx).Error(err, "turn not completed")
		}
		if !t.sleep(ctx, wake) {
			return nil
		}
	}
}

// sleep waits until something changed, then a moment for what comes with it, or
// until wake. It reports false when ctx ended.
func (t *Turn) sleep(ctx context.Context, wake time.Time) bool {
	timer := time.NewTimer(max(0, min(wake.Sub(t.clock.Now()), turnIdle)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	case <-t.feed.signal:
	}
	timer.Reset(turnDebounce)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// begin gives the engine back what survived, then everything that is there.
// Nothing is granted until a reading was sent after this.
func (t *Turn) begin(ctx context.Context) error {
	// Read past the cache: the last leader may have written a moment ago.
	var budgets v1alpha1.PullBudgetList
	if err := t.reader.List(ctx, &budgets); err != nil {
		return fmt.Errorf("reading the books: %w", err)
	}
	var state engine.State
	for i := range budgets.Items {
		state.Accounts = append(state.Accounts, budgets.Items[i].States()...)
	}
	if err := t.readShadows(ctx); err != nil {
		return err
	}
	now := t.clock.Now()
	if t.engine.tape != nil {
		t.engine.tape.begin(now, t.version, t.config)
	}
	t.engine.Restore(now, state)
	t.world.tracker.NodesHoldable(now, t.rights.look(ctx, now, true))
	changes := t.feed.take()
	t.engine.Replace(now, engine.World{Events: t.world.observe(now, changes)})
	t.orders.restore(budgets.Items)
	t.alarms.restore(budgets.Items)
	t.orders.observe(now, t.feed.takeOutdated())
	t.orders.observe(now, changes)
	t.claims.lead(true)
	t.hearSteps(now, changes)
	log.FromContext(ctx).Info("leading", "objects", len(changes), "accounts", len(state.Accounts))
	return nil
}

// take is one turn. It returns when the next one is due.
func (t *Turn) take(ctx context.Context) (time.Time, error) {
	now := t.clock.Now()
	began := now
	t.observe(ctx, now)
	d := t.engine.Decide(now)
	t.holdNodes(ctx, d)
	released, err := t.act(ctx, d)
	if released > 0 {
		// What went changes what is free; say it as it is now.
		now = t.clock.Now()
		d = t.engine.Decide(now)
	}
	t.watch.decide(now, t.engine.Engine, t.world.tracker)
	d = t.watch.hurry(d)
	t.prober.ask(ctx, now, d.Probes, t.budgetOf)
	t.prober.lookAt(ctx, t.world.tracker.NewImages(), t.budgetOf)
	t.restorer.settle(ctx, now, t.world.tracker)
	t.disrupt.settle(ctx, now, t.world, d)
	t.explainer.explain(ctx, t.world.tracker, d)
	t.explainer.grantNodes(t.world.tracker)
	t.doubter.tell(ctx, t.world, d)
	t.alarms.tell(ctx, t.world, d)
	t.answers.set(d, t.world.tracker)
	t.answerSteps(now, d)
	t.askAgain(ctx, now)
	t.abortBad(ctx, now, d)
	page := t.page(d, false)
	t.metrics.observe(d, page.state, t.world.tracker)
	t.metrics.shadow.observe(t.watch.record, t.watch.held())
	if err == nil {
		err = t.books.write(ctx, now, page)
	}
	if err != nil {
		t.metrics.turnFailed()
		return now.Add(time.Second), err
	}
	t.metrics.turnDone(t.clock.Now(), t.clock.Since(began))
	if err := t.heart.Beat(ctx, t.clock.Now()); err != nil {
		return now.Add(time.Second), err
	}
	return t.next(d, now, released), nil
}

// observe takes in everything that became known since the last turn.
func (t *Turn) observe(ctx context.Context, now time.Time) {
	changes := t.feed.take()
	t.watch.noteRules(changes)
	for _, ev := range t.world.observe(now, changes) {
		t.noteFailed(ctx, ev)
		t.tell(now, ev)
	}
	for _, hint := range t.hinter.take() {
		for _, ev := range t.world.tracker.Hint(now, hint) {
			t.noteFailed(ctx, ev)
			t.tell(now, ev)
		}
	}
	for _, ev := range t.prober.take() {
		if r := ev.Reading; r != nil && r.Status == http.StatusTooManyRequests {
			t.world.tracker.Throttled(now, r.Account)
		}
		t.tell(now, ev)
	}
	t.hinter.ask(ctx, t.world.tracker.Wordless(now, hintsAtOnce))
	slipped := t.world.tracker.SlippedPods()
	if slipped > t.slipped && t.slips != nil {
		t.slips()
	}
	t.slipped = slipped
	t.hearSteps(now, changes)
	t.orders.observe(now, t.feed.takeOutdated())
	t.orders.observe(now, changes)
	t.readNodes(ctx, now)
}

// noteFailed counts a failed attempt to pull.
func (t *Turn) noteFailed(ctx context.Context, ev engine.Event) {
	f := ev.Failed
	if f == nil {
		return
	}
	t.metrics.failed(*f)
	if f.Class == feedback.Throttled && f.Account != "" {
		log.FromContext(ctx).Info("a pull was throttled", "account", f.Account)
	}
}

// next is when the next turn is due if nothing changes before.
func (t *Turn) next(d engine.Decision, now time.Time, released int) time.Time {
	wake := now.Add(turnIdle)
	consider := func(at time.Time) {
		if !at.IsZero() && at.Before(wake) {
			wake = at
		}
	}
	consider(d.Wake)
	for _, p := range d.Probes {
		if !t.prober.busy(p.Account, now) {
			consider(p.At)
		}
	}
	if released > 0 && len(d.Releases) > 0 {
		consider(now)
	}
	// A turn that is due already must not make the next ones spin.
	if soonest := now.Add(turnDebounce); wake.Before(soonest) {
		wake = soonest
	}
	return wake
}

// page is what the bookkeeper writes down. booked says that releases wait for it.
func (t *Turn) page(d engine.Decision, booked bool) page {
	return page{decision: d, state: t.engine.Export(t.clock.Now()), world: t.world, orders: t.orders, rights: t.rights, booked: booked, shadows: t.watch.statuses(t.clock.Now(), t.world.tracker)}
}

// budgetOf is the PullBudget that declares an account; nil: none any more.
func (t *Turn) budgetOf(id core.AccountID) *v1alpha1.PullBudget {
	return t.world.budgets[t.world.tracker.BudgetOf(id)]
}

// egressOf is the egress group of an account; empty: every node's.
func (t *Turn) egressOf(id core.AccountID) string { return t.world.tracker.EgressOf(id) }

// say records an Event on a pod or Job about why it was let go or not.
func (t *Turn) say(object client.Object, kind string, reason core.Reason, note string) {
	t.events.Eventf(object, nil, kind, string(reason), "Release", "%s", note)
}
