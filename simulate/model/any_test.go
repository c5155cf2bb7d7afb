package model

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/simulate/scenario"
)

// TestAnyWorldHolds plays worlds put together at random, with faults at random and
// a pacer that acts at random, and wants all that must hold to hold, nothing to
// panic and the same run to repeat.
func TestAnyWorldHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := anySpec(t)
		o, err := RunChecked(s, 0, anyPacer(s.Seed))
		if err != nil {
			t.Fatal(err)
		}
		if again := Run(s, 0, anyPacer(s.Seed)); again.Digest != o.Digest || again.Events != o.Events {
			t.Fatal("the same run differs from itself")
		}
		if o.Throttled < 0 || o.UnitsCharged < 0 || o.IdleNode < 0 || o.End < 0 || o.End > s.Horizon || len(o.ReadyAt) != len(o.ReadyAfter) {
			t.Fatalf("figures that cannot be: %+v", o)
		}
		for i, at := range o.ReadyAt {
			if at > o.End || o.ReadyAfter[i] < 0 || i > 0 && (at < o.ReadyAt[i-1] || o.ReadyAfter[i] < o.ReadyAfter[i-1]) {
				t.Fatalf("ready at %v after %v", o.ReadyAt, o.ReadyAfter)
			}
		}
		if o.Pulls > 0 && (o.FirstPullStart < 0 || o.LastPullStart < o.FirstPullStart || o.LastPullStart > o.End) {
			t.Fatalf("%d pulls started from %v to %v, the run ended at %v", o.Pulls, o.FirstPullStart, o.LastPullStart, o.End)
		}
	})
}

func oneOf[T any](t *rapid.T, name string, list ...T) T { return rapid.SampledFrom(list).Draw(t, name) }

func anyTime(t *rapid.T, name string) scenario.Distribution {
	constant := oneOf(t, name, 0, time.Millisecond, time.Second)
	if rapid.Bool().Draw(t, name+" drawn") {
		return scenario.Distribution{Exponential: &scenario.Exponential{Mean: constant}}
	}
	return scenario.Distribution{Constant: &constant}
}

func anyLimiter(t *rapid.T) scenario.Limiter {
	return scenario.Limiter{
		Type:   oneOf(t, "type", scenario.RollingLog, scenario.FixedWindow, scenario.TokenBucket, scenario.SlidingCounter, scenario.Concurrency),
		Per:    oneOf(t, "per", scenario.PerEgressIP, scenario.PerAccount, scenario.PerRegistry),
		Counts: oneOf(t, "counts", scenario.CountPull, scenario.CountManifestGET, scenario.CountRequest),
		Limit:  int64(oneOf(t, "limit", 0, 1, 2, 5, 30)), Window: oneOf(t, "window", time.Second, time.Minute, 20*time.Minute),
		Burst: int64(oneOf(t, "burst", 1, 5)), Rate: oneOf(t, "rate", scenario.Rate{}, scenario.Rate{Units: 1, Every: time.Second}, scenario.Rate{Units: 7, Every: time.Hour}),
		Phase:        oneOf(t, "phase", 0, 3*time.Second),
		CountsDenied: rapid.IntRange(0, 5).Draw(t, "counts denied") == 0, Headers: rapid.Bool().Draw(t, "headers"),
		HeadWhenEmpty: oneOf(t, "empty", scenario.HeadAllow, scenario.HeadDeny),
	}
}

func anySpec(t *rapid.T) *scenario.Spec {
	s := &scenario.Spec{Seed: rapid.Uint64Range(0, 9).Draw(t, "seed"), Horizon: oneOf(t, "horizon", time.Minute, time.Hour)}
	s.Cluster = oneOf(t, "cluster", scenario.Cluster{}, scenario.Cluster{CreateQPS: 20, CreateBurst: 3, BindQPS: 5, BindBurst: 2})
	s.Egress = []scenario.Egress{{Name: "nat", IPs: 1}, {Name: "out", IPs: 2, Bandwidth: oneOf(t, "egress", scenario.Bandwidth(0), 8e6),
		Foreign: oneOf(t, "foreign", scenario.Foreign{}, scenario.Foreign{PerWindow: 3}, scenario.Foreign{Per: 1, Every: time.Second})}}
	for _, name := range []string{"hub", "quay"} {
		r := scenario.Registry{Name: name, Host: name, RTT: anyTime(t, "rtt"), Bandwidth: oneOf(t, "edge", scenario.Bandwidth(0), 8e6)}
		for range rapid.IntRange(0, 2).Draw(t, "limiters") {
			r.Limiters = append(r.Limiters, anyLimiter(t))
		}
		s.Registries = append(s.Registries, r)
	}
	for i := range 4 {
		im := scenario.Image{Name: fmt.Sprint("image", i), Registry: oneOf(t, "registry", "hub", "quay"), MultiArch: rapid.Bool().Draw(t, "index")}
		for range rapid.IntRange(0, 3).Draw(t, "layers") {
			im.Layers = append(im.Layers, scenario.Layer{Digest: oneOf(t, "digest", "a", "b", "c", "d", "e"), Size: oneOf(t, "size", scenario.Size(0), 1000, 3e6)})
		}
		s.Images = append(s.Images, im)
	}
	image := func(name string) string { return oneOf(t, name, "image0", "image1", "image2", "image3") }
	for i := range rapid.IntRange(0, 2).Draw(t, "mirrors") {
		s.Mirrors = append(s.Mirrors, scenario.Mirror{Name: fmt.Sprint("mirror", i), For: []string{oneOf(t, "for", "hub", "quay")}, SingleFlight: rapid.Bool().Draw(t, "single"),
			Warm: oneOf(t, "warm", nil, []string{"image0"}), Bandwidth: oneOf(t, "bandwidth", scenario.Bandwidth(0), 4e6), Egress: oneOf(t, "identity", "nat", "out"), RTT: anyTime(t, "mirror rtt")})
	}
	for i := range 2 {
		p := scenario.NodePool{Name: fmt.Sprint("pool", i), Nodes: rapid.IntRange(0, 5).Draw(t, "nodes"), Egress: oneOf(t, "by", "nat", "out"), Zones: []string{"a", "b"}[:1+i],
			NIC: oneOf(t, "nic", scenario.Bandwidth(0), 8e6), PodsPerNode: rapid.IntRange(1, 4).Draw(t, "room"), Cold: rapid.Bool().Draw(t, "cold pool"),
			Kubelet: scenario.Kubelet{SerializeImagePulls: rapid.Bool().Draw(t, "serial"), MaxParallelImagePulls: rapid.IntRange(0, 2).Draw(t, "parallel"),
				RegistryPullQPS: oneOf(t, "qps", 0, 5), RegistryBurst: 2},
			Runtime: scenario.Runtime{Type: oneOf(t, "runtime", scenario.Containerd, scenario.CRIO), AttemptsOn429: rapid.IntRange(1, 5).Draw(t, "attempts"),
				MaxConcurrentDownloads: rapid.IntRange(0, 3).Draw(t, "slots"), Unpack: oneOf(t, "unpack", scenario.Bandwidth(0), 8e6), Sandbox: anyTime(t, "sandbox"), Start: anyTime(t, "start")}}
		if rapid.Bool().Draw(t, "daemons") {
			p.DaemonSets = []string{image("daemon")}
		}
		if rapid.Bool().Draw(t, "baked") {
			p.Warm = []string{image("baked image")}
		}
		if rapid.Bool().Draw(t, "scales") {
			p.Autoscaler = &scenario.Autoscaler{Type: oneOf(t, "scaler", scenario.Karpenter, scenario.ClusterAutoscaler), Max: 8, Boot: anyTime(t, "boot"),
				BatchIdle: time.Second, BatchMax: 10 * time.Second, ScanInterval: 10 * time.Second}
		}
		s.NodePools = append(s.NodePools, p)
	}
	for i := range 3 {
		l := scenario.Workload{Name: fmt.Sprint("workload", i), Kind: oneOf(t, "kind", scenario.Deployment, scenario.Deployment, scenario.Job, scenario.DaemonSet, scenario.Rollout, scenario.Rollout),
			Image: image("image"), Replicas: rapid.IntRange(0, 9).Draw(t, "replicas"), Cold: rapid.Bool().Draw(t, "cold"), Startup: anyTime(t, "startup"),
			ImagePullPolicy: oneOf(t, "policy", scenario.IfNotPresent, scenario.Always),
			Strategy:        scenario.Strategy{MaxSurge: percent(oneOf(t, "surge", 0, 25, 100)), MaxUnavailable: percent(oneOf(t, "unavailable", 0, 25, 100))}}
		if l.Kind == scenario.Rollout {
			l.Steps = anySteps(t)
			if rapid.Bool().Draw(t, "routed") {
				l.TrafficRouting = &scenario.TrafficRouting{}
			}
		}
		if rapid.Bool().Draw(t, "two images") {
			l.Images = []string{image("first"), image("second")}
		}
		if rapid.Bool().Draw(t, "one pool") {
			l.NodePools = []string{"pool1"}
		}
		s.Workloads = append(s.Workloads, l)
	}
	anyEvents(t, s, image)
	return s
}

func anySteps(t *rapid.T) []scenario.Step {
	var steps []scenario.Step
	for range rapid.IntRange(0, 5).Draw(t, "steps") {
		n := rapid.Int32Range(0, 100).Draw(t, "of a step")
		steps = append(steps, oneOf(t, "step", gated(), weight(n), pause(time.Duration(n)*time.Second),
			scenario.Step{SetCanaryScale: &scenario.CanaryScale{Replicas: &n}}, scenario.Step{SetCanaryScale: &scenario.CanaryScale{Weight: &n}},
			scenario.Step{SetCanaryScale: &scenario.CanaryScale{MatchTrafficWeight: true}}))
	}
	return steps
}

func anyEvents(t *rapid.T, s *scenario.Spec, image func(string) string) {
	when := func() time.Duration { return time.Duration(rapid.Int64Range(0, int64(s.Horizon)).Draw(t, "at")) }
	workload := func() string { return oneOf(t, "of", "workload0", "workload1", "workload2") }
	for range rapid.IntRange(0, 5).Draw(t, "entries") {
		e := scenario.Entry{At: when()}
		switch rapid.IntRange(0, 4).Draw(t, "entry") {
		case 0:
			e.Scale = &scenario.Scale{Workload: workload(), Replicas: rapid.IntRange(0, 12).Draw(t, "to")}
		case 1:
			e.SetImage = &scenario.SetImage{Workload: workload(), Image: image("to image")}
		case 2:
			e.Rollback = &scenario.Rollback{Workload: workload()}
		case 3:
			e.AddNodes = &scenario.AddNodes{Pool: "pool0", Count: rapid.IntRange(0, 2).Draw(t, "add")}
		default:
			e.RemoveNodes = &scenario.RemoveNodes{Pool: oneOf(t, "from", "pool0", "pool1"), Count: rapid.IntRange(0, 3).Draw(t, "remove")}
		}
		s.Timeline = append(s.Timeline, e)
	}
	for range rapid.IntRange(0, 4).Draw(t, "faults") {
		f := scenario.Fault{At: when(), For: oneOf(t, "for so long", 0, time.Second, 10*time.Minute)}
		switch rapid.IntRange(0, 6).Draw(t, "fault") {
		case 0:
			if len(s.Registries[0].Limiters) > 0 {
				f.Quota = &scenario.QuotaFault{Registry: "hub", Limit: int64(rapid.IntRange(0, 50).Draw(t, "quota"))}
			}
		case 1:
			f.Outage = &scenario.Outage{Registry: "hub", Factor: 3,
				Mode: oneOf(t, "mode", scenario.Outage503, scenario.OutageReset, scenario.OutageTimeout, scenario.HeadOnly429, scenario.OutageSlow)}
		case 2:
			if len(s.Mirrors) > 0 {
				f.MirrorLoss = &scenario.MirrorLoss{Mirror: "mirror0"}
			}
		case 3:
			f.NATCollapse = &scenario.NATCollapse{From: scenario.Names{"nat"}, To: "out"}
		case 4:
			f.CachePurge = &scenario.CachePurge{Pool: "pool0", Fraction: 0.5}
		case 5:
			f.HeaderLies = &scenario.HeaderLies{Registry: "hub", Mode: oneOf(t, "lie", scenario.LieOffset, scenario.LieStuck, scenario.LieMissing), By: 5}
		default:
			f.ControllerRestart = &scenario.ControllerRestart{}
		}
		s.Faults = append(s.Faults, f)
	}
}

// restless holds some pods, lets some go, probes and sets timers, by what it is
// told.
type restless struct {
	watcher
	state uint64
	held  []PodID
}

// anyPacer is nobody for some seeds.
func anyPacer(seed uint64) Pacer {
	if seed%3 == 0 {
		return nil
	}
	return &restless{state: seed}
}

func (p *restless) next(n uint64) uint64 {
	p.state = mix(p.state)
	return p.state % n
}

func (p *restless) Gate(pod PodID) bool {
	if p.next(3) == 0 {
		return false
	}
	p.held = append(p.held, pod)
	p.world.SetTimer(p.world.Now()+time.Duration(p.next(60))*time.Second, 7)
	return true
}

func (p *restless) AskStep(s Step) {
	if n := p.next(5); n > 0 {
		p.world.AnswerStep(s, Answer{Allow: n == 1, Why: "lots"}, time.Duration(p.next(3))*time.Second)
	}
}

func (p *restless) Observe(e Event) {
	if e.Kind == TimerFired || p.next(5) == 0 {
		var prefer []NodeID
		if n := p.world.Nodes(); n > 0 && p.next(2) == 0 {
			prefer = []NodeID{NodeID(p.next(uint64(n))), NodeID(p.next(uint64(n)))}
		}
		for range p.next(3) {
			if len(p.held) > 0 {
				p.world.Release(p.held[0], prefer)
				p.held = p.held[1:]
			}
		}
	}
	if p.next(40) == 0 {
		p.world.Probe(0, RegistryID(p.next(2)), AddressID(p.next(3)), 1)
	}
}
