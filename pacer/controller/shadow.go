package controller

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/pacer/shadow"
)

// How much of what Shadow saw goes into the status of a policy, and how often what
// changes with every reading is written.
const (
	shadowHolds     = 10
	shadowWorkloads = 5
	shadowEvery     = 5 * time.Second
)

// watching runs the shadow beside the engine that acts, while any policy is in mode
// Shadow and no longer: it takes as much memory as the engine itself. Only the turn
// uses it. Its zero value is ready.
type watching struct {
	shadow *shadow.Shadow // nil while no policy is in mode Shadow
	record shadow.Record
	last   engine.Decision
	// ruled says that a policy or a namespace changed since the last decision.
	ruled bool
	// told is the status of each policy as it was made at toldAt.
	told   map[string]*v1alpha1.ShadowStatus
	toldAt time.Time
}

// restore goes on with what was counted before a restart.
func (w *watching) restore(policies []v1alpha1.PacePolicy) {
	w.record = shadow.Record{}
	for i := range policies {
		if s := policies[i].Status.Shadow; s != nil {
			w.record[policies[i].Name] = tallyOf(s)
		}
	}
}

// observe takes in what the engine that acts took in.
func (w *watching) observe(now time.Time, ev engine.Event, t *kube.Tracker) {
	if ev.Failed != nil && ev.Failed.Class == feedback.Throttled {
		if policy := t.WatchedBy(ev.Failed.Pod); policy != "" {
			w.record.Throttled(now, policy)
		}
	}
	if w.shadow == nil {
		return
	}
	var pass *shadow.Pass
	if ev.Pod != nil {
		pass = passOf(ev.Pod, t)
	}
	w.shadow.Observe(now, ev, pass)
}

// passOf tells of a pod that Shadow let pass; nil: it did not.
func passOf(p *engine.Pod, t *kube.Tracker) *shadow.Pass {
	passed, ok := t.Passed(p.ID)
	if !ok {
		return nil
	}
	g, _ := t.Group(p.Group)
	return &shadow.Pass{
		Policy: passed.Policy, Namespace: g.Namespace, Workload: g.Workload, Rollout: g.Workload + "@" + g.Revision,
		HoldUntil: passed.HoldUntil, ForeignGate: passed.ForeignGate,
	}
}

// noteRules notes that what rules pods may have changed.
func (w *watching) noteRules(changes []change) {
	for _, c := range changes {
		switch o := c.object.(type) {
		case *v1alpha1.PacePolicy:
			w.ruled = true
			if c.gone {
				delete(w.record, o.Name)
			}
		case *corev1.Namespace:
			w.ruled = true
		}
	}
}

// decide lets the shadow decide, or begin, or end.
func (w *watching) decide(now time.Time, acts *engine.Engine, t *kube.Tracker) {
	policies := t.Shadows()
	if len(policies) == 0 {
		w.shadow, w.last = nil, engine.Decision{}
		t.InShadow(nil)
		return
	}
	for _, policy := range policies {
		w.record.Of(now, policy)
	}
	if w.shadow == nil {
		w.shadow = shadow.New(now, acts, t.World(), w.record)
	}
	if w.ruled {
		w.shadow.Keep(now, func(id core.PodID) bool { return t.WatchedBy(id) != "" })
		w.ruled = false
	}
	w.last = w.shadow.Decide(now, acts)
	t.InShadow(w.shadow.Held())
}

// hurry brings the probes of a decision forward to when the shadow, in which pods
// wait, would have asked: a reading costs nothing, and what Enforce would have done
// shows in its readings only. An account that is not asked at all is not asked for
// the shadow either.
func (w *watching) hurry(d engine.Decision) engine.Decision {
	if w.shadow == nil {
		return d
	}
	waits := map[core.AccountID]bool{}
	for _, a := range w.last.Accounts {
		waits[a.Account] = a.Held > 0
	}
	sooner := map[core.AccountID]time.Time{}
	for _, p := range w.last.Probes {
		if waits[p.Account] {
			sooner[p.Account] = p.At
		}
	}
	probes := make([]engine.Probe, len(d.Probes))
	for i, p := range d.Probes {
		if at, ok := sooner[p.Account]; ok && at.Before(p.At) {
			p.At = at
		}
		probes[i] = p
	}
	slices.SortStableFunc(probes, func(a, b engine.Probe) int { return a.At.Compare(b.At) })
	d.Probes = probes
	if wake := w.last.Wake; !wake.IsZero() && (d.Wake.IsZero() || wake.Before(d.Wake)) {
		d.Wake = wake
	}
	return d
}

// held counts the pods that would be held now by Reason.
func (w *watching) held() map[core.Reason]int {
	held := map[core.Reason]int{}
	for _, h := range w.last.Holds {
		if w.shadow != nil && w.shadow.Holds(h.Group) {
			held[h.Reason] += h.Count
		}
	}
	return held
}

// statuses is what each policy should say of its Shadow. What moves with every
// reading moves every few seconds there.
func (w *watching) statuses(now time.Time, t *kube.Tracker) map[string]*v1alpha1.ShadowStatus {
	if now.Sub(w.toldAt) < shadowEvery {
		return w.told
	}
	w.toldAt, w.told = now, map[string]*v1alpha1.ShadowStatus{}
	for policy, tally := range w.record {
		w.told[policy] = statusOfTally(tally)
	}
	if w.shadow == nil {
		return w.told
	}
	for _, h := range w.last.Holds {
		since, policy := w.shadow.Oldest(h.Group)
		if policy == "" {
			continue // held in truth
		}
		s := w.told[policy]
		g, known := t.Group(h.Group)
		if s == nil || !known {
			continue
		}
		if held := int64(now.Sub(since).Seconds()); held > s.LongestSeconds {
			s.LongestSeconds, s.LongestWorkload = held, g.Workload
		}
		if len(s.Holds) < shadowHolds {
			s.Holds = append(s.Holds, holdStatus(h, g.Workload, since))
		}
	}
	return w.told
}

func holdStatus(h engine.Hold, workload string, since time.Time) v1alpha1.ShadowHold {
	out := v1alpha1.ShadowHold{
		Workload: workload, Pods: int64(h.Count), Reason: string(h.Reason), Since: metav1.NewTime(since.Truncate(time.Second)),
		Message: message(h, "", time.Time{}),
	}
	if !h.Expected.IsZero() {
		out.Expected = &v1alpha1.Forecast{From: metav1.NewTime(h.Expected.From.Truncate(forecastStep)), To: metav1.NewTime(h.Expected.To.Truncate(forecastStep))}
	}
	return out
}

func statusOfTally(t *shadow.Tally) *v1alpha1.ShadowStatus {
	s := &v1alpha1.ShadowStatus{Since: metav1.NewTime(t.Since.Truncate(time.Second)), ShadowCounts: countsStatus(t.Total)}
	for _, h := range t.Hours {
		s.Hours = append(s.Hours, v1alpha1.ShadowHour{Start: metav1.NewTime(h.Start), ShadowCounts: countsStatus(h.Counts)})
	}
	for _, w := range t.Top(shadowWorkloads) {
		s.Workloads = append(s.Workloads, v1alpha1.ShadowWorkload{Workload: w.Name, Pods: w.Pods})
	}
	return s
}

func countsStatus(c shadow.Counts) v1alpha1.ShadowCounts {
	return v1alpha1.ShadowCounts{
		Pods: c.Pods, Rollouts: c.Rollouts, HeldForNothing: c.Nothing, Throttled: c.Throttled, Saved: c.Saved,
		Paged: c.Paged, LongestSeconds: int64(c.Longest.Seconds()), LongestWorkload: c.Whose,
	}
}

// tallyOf is the inverse of statusOfTally; what nobody may have counted is zero.
func tallyOf(s *v1alpha1.ShadowStatus) *shadow.Tally {
	var hours []shadow.Hour
	for _, h := range s.Hours {
		hours = append(hours, shadow.Hour{Start: h.Start.Time, Counts: countsOf(h.ShadowCounts)})
	}
	var workloads []shadow.Workload
	for _, w := range s.Workloads {
		workloads = append(workloads, shadow.Workload{Name: w.Workload, Pods: max(0, w.Pods)})
	}
	return shadow.Restore(s.Since.Time, countsOf(s.ShadowCounts), hours, workloads)
}

func countsOf(c v1alpha1.ShadowCounts) shadow.Counts {
	most := int64(math.MaxInt64 / int64(time.Second))
	return shadow.Counts{
		Pods: max(0, c.Pods), Rollouts: max(0, c.Rollouts), Nothing: max(0, c.HeldForNothing),
		Throttled: max(0, c.Throttled), Saved: max(0, c.Saved), Paged: max(0, c.Paged),
		Longest: time.Duration(min(max(0, c.LongestSeconds), most)) * time.Second, Whose: c.LongestWorkload,
	}
}

// tell lets both engines take in what this program did.
func (t *Turn) tell(now time.Time, ev engine.Event) {
	t.engine.Observe(now, ev)
	t.watch.observe(now, ev, t.world.tracker)
}

// readShadows reads what policies have counted, past the cache.
func (t *Turn) readShadows(ctx context.Context) error {
	var policies v1alpha1.PacePolicyList
	if err := t.reader.List(ctx, &policies); err != nil {
		return fmt.Errorf("reading what Shadow saw: %w", err)
	}
	t.watch.restore(policies.Items)
	return nil
}
