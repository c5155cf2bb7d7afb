package record

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/simulate/trace"
)

// sketch is a scenario in the making, with a short name for each long one.
type sketch struct {
	text       strings.Builder
	registries map[string]string
	images     map[string]string
}

func (s *sketch) line(format string, args ...any) { fmt.Fprintf(&s.text, format+"\n", args...) }

// skeleton is a scenario of what the run shows. What it does not show, the limits of
// registries above all, has to be written by who knows it.
func skeleton(run trace.Run) string {
	s := &sketch{registries: map[string]string{}, images: map[string]string{}}
	s.line("# Written from a recorded run. What it does not show is marked: write it before you believe a prediction.")
	s.line("apiVersion: pullpace.dev/v1alpha1\nkind: Scenario\nmetadata: {name: recorded}\nspec:")
	s.line("  replications: 200")
	s.line("  horizon: %s", max(2*run.Begin.Until.Sub(run.Begin.At).Round(time.Minute), 10*time.Minute))
	s.sources(run)
	s.nodes(run)
	s.workloads(run)
	s.line("  policies:\n  - {name: none, unpaced: {}}\n  - {name: pace, pace: {}}")
	return s.text.String()
}

// sources are the registries and images that were used.
func (s *sketch) sources(run trace.Run) {
	sizes := map[string]int64{}
	for _, image := range run.Images {
		sizes[image.Name] = image.Bytes
	}
	var names, hosts []string
	for _, p := range run.Pods {
		names = append(names, p.Images...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, name := range names {
		if host := core.Image(name).Host(); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	s.line("  registries:")
	for i, host := range hosts {
		s.registries[host] = fmt.Sprintf("registry-%d", i+1)
		s.line("  # limiters: what this registry allows is not in a recording")
		s.line("  - {name: %s, host: %q}", s.registries[host], host)
	}
	s.line("  images:")
	for i, name := range names {
		s.images[name] = fmt.Sprintf("image-%d", i+1)
		s.line("  # %q", name)
		s.line("  - {name: image-%d, registry: %s, layers: [{digest: image-%d, size: %dB}]}", i+1, s.registries[core.Image(name).Host()], i+1, max(sizes[name], 1))
	}
}

// nodes are one pool, with those that came later in the timeline.
func (s *sketch) nodes(run trace.Run) {
	zones := []string{}
	initial := 0
	for _, n := range run.Nodes {
		if zone := fmt.Sprintf("%q", n.Zone); n.Zone != "" && !slices.Contains(zones, zone) {
			zones = append(zones, zone)
		}
		if n.Created.IsZero() {
			initial++
		}
	}
	s.line("  # egress: that all nodes leave by one address is a guess")
	s.line("  egress:\n  - {name: nat}\n  nodePools:")
	s.line("  - {name: nodes, nodes: %d, egress: nat, podsPerNode: 110, zones: [%s]}", initial, strings.Join(zones, ", "))
	s.line("  timeline:")
	for _, n := range run.Nodes {
		if !n.Created.IsZero() {
			s.line("  - {at: %s, addNodes: {pool: nodes, count: 1}}", n.Created.Sub(run.Begin.At).Round(time.Second))
		}
	}
}

// workloads are scaled from nothing to what came, all at the start.
func (s *sketch) workloads(run trace.Run) {
	var lines []string
	seen := map[string]int{}
	counts := map[string]int{}
	for _, p := range run.Pods {
		counts[owner(p)]++
	}
	for _, p := range run.Pods {
		key := owner(p)
		if seen[key] > 0 || len(p.Images) == 0 {
			continue
		}
		seen[key] = len(seen) + 1
		var short []string
		for _, image := range p.Images {
			short = append(short, s.images[image])
		}
		s.line("  - {at: 0s, scale: {workload: workload-%d, replicas: %d}}", seen[key], counts[key])
		lines = append(lines, fmt.Sprintf("  # %q\n  - {name: workload-%d, images: [%s], replicas: 0, namespace: %q, startup: {constant: %s}}",
			key, seen[key], strings.Join(short, ", "), p.Namespace, startup(run, key)))
	}
	s.line("  workloads:\n%s", strings.Join(lines, "\n"))
}

func owner(p trace.Pod) string {
	if p.Workload == "" {
		return "Pod/" + p.Namespace + "/" + p.Name
	}
	kind, name, _ := strings.Cut(p.Workload, "/")
	return kind + "/" + p.Namespace + "/" + name
}

// startup is the median from a pod's last image until it was ready.
func startup(run trace.Run, key string) time.Duration {
	var all []time.Duration
	for _, p := range run.Pods {
		var last time.Time
		for _, pull := range p.Pulls {
			if pull.Pulled.After(last) {
				last = pull.Pulled
			}
		}
		if owner(p) == key && !last.IsZero() && p.Ready.After(last) {
			all = append(all, p.Ready.Sub(last))
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2].Round(time.Millisecond)
}
