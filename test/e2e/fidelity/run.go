//go:build linux

package fidelity

import (
	"context"
	"fmt"
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

// calm are so many Deployments, one after the other: a pod on a node at a time.
const calm = 5

// oneByOne makes Deployments one after the other.
func oneByOne(ctx context.Context, s *stage.Stage) (trace.Run, error) {
	return recorded(ctx, s, calm*stage.Nodes, func(ctx context.Context) error {
		for i := range calm {
			name := fmt.Sprintf("calm-%d", i+1)
			if err := s.Deploy(ctx, name, stage.Nodes); err != nil {
				return err
			}
			if err := s.Await(ctx, name); err != nil {
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

// spread is what samples were: the least, the median and the most.
type spread struct{ least, median, most time.Duration }

func (d spread) String() string { return fmt.Sprintf("%s..%s..%s", d.least, d.median, d.most) }

// longTail is the distribution of what mostly takes as long, with the most of the
// samples for the 99th percentile.
func (d spread) longTail() string {
	return fmt.Sprintf("{lognormal: {p50: %s, p99: %s}}", d.median, d.most)
}

// queue is the distribution of what is done one after the other.
func (d spread) queue() string { return fmt.Sprintf("{uniform: {min: %s, max: %s}}", d.least, d.most) }

// spreadOf is that of samples. A distribution needs some width, and times above zero.
func spreadOf(samples []time.Duration) spread {
	slices.Sort(samples)
	median := max(samples[len(samples)/2], time.Millisecond)
	most := max(samples[len(samples)-1], median+median/100) + time.Millisecond
	return spread{max(samples[0], 0).Round(time.Millisecond), median.Round(time.Millisecond), most.Round(time.Millisecond)}
}

// times are what pods took on a registry that refused nothing: from their creation to
// their first pull, one request to the registry, a whole pull, and from there until
// they were ready.
type times struct{ sandbox, rtt, took, startup spread }

func (t times) String() string {
	return fmt.Sprintf("sandbox:%s,rtt:%s,pull:%s,startup:%s", t.sandbox, t.rtt, t.took, t.startup)
}

// machine is what a simulation must be told of this machine. How long nodes take
// depends on how much they do at once, which is not modelled: so it was measured in
// a crowd, as an unpaced scale-up makes all its sandboxes, and calm, as all else.
type machine struct {
	crowd, calm times
	// size is what an image weighs.
	size int64
}

// requests are those of a cold pull one after the other: HEAD, the manifest, the
// configuration, and layers side by side.
const requests = 4

// unpack is how many compressed bytes a second come from what is left of a pull.
func (m *machine) unpack() int64 {
	rest := max(m.calm.took.median-requests*m.calm.rtt.median, time.Millisecond)
	return int64(float64(m.size) / rest.Seconds())
}

// measure reads what a run on a registry that refused nothing shows.
func measure(run trace.Run, entries []registry.Entry) (times, error) {
	var sandbox, startup, took []time.Duration
	for _, p := range run.Pods {
		if len(p.Pulls) != 1 || p.Pulls[0].Began.IsZero() || p.Pulls[0].Pulled.IsZero() || p.Ready.IsZero() || p.Pulls[0].Throttled > 0 {
			return times{}, fmt.Errorf("pod %s is not as expected: %+v", p.Name, p)
		}
		pull := p.Pulls[0]
		sandbox = append(sandbox, pull.Began.Sub(p.Created))
		startup = append(startup, p.Ready.Sub(pull.Pulled))
		took = append(took, pull.Took)
	}
	gaps := gaps(entries)
	if len(gaps) != len(run.Pods) {
		return times{}, fmt.Errorf("%d pulls are in the registry's log, want %d", len(gaps), len(run.Pods))
	}
	return times{sandbox: spreadOf(sandbox), rtt: spreadOf(gaps), took: spreadOf(took), startup: spreadOf(startup)}, nil
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

// scenario is the scale-up of a stage on this machine, as it goes with a policy.
func (m *machine) scenario(s *stage.Stage, policy string) string {
	sandbox, where := m.calm.sandbox.longTail(), "one pod on a node at a time"
	if policy == "none" {
		sandbox, where = m.crowd.sandbox.queue(), "all pods at once"
	}
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("# Times were measured before, on a registry that refuses nothing, one pod on a node at a time where not said otherwise.")
	line("apiVersion: pullpace.dev/v1alpha1\nkind: Scenario\nmetadata: {name: fidelity}\nspec:")
	line("  seed: 1\n  replications: 200\n  horizon: 10m")
	// What the stage is: its limiter, and the kubelets' configuration of all stages.
	line("  registries:\n  - name: hub\n    host: %s", s.Host.Name())
	line("    limiters: [{type: RollingLog, per: EgressIP, counts: ManifestGET, limit: %d, window: %s}]", s.Options.Limit, s.Options.Window)
	line("    rtt: %s # between HEAD and GET of a manifest in the registry's log", m.calm.rtt.longTail())
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
		line("  - {name: app-%d, image: app-%d, replicas: 0, namespace: %s, startup: %s}", i+1, i+1, s.Name, m.calm.startup.longTail())
	}
	line("  timeline: # after half a minute, in which the controller reads the account, as it had")
	for i := range apps {
		line("  - {at: 30s, scale: {workload: app-%d, replicas: %d}}", i+1, stage.Nodes)
	}
	line("  policies: [{name: none, unpaced: {}}, {name: pace, pace: {}}]")
	return out.String()
}
