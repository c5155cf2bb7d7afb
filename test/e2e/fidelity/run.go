//go:build linux

package fidelity

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/simulate/trace"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/registry"
)

// scaleUp makes the whole fleet at once and waits until all of it is ready.
func scaleUp(ctx context.Context, s *stage.Stage) (trace.Run, error) {
	return recorded(ctx, s, pulls, func(ctx context.Context) error {
		names, err := s.Fleet(ctx, apps)
		if err != nil {
			return err
		}
		return s.Await(ctx, names...)
	})
}

// A paced scale-up goes in waves of what the registry allows, two pods to a node. So
// many of them are measured.
const (
	waveCount = 5
	waveApps  = stage.Limit / stage.Nodes
)

// waves makes waves of pods, one after the other.
func waves(ctx context.Context, s *stage.Stage) (trace.Run, error) {
	return recorded(ctx, s, waveCount*stage.Limit, func(ctx context.Context) error {
		for i := range waveCount {
			var names []string
			for j := range waveApps {
				names = append(names, fmt.Sprintf("wave-%d-%d", i+1, j+1))
				if err := s.Deploy(ctx, names[j], stage.Nodes); err != nil {
					return err
				}
			}
			if err := s.Await(ctx, names...); err != nil {
				return err
			}
		}
		return nil
	})
}

// recorded returns what the plugin recorded of so many pods meanwhile.
func recorded(ctx context.Context, s *stage.Stage, pods int, play func(context.Context) error) (trace.Run, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the scale-up took longer than %s", patience))
	defer cancel()
	stop, err := s.Record(ctx)
	if err != nil {
		return trace.Run{}, err
	}
	err = play(ctx)
	run, also := stop()
	if err == nil {
		err = also
	}
	if err == nil && len(run.Pods) != pods {
		err = fmt.Errorf("%d pods were recorded, want %d", len(run.Pods), pods)
	}
	return run, err
}

// told is what the registry says of the run.
func told(s *stage.Stage) []trace.Registry {
	return []trace.Registry{{Host: s.Host.Name(), Units: s.Charges(""), Throttled: int64(s.Throttled(time.Time{}))}}
}

// spread is what samples were: the least, the median, what nine of ten stayed below, and
// the most.
type spread struct{ least, median, ninth, most time.Duration }

func (d spread) String() string { return fmt.Sprintf("%s..%s..%s", d.least, d.median, d.most) }

// longTail is the lognormal distribution through the median and what nine of ten samples
// stayed below. The slowest of a few dozen says little of the 99th percentile; it follows
// from the quantiles of the standard normal distribution, 1.2816 and 2.3263.
func (d spread) longTail() string {
	p99 := float64(d.median) * math.Pow(float64(d.ninth)/float64(d.median), 2.3263/1.2816)
	return fmt.Sprintf("{lognormal: {p50: %s, p99: %s}}", d.median, time.Duration(p99).Round(time.Millisecond))
}

// queue is the distribution of what is done one after the other, no wider above the
// median than below it: the last of them may be one that something else kept.
func (d spread) queue() string {
	return fmt.Sprintf("{uniform: {min: %s, max: %s}}", d.least, min(d.most, 2*d.median-d.least))
}

// spreadOf is that of samples. A distribution needs some width, and times above zero.
func spreadOf(samples []time.Duration) spread {
	samples = slices.Sorted(slices.Values(samples))
	median := max(samples[len(samples)/2], time.Millisecond).Round(time.Millisecond)
	wider := func(d time.Duration) time.Duration {
		return (max(d, median+median/100) + time.Millisecond).Round(time.Millisecond)
	}
	return spread{max(samples[0], 0).Round(time.Millisecond), median, wider(samples[len(samples)*9/10]), wider(samples[len(samples)-1])}
}

// times are what pods took on a registry that refused nothing: from their creation to
// their first pull, one request to the registry, a whole pull, and from there until
// they were ready.
type times struct{ sandbox, rtt, took, startup []time.Duration }

func (t times) String() string {
	return fmt.Sprintf("sandbox:%s,rtt:%s,pull:%s,startup:%s", spreadOf(t.sandbox), spreadOf(t.rtt), spreadOf(t.took), spreadOf(t.startup))
}

// and is both together.
func (t times) and(u times) times {
	return times{slices.Concat(t.sandbox, u.sandbox), slices.Concat(t.rtt, u.rtt), slices.Concat(t.took, u.took), slices.Concat(t.startup, u.startup)}
}

// ready is what a pod takes in the middle from its creation.
func (t times) ready() time.Duration {
	return spreadOf(t.sandbox).median + spreadOf(t.took).median + spreadOf(t.startup).median
}

// machine is what a simulation must be told of this machine. How long nodes take
// depends on how much they do at once, which is not modelled: so it was measured in
// waves, as a paced scale-up makes them, and of one that is not paced in a crowd, as it
// makes all its sandboxes. Pods that are paced were paced, by an account that has room:
// what the controller takes for a turn and for writing it is in their times.
type machine struct {
	crowd, wave times
	// size is what an image weighs.
	size int64
}

func (m *machine) String() string {
	if len(m.crowd.sandbox) == 0 {
		return fmt.Sprintf("wave(%s)", m.wave)
	}
	return fmt.Sprintf("crowd(%s),wave(%s)", m.crowd, m.wave)
}

// and is what was measured at both times.
func (m *machine) and(n *machine) *machine {
	return &machine{crowd: m.crowd.and(n.crowd), wave: m.wave.and(n.wave), size: max(m.size, n.size)}
}

// steady is how far apart what was measured before and after may be: three waves
// follow each other, and two seconds are allowed in the middle.
const steady = 500 * time.Millisecond

// changed reports that pods took another time after a scale-up than before it.
func (m *machine) changed(n *machine) error {
	was, is := m.wave.ready(), n.wave.ready()
	if len(m.crowd.sandbox) > 0 {
		was, is = m.crowd.ready(), n.crowd.ready()
	}
	if (was - is).Abs() <= steady {
		return nil
	}
	return fmt.Errorf("the machine changed: pods took %s before the scale-up and %s after it, with nothing to wait for", was, is)
}

// requests are those of a cold pull one after the other: HEAD, the manifest, the
// configuration, and layers side by side.
const requests = 4

// unpack is how many compressed bytes a second come from what is left of a pull.
func (m *machine) unpack() int64 {
	rest := max(spreadOf(m.wave.took).median-requests*spreadOf(m.wave.rtt).median, time.Millisecond)
	return int64(float64(m.size) / rest.Seconds())
}

// measure reads what a run on a registry that refused nothing shows.
func measure(run trace.Run, entries []registry.Entry) (times, error) {
	var t times
	for _, p := range run.Pods {
		if len(p.Pulls) != 1 || p.Pulls[0].Began.IsZero() || p.Pulls[0].Pulled.IsZero() || p.Ready.IsZero() || p.Pulls[0].Throttled > 0 {
			return t, fmt.Errorf("pod %s is not as expected: %+v", p.Name, p)
		}
		pull := p.Pulls[0]
		t.sandbox = append(t.sandbox, pull.Began.Sub(p.Created))
		t.startup = append(t.startup, p.Ready.Sub(pull.Pulled))
		t.took = append(t.took, pull.Took)
	}
	if t.rtt = gaps(entries); len(t.rtt) != len(run.Pods) {
		return t, fmt.Errorf("%d pulls are in the registry's log, want %d", len(t.rtt), len(run.Pods))
	}
	return t, nil
}

// gaps are the times between a HEAD and the GET of the same manifest by the same node.
// All nodes leave by one address, but each asks on its own connections: the next GET
// of a repository after a HEAD is taken for the same node's, which is right in sum.
func gaps(entries []registry.Entry) []time.Duration {
	heads := map[string][]time.Time{}
	var out []time.Duration
	for _, e := range entries {
		switch {
		case e.Kind == registry.ManifestHEAD:
			heads[e.Repo] = append(heads[e.Repo], e.Time)
		case e.Kind == registry.ManifestGET && len(heads[e.Repo]) > 0:
			out = append(out, e.Time.Sub(heads[e.Repo][0]))
			heads[e.Repo] = heads[e.Repo][1:]
		}
	}
	return out
}

// debounce is how long a controller waits for more before a turn, which is simulated.
const debounce = 50 * time.Millisecond

// less is what is left of samples.
func less(samples []time.Duration, d time.Duration) []time.Duration {
	out := make([]time.Duration, len(samples))
	for i, s := range samples {
		out[i] = max(s-d, 0)
	}
	return out
}

// scenario is the scale-up of a stage on this machine, as it goes with a policy.
func (m *machine) scenario(s *stage.Stage, policy string) string {
	sandbox, where := spreadOf(less(m.wave.sandbox, debounce)).longTail(), "less the 50 ms that a controller waits for more, which are simulated"
	if policy == "none" {
		sandbox, where = spreadOf(m.crowd.sandbox).queue(), "all pods at once"
	}
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("# Times were measured before and after, on a registry that refuses nothing, of waves of %d pods where not said otherwise.", stage.Limit)
	line("apiVersion: pullpace.dev/v1alpha1\nkind: Scenario\nmetadata: {name: fidelity}\nspec:")
	line("  seed: 1\n  replications: 200\n  horizon: 10m")
	// What the stage is: its limiter, and the kubelets' configuration of all stages.
	line("  registries:\n  - name: hub\n    host: %s", s.Host.Name())
	line("    limiters: [{type: RollingLog, per: EgressIP, counts: ManifestGET, limit: %d, window: %s}]", s.Options.Limit, s.Options.Window)
	line("    rtt: %s # between HEAD and GET of a manifest in the registry's log", spreadOf(m.wave.rtt).longTail())
	line("  egress: [{name: nat}]")
	line("  nodePools:\n  - name: nodes\n    nodes: %d\n    egress: nat\n    podsPerNode: 110", stage.Nodes)
	line("    kubelet: {serializeImagePulls: false, registryPullQPS: 0}")
	line("    runtime:")
	line("      unpack: %dbps # what the kubelet says that a pull takes, less %d requests", 8*max(m.unpack(), 1), requests)
	line("      sandbox: %s # from a pod's creation to its first pull, %s", sandbox, where)
	line("  images:")
	for i := range apps {
		line("  - {name: app-%d, registry: hub, layers: [{digest: app-%d, size: %dkB}]}", i+1, i+1, max(m.size/1000, 1))
	}
	line("  workloads: # startup: from the pull until ready")
	for i := range apps {
		line("  - {name: app-%d, image: app-%d, replicas: 0, namespace: %s, startup: %s}", i+1, i+1, s.Name, spreadOf(m.wave.startup).longTail())
	}
	line("  timeline: # after half a minute, in which the controller reads the account, as it had")
	for i := range apps {
		line("  - {at: 30s, scale: {workload: app-%d, replicas: %d}}", i+1, stage.Nodes)
	}
	line("  policies: [{name: none, unpaced: {}}, {name: pace, pace: {}}]")
	return out.String()
}
