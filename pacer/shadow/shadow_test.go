package shadow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// TestTheFirstDecisionIsThatOfEnforce lets the same pods start in both modes; in
// Shadow they are on their nodes and pulling before the first decision.
func TestTheFirstDecisionIsThatOfEnforce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		remaining int64
		phase     engine.PodPhase
	}{
		"none are bound yet":              {remaining: 7, phase: engine.PodUnbound},
		"all are bound":                   {remaining: 7, phase: engine.PodBound},
		"all have pulled":                 {remaining: 7, phase: engine.PodPulled},
		"there is enough for all of them": {remaining: 10, phase: engine.PodBound},
		"nothing is left":                 {remaining: 0, phase: engine.PodBound},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			enforce, watch := makePair(makeWorld(10), tc.remaining), makePair(makeWorld(10), tc.remaining)
			now := start.Add(time.Second)
			for i := range 10 {
				held := makePod(i, engine.PodGated)
				held.HoldUntil = pass.HoldUntil
				enforce.acts.Observe(now, engine.Event{Pod: &held})
				seen := makePod(i, tc.phase)
				watch.observe(now, engine.Event{Pod: &seen})
			}
			want, got := enforce.acts.Decide(now), watch.shadow.Decide(now, watch.acts)
			want.ID, got.ID = "", ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("first decision (-Enforce +Shadow):\n%s", diff)
			}
			if released := 10 - len(watch.shadow.groups[web]); int64(released) != tc.remaining {
				t.Errorf("%d would have gone, want %d", released, tc.remaining)
			}
		})
	}
}

// hubLog is a registry that allows 10 pulls in any minute.
type hubLog struct{ charges []time.Time }

func (l *hubLog) remaining(now time.Time) int64 {
	left := int64(10)
	for _, at := range l.charges {
		if now.Sub(at) < time.Minute {
			left--
		}
	}
	return left
}

// TestHoldsEndWhenEnforceWouldEndThem runs 35 pods against 10 pulls a minute in both
// modes and compares when they go: in truth, and in the shadow's books, while all of
// them pull as soon as the registry lets them.
func TestHoldsEndWhenEnforceWouldEndThem(t *testing.T) {
	t.Parallel()
	const pods, seconds, slack = 35, 240, 5
	truth, books := enforced(pods, seconds), watched(t, pods, seconds)
	for s := slack; s < seconds-slack; s++ {
		if books[s] < truth[s-slack] || books[s] > truth[s+slack] {
			t.Errorf("after %d s %d pods have gone under Enforce and %d would have by Shadow's books", s, truth[s], books[s])
		}
	}
	if truth[seconds-1] != pods || books[seconds-1] != pods {
		t.Errorf("in the end %d and %d of %d pods have gone", truth[seconds-1], books[seconds-1], pods)
	}
}

// enforced counts the pods that went by each second when they are held.
func enforced(pods, seconds int) (gone []int) {
	p := makePair(makeWorld(pods), 10)
	registry := &hubLog{}
	state := make([]engine.PodPhase, pods)
	asked := start
	for s := range seconds {
		now := start.Add(time.Duration(s) * time.Second)
		n := 0
		for i := range pods {
			switch state[i] {
			case "":
				state[i] = engine.PodGated
			case engine.PodBound:
				registry.charges = append(registry.charges, now)
				state[i] = engine.PodPulled
			}
			seen := makePod(i, state[i])
			p.acts.Observe(now, engine.Event{Pod: &seen})
		}
		d := p.acts.Decide(now)
		for _, r := range d.Releases {
			for range r.Count {
				for i := range pods {
					if state[i] == engine.PodGated {
						p.acts.Observe(now, engine.Event{Released: &engine.Booking{Pod: podID(i), Decision: d.ID}})
						state[i] = engine.PodBound
						seen := makePod(i, engine.PodBound)
						p.acts.Observe(now, engine.Event{Pod: &seen})
						break
					}
				}
			}
		}
		for _, probe := range d.Probes {
			if !probe.At.After(now) && now.After(asked) {
				asked = now
				p.acts.Observe(now, reading(now, registry.remaining(now), 10, time.Minute))
			}
		}
		for i := range pods {
			if state[i] != engine.PodGated {
				n++
			}
		}
		gone = append(gone, n)
	}
	return gone
}

// watched counts the pods that would have gone by each second when none is held.
func watched(t *testing.T, pods, seconds int) (gone []int) {
	p := makePair(makeWorld(pods), 10)
	registry := &hubLog{}
	asked := start
	pulled := make([]bool, pods)
	refused := 0
	for s := range seconds {
		now := start.Add(time.Duration(s) * time.Second)
		for i := range pods {
			i = pods - 1 - i // those that would go last ask first
			if s == 0 {
				seen := makePod(i, engine.PodBound)
				p.observe(now, engine.Event{Pod: &seen})
			}
			switch {
			case pulled[i] || s != 1 && (s+7*i)%20 != 0:
			case registry.remaining(now) > 0:
				registry.charges = append(registry.charges, now)
				pulled[i] = true
				seen := makePod(i, engine.PodPulled)
				node := engine.Node{ID: nodeID(i), Images: []core.Image{image}}
				p.observe(now, engine.Event{Pod: &seen}, engine.Event{Node: &node})
			default:
				refused++
				p.observe(now, engine.Event{Failed: refusal(i, now)})
			}
		}
		p.acts.Decide(now)
		d := p.shadow.Decide(now, p.acts)
		for _, probe := range d.Probes {
			if !probe.At.After(now) && now.After(asked) {
				asked = now
				p.observe(now, reading(now, registry.remaining(now), 10, time.Minute))
			}
		}
		gone = append(gone, pods-len(p.shadow.groups[web]))
	}
	total := p.total()
	if total.Pods != 25 || total.Rollouts != 1 || total.Nothing != 0 {
		t.Errorf("counted %+v, want 25 pods of 1 rollout, none of them for nothing", total)
	}
	if total.Throttled != int64(refused) || total.Saved == 0 || total.Saved > total.Throttled {
		t.Errorf("%d answers of 429: counted %d, %d of them saved", refused, total.Throttled, total.Saved)
	}
	return gone
}

// TestAnswersOf429ThatWouldNotHaveComeCloseNoAccount refuses a pod that is let go while
// pods that are not hold what it lacks, and one that nothing of ours stands in the way of.
func TestAnswersOf429ThatWouldNotHaveComeCloseNoAccount(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pods       int
		wantClosed bool
	}{
		"others are in the way":    {pods: 3},
		"nothing of ours is in it": {pods: 1, wantClosed: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := makePair(makeWorld(3), 1)
			now := start.Add(time.Second)
			for i := range tc.pods {
				seen := makePod(i, engine.PodBound)
				p.observe(now, engine.Event{Pod: &seen})
			}
			p.shadow.Decide(now, p.acts)
			p.observe(now.Add(time.Second), engine.Event{Failed: refusal(0, now.Add(time.Second))})
			d := p.shadow.Decide(now.Add(2*time.Second), p.acts)
			if got := d.Accounts[0].Breaker.State == feedback.Paused; got != tc.wantClosed {
				t.Errorf("account closed by the 429: %v, want %v", got, tc.wantClosed)
			}
			if total := p.total(); total.Throttled != 1 || total.Saved != 0 {
				t.Errorf("counted %+v, want 1 answer of 429 and none of it saved", total)
			}
		})
	}
}

// TestHeldForNothing has pods wait of which some find their image on the node.
func TestHeldForNothing(t *testing.T) {
	t.Parallel()
	w := makeWorld(4)
	for i, ev := range w.Events {
		if ev.Node != nil && ev.Node.ID != nodeID(3) {
			w.Events[i].Node.Images = []core.Image{image}
		}
	}
	p := makePair(w, 0)
	now := start.Add(time.Second)
	for _, phase := range []engine.PodPhase{engine.PodUnbound, engine.PodBound, engine.PodPulled} {
		for i := range 4 {
			seen := makePod(i, phase)
			p.observe(now, engine.Event{Pod: &seen})
		}
		p.shadow.Decide(now, p.acts)
		now = now.Add(time.Second)
	}
	want := Counts{Pods: 4, Rollouts: 1, Nothing: 3}
	if diff := cmp.Diff(want, p.total()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	for i := range 4 {
		p.observe(now.Add(20*time.Minute), engine.Event{PodGone: podID(i)})
	}
	want.Longest, want.Whose = 20*time.Minute+4*time.Second, "Deployment/shop/web"
	if diff := cmp.Diff(want, p.total()); diff != "" {
		t.Errorf("counts after the pods are gone (-want +got):\n%s", diff)
	}
}

// TestWhatWasThereBeforeIsSeenAsItIs begins while pods run that Shadow let pass.
func TestWhatWasThereBeforeIsSeenAsItIs(t *testing.T) {
	t.Parallel()
	w := makeWorld(2)
	before := makePod(0, engine.PodBound)
	w.Events = append(w.Events, engine.Event{Pod: &before})
	p := makePair(w, 0)
	now := start.Add(time.Second)
	for i := range 2 {
		seen := makePod(i, engine.PodBound)
		p.observe(now, engine.Event{Pod: &seen})
	}
	p.shadow.Decide(now, p.acts)
	if diff := cmp.Diff(map[string]int{"shop": 1}, p.shadow.Held()); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	p.shadow.Keep(now, func(core.PodID) bool { return false })
	if diff := cmp.Diff(map[string]int{}, p.shadow.Held()); diff != "" {
		t.Errorf("held after the policy changed (-want +got):\n%s", diff)
	}
}

// TestLongHoldsWouldPage keeps a pod for longer than the usual alert waits.
func TestLongHoldsWouldPage(t *testing.T) {
	t.Parallel()
	p := makePair(makeWorld(1), 0)
	for _, after := range []time.Duration{time.Second, pageAfter - time.Second, pageAfter, pageAfter + time.Second} {
		now := start.Add(after)
		seen := makePod(0, engine.PodUnbound)
		p.observe(now, engine.Event{Pod: &seen}, reading(now, 0, 10, time.Minute))
		p.shadow.Decide(now, p.acts)
		want := int64(0)
		if after >= pageAfter {
			want = 1
		}
		if got := p.total().Paged; got != want {
			t.Errorf("after %s %d pods would have paged, want %d", after, got, want)
		}
	}
}

// TestAPriceThatIsLearnedLaterCounts pulls before anybody has looked what the image is
// made of.
func TestAPriceThatIsLearnedLaterCounts(t *testing.T) {
	t.Parallel()
	w := makeWorld(4)
	shape := w.Events[len(w.Events)-1]
	w.Events = w.Events[:len(w.Events)-1]
	p := makePair(w, 0)
	now := start.Add(time.Second)
	for _, phase := range []engine.PodPhase{engine.PodBound, engine.PodPulled} {
		for i := range 4 {
			if phase == engine.PodPulled && i >= 2 {
				continue
			}
			seen := makePod(i, phase)
			p.observe(now, engine.Event{Pod: &seen})
		}
		p.shadow.Decide(now, p.acts)
	}
	now = now.Add(20 * time.Second)
	p.observe(now, shape, reading(now, 0, 2, time.Minute)) // both are ours
	p.shadow.Decide(now, p.acts)
	if diff := cmp.Diff(map[string]int{"shop": 2}, p.shadow.Held()); diff != "" {
		t.Errorf("held when the two units of the two pulls are moved (-want +got):\n%s", diff)
	}
}

// refusal is an answer of 429 to a pull of a pod.
func refusal(pod int, at time.Time) *engine.PullFailed {
	return &engine.PullFailed{Pod: podID(pod), Image: image, Account: hub, At: at, Failure: feedback.Failure{Class: feedback.Throttled, Kind: feedback.KindPull}}
}
