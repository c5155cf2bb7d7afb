package model

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/scenario"
)

// hourly is so many pulls an hour by each address, told in headers.
func hourly(limit int64) scenario.Limiter {
	return scenario.Limiter{Type: scenario.RollingLog, Per: scenario.PerEgressIP, Counts: scenario.CountPull, Limit: limit, Window: time.Hour, Headers: true}
}

// during makes a fault of ten minutes from the start.
func during(f scenario.Fault) []scenario.Fault {
	f.For = 10 * time.Minute
	return []scenario.Fault{f}
}

// TestOutages: what a pull meets while a registry is not well, and that it goes on
// afterwards.
func TestOutages(t *testing.T) {
	t.Parallel()
	rtt := time.Second
	tests := map[string]struct {
		outage    *scenario.Outage
		cause     Cause
		failedAt  time.Duration // of the first attempt
		throttled int64         // by it
	}{
		"503":              {&scenario.Outage{Mode: scenario.Outage503}, Unavailable, time.Second, 0},
		"reset":            {&scenario.Outage{Mode: scenario.OutageReset}, WasReset, time.Second, 0},
		"timeout":          {&scenario.Outage{Mode: scenario.OutageTimeout}, TimedOut, dialTimeout, 0},
		"429 on HEAD only": {&scenario.Outage{Mode: scenario.HeadOnly429}, Throttled, 5 * time.Second, 5},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.outage.Registry = "hub"
			var failures []Event
			var at []time.Duration
			var throttledThen int64
			o := play(t, spec(func(s *scenario.Spec) {
				s.Registries[0].RTT.Constant = &rtt
				s.Registries[0].Limiters = []scenario.Limiter{hourly(10)}
				s.Faults = during(scenario.Fault{Outage: tc.outage})
			}), &watcher{observe: func(w *World, e Event) {
				if e.Kind == PullFailed {
					failures = append(failures, e)
					at = append(at, w.Now())
					if len(at) == 1 {
						throttledThen = w.out.Throttled
					}
				}
			}})
			if len(failures) == 0 || failures[0].Cause != tc.cause || at[0] != tc.failedAt || throttledThen != tc.throttled {
				t.Fatalf("the first attempt failed %+v at %v after %d refusals, want cause %d at %v after %d", failures, at, throttledThen, tc.cause, tc.failedAt, tc.throttled)
			}
			if len(o.ReadyAt) != 1 || o.ReadyAt[0] < 10*time.Minute || o.ReadyAt[0] > 16*time.Minute || o.UnitsCharged != 1 {
				t.Errorf("ready at %v for %d units; want at the first attempt after 10 minutes for one", o.ReadyAt, o.UnitsCharged)
			}
		})
	}
}

// TestASlowRegistryStretchesAnswersAndDownloads but not those of the token service:
// six requests to the registry, one for a token, a second of download.
func TestASlowRegistryStretchesAnswersAndDownloads(t *testing.T) {
	t.Parallel()
	rtt := time.Second
	for factor, want := range map[float64]time.Duration{1: 8 * time.Second, 3: 22 * time.Second} {
		o := play(t, spec(func(s *scenario.Spec) {
			s.Registries[0].RTT.Constant = &rtt
			s.NodePools[0].NIC = 8e6
			s.Images[0].Layers[0].Size = 1e6 // a second
			s.Faults = during(scenario.Fault{Outage: &scenario.Outage{Registry: "hub", Mode: scenario.OutageSlow, Factor: factor}})
		}), nil)
		if diff := cmp.Diff([]time.Duration{want}, o.ReadyAt); diff != "" {
			t.Errorf("factor %v, ready (-want +got):\n%s", factor, diff)
		}
	}
}

func TestAQuotaIsCutAndComesBack(t *testing.T) {
	t.Parallel()
	o := play(t, spec(func(s *scenario.Spec) {
		apart(30, hourly(20))(s)
		s.Faults = during(scenario.Fault{Quota: &scenario.QuotaFault{Registry: "hub", Limit: 5}})
	}), nil)
	// 5 at once, 15 more when the limit is back, the rest when an hour has passed
	got := [3]int{}
	for _, at := range o.ReadyAt {
		switch {
		case at < 10*time.Minute:
			got[0]++
		case at < time.Hour:
			got[1]++
		default:
			got[2]++
		}
	}
	if got != [3]int{5, 15, 10} {
		t.Errorf("ready in ten minutes, in an hour, later: %v; want 5, 15, 10", got)
	}
}

// TestAMirrorThatIsLost: a warm mirror costs no unit, and without it every node
// asks the registry by its own address.
func TestAMirrorThatIsLost(t *testing.T) {
	t.Parallel()
	mirrored := func(faults []scenario.Fault) *Outcome {
		return play(t, spec(func(s *scenario.Spec) {
			apart(10, hourly(100))(s)
			s.Mirrors = []scenario.Mirror{{Name: "zot", For: []string{"hub"}, Warm: []string{"app"}, Egress: "nat"}}
			s.Faults = faults
		}), nil)
	}
	if o := mirrored(nil); o.UnitsCharged != 0 || o.Pulls != 10 || o.Due[0].Units[0] != 0 {
		t.Errorf("%d units for %d pulls, %d due; want none for ten", o.UnitsCharged, o.Pulls, o.Due[0].Units[0])
	}
	if o := mirrored(during(scenario.Fault{MirrorLoss: &scenario.MirrorLoss{Mirror: "zot"}})); o.UnitsCharged != 10 || o.Pulls != 10 || o.Due[0].Units[0] != 10 {
		t.Errorf("without it %d units for %d pulls, %d due; want ten", o.UnitsCharged, o.Pulls, o.Due[0].Units[0])
	}
}

// TestACollapseOfNATs makes the accounts of two groups of addresses one.
func TestACollapseOfNATs(t *testing.T) {
	t.Parallel()
	collapsed := func(faults []scenario.Fault) *Outcome {
		return play(t, spec(func(s *scenario.Spec) {
			apart(20, hourly(10))(s)
			s.Horizon = 30 * time.Minute
			s.Egress = append(s.Egress, scenario.Egress{Name: "other", IPs: 2})
			s.NodePools = append(s.NodePools, s.NodePools[0])
			s.NodePools[0].Nodes, s.NodePools[1].Nodes = 10, 20
			s.NodePools[1].Name, s.NodePools[1].Egress = "more", "other"
			s.Workloads[0].Replicas = 30
			s.Faults = faults
		}), nil)
	}
	if o := collapsed(nil); len(o.ReadyAt) != 30 || o.Throttled != 0 {
		t.Errorf("%d of 30 pods are ready, %d refusals; want all by three addresses", len(o.ReadyAt), o.Throttled)
	}
	o := collapsed([]scenario.Fault{{NATCollapse: &scenario.NATCollapse{From: scenario.Names{"other"}, To: "nat"}}})
	if len(o.ReadyAt) != 10 || o.Unfinished != 20 {
		t.Errorf("%d pods are ready and %d not, want the ten that one address grants", len(o.ReadyAt), o.Unfinished)
	}
	o = collapsed(during(scenario.Fault{NATCollapse: &scenario.NATCollapse{From: scenario.Names{"nat"}, To: "other"}}))
	// the ten nodes of the first group come first and use up an address of the other,
	// whose own ten get nothing until an hour has passed
	if len(o.ReadyAt) != 20 || o.Throttled == 0 {
		t.Errorf("%d of 30 pods are ready, %d refusals; want 20 and some", len(o.ReadyAt), o.Throttled)
	}
}

// TestAPurgeEmptiesCaches of a part of the nodes; what runs keeps running, what
// comes pulls again, and the bound counts no image twice.
func TestAPurgeEmptiesCaches(t *testing.T) {
	t.Parallel()
	o := play(t, spec(func(s *scenario.Spec) {
		apart(10, hourly(100))(s)
		s.NodePools[0].PodsPerNode = 2
		s.Timeline = []scenario.Entry{{At: time.Hour, Scale: &scenario.Scale{Workload: "web", Replicas: 20}}}
		s.Faults = []scenario.Fault{{At: time.Minute, CachePurge: &scenario.CachePurge{Pool: "general", Fraction: 0.3}}}
	}), nil)
	if o.Pulls != 13 || o.UnitsCharged != 13 || len(o.ReadyAt) != 20 || o.Due[0].Units[0] != 10 {
		t.Errorf("%d pulls, %d units, %d ready, %d due; want 13, 13, 20, 10", o.Pulls, o.UnitsCharged, len(o.ReadyAt), o.Due[0].Units[0])
	}
}

// TestHeaders is what a probe learns, in truth and in lies.
func TestHeaders(t *testing.T) {
	t.Parallel()
	type said struct {
		Status    int
		Known     bool
		Limit     int64
		Remaining int64
		Window    time.Duration
	}
	truth := said{200, true, 10, 7, time.Hour}
	tests := map[string]struct {
		edit func(s *scenario.Spec)
		want []said // at 0 before the pulls, at 5 and at 20 minutes after three
	}{
		"the truth":  {func(*scenario.Spec) {}, []said{{200, true, 10, 10, time.Hour}, truth, truth}},
		"no headers": {func(s *scenario.Spec) { s.Registries[0].Limiters[0].Headers = false }, []said{{Status: 200}, {Status: 200}, {Status: 200}}},
		"a bucket": {func(s *scenario.Spec) {
			s.Registries[0].Limiters[0] = scenario.Limiter{Type: scenario.TokenBucket, Per: scenario.PerAccount, Counts: scenario.CountPull, Burst: 10, Rate: scenario.Rate{Units: 10, Every: 24 * time.Hour}, Headers: true}
		}, []said{{200, true, 10, 10, 24 * time.Hour}, {200, true, 10, 7, 24 * time.Hour}, {200, true, 10, 7, 24 * time.Hour}}},
		"an offset": {func(s *scenario.Spec) {
			s.Faults = during(scenario.Fault{At: time.Second, HeaderLies: &scenario.HeaderLies{Registry: "hub", Mode: scenario.LieOffset, By: 10}})
		}, []said{{200, true, 10, 10, time.Hour}, {200, true, 10, 17, time.Hour}, truth}},
		"stuck": {func(s *scenario.Spec) {
			s.Faults = during(scenario.Fault{At: time.Second, HeaderLies: &scenario.HeaderLies{Registry: "hub", Mode: scenario.LieStuck}})
		}, []said{{200, true, 10, 10, time.Hour}, {200, true, 10, 10, time.Hour}, truth}},
		"missing": {func(s *scenario.Spec) {
			s.Faults = during(scenario.Fault{At: time.Second, HeaderLies: &scenario.HeaderLies{Registry: "hub", Mode: scenario.LieMissing}})
		}, []said{{200, true, 10, 10, time.Hour}, {Status: 200}, truth}},
		"empty denies HEAD": {func(s *scenario.Spec) {
			s.Registries[0].Limiters[0].Limit = 3
			s.Registries[0].Limiters[0].HeadWhenEmpty = scenario.HeadDeny
		}, []said{{200, true, 3, 3, time.Hour}, {429, true, 3, 0, time.Hour}, {429, true, 3, 0, time.Hour}}},
		"an outage": {func(s *scenario.Spec) {
			s.Faults = during(scenario.Fault{At: time.Second, Outage: &scenario.Outage{Registry: "hub", Mode: scenario.Outage503}})
		}, []said{{200, true, 10, 10, time.Hour}, {Status: 503}, truth}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []said
			p := &prober{at: []time.Duration{0, 5 * time.Minute, 20 * time.Minute}}
			p.answer = func(r Reading) { got = append(got, said{r.Status, r.Known, r.Limit, r.Remaining, r.Window}) }
			s := spec(func(s *scenario.Spec) {
				apart(3, hourly(10))(s)
				tc.edit(s)
				s.Timeline = []scenario.Entry{{At: time.Hour, Scale: &scenario.Scale{Workload: "web"}}}
			})
			play(t, s, p)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("readings (-want +got):\n%s", diff)
			}
		})
	}
}

// prober probes at times.
type prober struct {
	watcher
	at []time.Duration
}

func (p *prober) Begin(w *World) {
	p.world = w
	for i, at := range p.at {
		if at == 0 {
			w.Probe(0, 0, 0, 0)
		} else {
			w.SetTimer(at, int32(i))
		}
	}
}

func (p *prober) Observe(e Event) {
	if e.Kind == TimerFired {
		p.world.Probe(0, 0, 0, 0)
	}
}

// TestARestartOfTheController: pods that are created meanwhile are held by nobody,
// and what was held is told again by nobody either.
func TestARestartOfTheController(t *testing.T) {
	t.Parallel()
	p := &gatekeeper{}
	o := play(t, spec(func(s *scenario.Spec) {
		apart(10)(s)
		s.Workloads[0].Replicas = 3
		s.Faults = []scenario.Fault{{At: time.Minute, For: time.Minute, ControllerRestart: &scenario.ControllerRestart{}}}
		s.Timeline = []scenario.Entry{
			{At: 90 * time.Second, Scale: &scenario.Scale{Workload: "web", Replicas: 5}},
			{At: 3 * time.Minute, Scale: &scenario.Scale{Workload: "web", Replicas: 6}},
		}
	}), p)
	if diff := cmp.Diff([]EventKind{ControllerLost, ControllerBack, WorkloadChanged}, p.seen); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	if len(o.ReadyAt) != 2 || o.Unfinished != 4 || p.asked != 4 {
		t.Errorf("%d pods are ready, %d held, the gate was asked %d times; want 2, 4, 4", len(o.ReadyAt), o.Unfinished, p.asked)
	}
}

// gatekeeper holds everything for ever.
type gatekeeper struct {
	watcher
	asked int
	seen  []EventKind
}

func (p *gatekeeper) Gate(PodID) bool { p.asked++; return true }

func (p *gatekeeper) Observe(e Event) { p.seen = append(p.seen, e.Kind) }

// TestForeignUse is others who take 4 of 10 units an hour, evenly, and lose what
// is refused.
func TestForeignUse(t *testing.T) {
	t.Parallel()
	o := play(t, spec(func(s *scenario.Spec) {
		apart(30, hourly(10))(s)
		s.Horizon = 2 * time.Hour
		s.Egress[0].Foreign = scenario.Foreign{PerWindow: 4}
	}), nil)
	// ten pods pull at once; the others' units at 7.5, 22.5, 37.5 and 52.5 minutes are
	// refused; then kubelets take what an hour gives back within minutes of it
	if o.Pulls < 16 || o.Pulls > 20 || o.ForeignThrottled < 4 || int64(o.Pulls)+8-o.ForeignThrottled > 20 {
		t.Errorf("%d pulls and %d refusals of others in two hours", o.Pulls, o.ForeignThrottled)
	}
	o = play(t, spec(func(s *scenario.Spec) {
		apart(1, hourly(10))(s)
		s.Horizon = 2 * time.Hour
		s.Egress[0].Foreign = scenario.Foreign{PerWindow: 40}
		s.Timeline = []scenario.Entry{{At: 2 * time.Hour, Scale: &scenario.Scale{Workload: "web"}}}
	}), nil)
	// 40 an hour where ten are allowed, one of which is ours: 80 asked for, 19 granted
	if o.ForeignThrottled != 61 {
		t.Errorf("others were refused %d of 80 units, want 61", o.ForeignThrottled)
	}
}
