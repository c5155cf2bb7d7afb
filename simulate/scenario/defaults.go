package scenario

import (
	"reflect"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Default is what a field is when a file leaves it out.
type Default struct {
	// Field as a path below spec, with [] for each list.
	Field string
	// Value as a file would have it.
	Value string
	// Source is where it comes from.
	Source string
	// If says what the default is bound to, in words; empty: nothing.
	If string

	// when tells from the fields beside it whether the default applies; nil: always.
	when func(given map[string]string) bool
}

// The sources that several defaults have in common.
const (
	sourceScheduler  = "kube-scheduler 1.37, client connection"
	sourceController = "kube-controller-manager 1.37, client connection"
	sourceKubelet    = "KubeletConfiguration 1.37"
	sourceContainerd = "containerd 2, transfer service"
	sourceDeployment = "Deployment, apps/v1; Rollout, argoproj.io/v1alpha1"
	sourceScenario   = "scenario"
	sourceAssumed    = "assumed, not measured: set what your nodes do"
)

// Defaults is the table that files are completed from. What it does not name is
// zero, empty or absent. What policies and budgets default to is in pacer/api.
func Defaults() []Default {
	return []Default{
		{Field: "seed", Value: "1", Source: sourceScenario},
		{Field: "replications", Value: "1", Source: sourceScenario},
		{Field: "horizon", Value: "24h", Source: sourceScenario},
		{Field: "cluster.createQPS", Value: "20", Source: sourceController},
		{Field: "cluster.createBurst", Value: "30", Source: sourceController},
		{Field: "cluster.bindQPS", Value: "50", Source: sourceScheduler},
		{Field: "cluster.bindBurst", Value: "100", Source: sourceScheduler},
		{Field: "registries[].rtt", Value: "{constant: 0s}", Source: sourceScenario},
		{Field: "registries[].limiters[].per", Value: "EgressIP", Source: "Docker Hub, anonymous pulls"},
		{Field: "registries[].limiters[].counts", Value: "Pull", Source: "Docker Hub"},
		{Field: "registries[].limiters[].headers", Value: "true", Source: "Docker Hub"},
		{Field: "registries[].limiters[].headWhenEmpty", Value: "Allow", Source: "Docker Hub"},
		{Field: "egress[].ips", Value: "1", Source: sourceScenario},
		{Field: "mirrors[].rtt", Value: "{constant: 0s}", Source: sourceScenario},
		{Field: "mirrors[].egress", Value: DefaultEgress, Source: sourceScenario},
		{Field: "nodePools[].egress", Value: DefaultEgress, Source: "scenario: one address without a bound of bandwidth"},
		{Field: "nodePools[].podsPerNode", Value: "110", Source: sourceKubelet + ", maxPods"},
		{Field: "nodePools[].kubelet.serializeImagePulls", Value: "true", Source: sourceKubelet,
			If: "maxParallelImagePulls is not above 1", when: func(given map[string]string) bool { return !parallel(given) }},
		{Field: "nodePools[].kubelet.registryPullQPS", Value: "5", Source: sourceKubelet},
		{Field: "nodePools[].kubelet.registryBurst", Value: "10", Source: sourceKubelet},
		{Field: "nodePools[].runtime.type", Value: string(Containerd), Source: sourceScenario},
		{Field: "nodePools[].runtime.attemptsOn429", Value: "5", Source: "containerd 2, resolver"},
		{Field: "nodePools[].runtime.maxConcurrentDownloads", Value: "3", Source: sourceContainerd},
		{Field: "nodePools[].runtime.unpack", Value: "100MBps", Source: sourceAssumed},
		{Field: "nodePools[].runtime.sandbox", Value: "{constant: 0s}", Source: sourceScenario},
		{Field: "nodePools[].runtime.start", Value: "{constant: 0s}", Source: sourceScenario},
		{Field: "nodePools[].autoscaler.boot", Value: "{lognormal: {p50: 45s, p99: 110s}}", Source: sourceAssumed,
			If: "type is Karpenter", when: hasType(Karpenter)},
		{Field: "nodePools[].autoscaler.boot", Value: "{lognormal: {p50: 120s, p99: 304s}}", Source: sourceAssumed,
			If: "type is ClusterAutoscaler", when: hasType(ClusterAutoscaler)},
		{Field: "nodePools[].autoscaler.batchIdle", Value: "1s", Source: "Karpenter 1.14", If: "type is Karpenter", when: hasType(Karpenter)},
		{Field: "nodePools[].autoscaler.batchMax", Value: "10s", Source: "Karpenter 1.14", If: "type is Karpenter", when: hasType(Karpenter)},
		{Field: "nodePools[].autoscaler.scanInterval", Value: "10s", Source: "cluster-autoscaler, scan-interval",
			If: "type is ClusterAutoscaler", when: hasType(ClusterAutoscaler)},
		{Field: "workloads[].kind", Value: string(Deployment), Source: sourceScenario},
		{Field: "workloads[].imagePullPolicy", Value: string(IfNotPresent), Source: "Pod, v1"},
		{Field: "workloads[].class", Value: "rollout", Source: "PacePolicy, defaultClass"},
		{Field: "workloads[].namespace", Value: "default", Source: sourceScenario},
		{Field: "workloads[].startup", Value: "{constant: 0s}", Source: sourceScenario},
		{Field: "workloads[].strategy.maxSurge", Value: "25%", Source: sourceDeployment},
		{Field: "workloads[].strategy.maxUnavailable", Value: "25%", Source: sourceDeployment},
		{Field: "workloads[].steps[].gate.interval", Value: "20s", Source: "ClusterAnalysisTemplate pull-budget"},
		{Field: "faults[].outage.factor", Value: "10", Source: sourceScenario, If: "mode is Slow",
			when: func(given map[string]string) bool { return given["mode"] == string(OutageSlow) }},
		{Field: "policies[].staticRate.burst", Value: "1", Source: sourceScenario},
	}
}

// parallel reports whether kubelet's default of serializeImagePulls gives way.
func parallel(given map[string]string) bool {
	n, err := strconv.Atoi(given["maxParallelImagePulls"])
	return err == nil && n > 1
}

func hasType(want AutoscalerType) func(map[string]string) bool {
	return func(given map[string]string) bool { return given["type"] == string(want) }
}

// fillDefault fills a field that is not there, and notes with what. A struct is
// filled by the defaults of its own fields.
func (d *decoder) fillDefault(path string, given map[string]string, f structField, v reflect.Value) {
	if def, ok := d.defaultOf(path, given); ok {
		d.fill(path, def, v)
	} else if f.nested {
		d.value(path, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, v)
	}
}

// readyDefault is a default as a file has it.
type readyDefault struct {
	Default
	node *yaml.Node
	err  error
}

func (d Default) ready() readyDefault {
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(d.Value), &document); err != nil {
		return readyDefault{Default: d, err: err}
	}
	return readyDefault{Default: d, node: document.Content[0]}
}

// defaultOf is the default of a field beside the given ones.
func (d *decoder) defaultOf(path string, given map[string]string) (readyDefault, bool) {
	for _, def := range d.defaults[patternOf(path)] {
		if def.when == nil || def.when(given) {
			return def, true
		}
	}
	return readyDefault{}, false
}

// fill sets a default; that every one can be read is tested.
func (d *decoder) fill(path string, def readyDefault, v reflect.Value) {
	if def.err != nil {
		d.fail(path, "reading the default: %v", def.err)
		return
	}
	d.filling = true
	d.value(path, def.node, v)
	d.filling = false
	d.rows = append(d.rows, Row{Path: path, Value: def.Value, Source: def.Source})
}
