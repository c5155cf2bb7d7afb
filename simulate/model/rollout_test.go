package model

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/scenario"
)

func weight(w int32) scenario.Step { return scenario.Step{SetWeight: &w} }

func pause(d time.Duration) scenario.Step {
	return scenario.Step{Pause: &scenario.Pause{Duration: d}}
}

func gated() scenario.Step { return scenario.Step{Gate: &scenario.Gate{Interval: 20 * time.Second}} }

// canaryOf is a hundred pods of a Rollout that run and get another image at one minute;
// a pod takes ten seconds to be Ready.
func canaryOf(steps ...scenario.Step) *scenario.Spec {
	s := rollout(percent(25), percent(25))
	s.NodePools[0].PodsPerNode = 60
	s.Workloads[0].Kind, s.Workloads[0].Steps = scenario.Rollout, steps
	return s
}

// readyAt counts the pods that were Ready by time.
func readyAt(o *Outcome) map[time.Duration]int {
	out := map[time.Duration]int{}
	for _, at := range o.ReadyAt {
		out[at]++
	}
	return out
}

// TestACanaryTakesItsSteps: ten pods at weight 10; a minute later forty more, of which 25
// may come beside the hundred and the rest as stable ones go; then the other fifty. All
// come at once, for a quarter may come and a quarter may lack: 75 of a hundred stay Ready.
func TestACanaryTakesItsSteps(t *testing.T) {
	t.Parallel()
	const s = time.Second
	tests := map[string]struct {
		steps []scenario.Step
		want  map[time.Duration]int
	}{
		"no steps at all": {nil, map[time.Duration]int{70 * s: 50, 80 * s: 50}},
		"two weights":     {[]scenario.Step{weight(10), pause(time.Minute), weight(50)}, map[time.Duration]int{70 * s: 10, 140 * s: 40, 150 * s: 50}},
		"gates are open":  {[]scenario.Step{gated(), weight(10), pause(time.Minute), gated(), weight(50), gated()}, map[time.Duration]int{70 * s: 10, 140 * s: 40, 150 * s: 50}},
		"all by a step":   {[]scenario.Step{pause(30 * s), weight(100)}, map[time.Duration]int{100 * s: 50, 110 * s: 50}},
		"a weight of nothing": {[]scenario.Step{weight(0), pause(30 * s), weight(20), weight(0), pause(5 * s)},
			map[time.Duration]int{100 * s: 20, 115 * s: 50, 125 * s: 50}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := play(t, canaryOf(tc.steps...), nil)
			if diff := cmp.Diff(tc.want, readyAt(o)); diff != "" || o.Unfinished != 0 {
				t.Errorf("pods ready by time, %d unfinished (-want +got):\n%s", o.Unfinished, diff)
			}
		})
	}
}

// asker is a pacer that answers gates by the time of the question.
type asker struct {
	watcher
	asked []time.Duration
	reply func(now time.Duration) (answer, allow bool)
}

func (p *asker) AskStep(s Step) {
	p.asked = append(p.asked, p.world.Now())
	if answer, allow := p.reply(p.world.Now()); answer {
		p.world.AnswerStep(s, Answer{Allow: allow, Why: "why"}, 0)
	}
}

// TestAGateAsksAsArgoDoes: by the interval after an answer; ten seconds after a question
// that nobody answered for five, or that nobody heard.
func TestAGateAsksAsArgoDoes(t *testing.T) {
	t.Parallel()
	const s = time.Second
	from := func(at time.Duration) func(time.Duration) (bool, bool) {
		return func(now time.Duration) (bool, bool) { return true, now >= at }
	}
	tests := map[string]struct {
		reply func(now time.Duration) (bool, bool)
		away  scenario.Fault
		want  []time.Duration
		ready time.Duration
	}{
		"open at once":       {reply: from(0), want: []time.Duration{60 * s}, ready: 70 * s},
		"held":               {reply: from(101 * s), want: []time.Duration{60 * s, 80 * s, 100 * s, 120 * s}, ready: 130 * s},
		"not answered once":  {reply: func(now time.Duration) (bool, bool) { return now > 60*s, true }, want: []time.Duration{60 * s, 75 * s}, ready: 85 * s},
		"away as it is held": {reply: from(0), away: scenario.Fault{At: 50 * s, For: 35 * s, ControllerRestart: &scenario.ControllerRestart{}}, want: []time.Duration{90 * s}, ready: 100 * s},
		"away in between": {reply: from(150 * s), away: scenario.Fault{At: 70 * s, For: 75 * s, ControllerRestart: &scenario.ControllerRestart{}},
			want: []time.Duration{60 * s, 150 * s}, ready: 160 * s},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := canaryOf(gated(), weight(10))
			if tc.away.For > 0 {
				spec.Faults = []scenario.Fault{tc.away}
			}
			p := &asker{reply: tc.reply}
			o := play(t, spec, p)
			if diff := cmp.Diff(tc.want, p.asked); diff != "" {
				t.Errorf("questions that were heard (-want +got):\n%s", diff)
			}
			if o.ReadyAt[0] != tc.ready || o.Unfinished != 0 {
				t.Errorf("the first pod is ready at %v with %d unfinished, want %v", o.ReadyAt[0], o.Unfinished, tc.ready)
			}
		})
	}
}

// TestAHeldCanaryIsNotDone: what its steps did not make counts as unfinished, and what
// became of them is told.
func TestAHeldCanaryIsNotDone(t *testing.T) {
	t.Parallel()
	spec := canaryOf(weight(10), gated(), weight(50))
	spec.Horizon = 5 * time.Minute
	o := play(t, spec, &asker{reply: func(time.Duration) (bool, bool) { return true, false }})
	if o.Unfinished != 90 || len(o.ReadyAt) != 10 {
		t.Errorf("%d pods unfinished and %d ready, want 90 and 10", o.Unfinished, len(o.ReadyAt))
	}
	// from 70 s a question every 20 s, the last at 290 s
	want := []StepOutcome{
		{Step: Step{Revision: 1}, Image: 1, Began: 60 * time.Second, Ended: 70 * time.Second},
		{Step: Step{Revision: 1, Step: 1}, Image: 1, Began: 70 * time.Second, Ended: -1, Opens: 50, Asked: 12, Held: "why"},
	}
	if diff := cmp.Diff(want, o.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// TestGoingBackTakesNoSteps: to the stable revision there is no gate, as Argo skips all
// steps; another image instead begins anew.
func TestGoingBackTakesNoSteps(t *testing.T) {
	t.Parallel()
	back := func(s *scenario.Spec) {
		s.Timeline = append(s.Timeline, scenario.Entry{At: 2 * time.Minute, Rollback: &scenario.Rollback{Workload: "web"}})
	}
	third := func(s *scenario.Spec) {
		s.Images = append(s.Images, scenario.Image{Name: "app-v3", Registry: "hub"})
		s.Timeline = append(s.Timeline, scenario.Entry{At: 2 * time.Minute, SetImage: &scenario.SetImage{Workload: "web", Image: "app-v3"}})
	}
	const s = time.Second
	tests := map[string]struct {
		edit func(s *scenario.Spec)
		want map[time.Duration]int
		asks []time.Duration
	}{
		// the ten of the canary go, ten stable ones come
		"back": {back, map[time.Duration]int{70 * s: 10, 130 * s: 10}, []time.Duration{60 * s}},
		// ten of the third in the place of ten of the second, then the rest: a quarter more
		// and a quarter less at a time
		"another": {third, map[time.Duration]int{70 * s: 10, 130 * s: 10, 430 * s: 50, 440 * s: 40}, []time.Duration{60 * s, 120 * s}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := canaryOf(gated(), weight(10), pause(290*s))
			tc.edit(spec)
			p := &asker{reply: func(time.Duration) (bool, bool) { return true, true }}
			o := play(t, spec, p)
			if diff := cmp.Diff(tc.want, readyAt(o)); diff != "" || o.Unfinished != 0 {
				t.Errorf("pods ready by time, %d unfinished (-want +got):\n%s", o.Unfinished, diff)
			}
			if diff := cmp.Diff(tc.asks, p.asked); diff != "" {
				t.Errorf("gates (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAFirstDeployTakesNoSteps: where nothing serves yet there is nothing to be careful of.
func TestAFirstDeployTakesNoSteps(t *testing.T) {
	t.Parallel()
	spec := canaryOf(gated(), weight(10), pause(time.Hour))
	spec.Workloads[0].Cold, spec.Timeline = true, nil
	p := &asker{reply: func(time.Duration) (bool, bool) { return true, false }}
	if o := play(t, spec, p); len(o.ReadyAt) != 100 || len(p.asked) != 0 || o.ReadyAt[99] != 10*time.Second {
		t.Errorf("%d pods are ready, and %d gates asked; want 100 at 10 s, and none", len(o.ReadyAt), len(p.asked))
	}
}

// TestARoutedCanaryComesOnTop: with a router the stable pods stay, all of them, for half a
// minute after the last step.
func TestARoutedCanaryComesOnTop(t *testing.T) {
	t.Parallel()
	four := int32(4)
	spec := canaryOf(scenario.Step{SetCanaryScale: &scenario.CanaryScale{Replicas: &four}}, weight(50), pause(time.Minute),
		scenario.Step{SetCanaryScale: &scenario.CanaryScale{MatchTrafficWeight: true}})
	spec.Workloads[0].TrafficRouting = &scenario.TrafficRouting{}
	gone := map[time.Duration]int{}
	o := play(t, spec, &watcher{observe: func(w *World, e Event) {
		if e.Kind == PodGone {
			gone[w.Now()]++
		}
	}})
	const s = time.Second
	// four by scale, whatever the weight; half as the scale follows the weight; then all
	if diff := cmp.Diff(map[time.Duration]int{70 * s: 4, 140 * s: 46, 150 * s: 50}, readyAt(o)); diff != "" {
		t.Errorf("pods ready by time (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[time.Duration]int{180 * s: 100}, gone); diff != "" {
		t.Errorf("pods gone by time (-want +got):\n%s", diff)
	}
}
