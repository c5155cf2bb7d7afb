package capture

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/kube"
)

// poolLabels say which pool of machines a node is of, in the words of those who
// make nodes.
var poolLabels = []string{
	"karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup", "cloud.google.com/gke-nodepool", "kubernetes.azure.com/agentpool",
}

// poolKey is what the nodes of a pool have in common.
type poolKey struct {
	label, machine, egress, runtime string
	room                            int64
}

// pool is a number of alike nodes.
type pool struct {
	poolKey
	name  string
	alone bool // each node has an address of its own
	nodes []*corev1.Node
	zones map[string]bool
	// pods counts the pods of workloads by node, daemons are the DaemonSets.
	pods    map[string]int
	daemons map[kube.Owner]*daemon
	room    int
}

// daemon is a DaemonSet on a pool.
type daemon struct {
	sample *corev1.Pod
	on     int
}

func (p *pool) daemon(pod *corev1.Pod, owner kube.Owner) {
	d := p.daemons[owner]
	if d == nil {
		d = &daemon{sample: pod}
		p.daemons[owner] = d
	}
	d.on++
}

// everywhere are the DaemonSets that run on most nodes of the pool, by owner.
func (p *pool) everywhere() []*daemon {
	var out []*daemon
	for _, owner := range slices.SortedFunc(maps.Keys(p.daemons), func(a, b kube.Owner) int { return strings.Compare(a.String(), b.String()) }) {
		if d := p.daemons[owner]; 2*d.on > len(p.nodes) {
			out = append(out, d)
		}
	}
	return out
}

// readNodes groups the nodes that ordinary pods may use.
func (s *capture) readNodes() {
	byKey := map[poolKey]*pool{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if keepsOut(n) {
			s.left++
			continue
		}
		egress, alone := s.rules.EgressOf(n)
		if alone {
			egress = "node"
		}
		key := poolKey{
			label: labelOf(n, poolLabels...), machine: labelOf(n, corev1.LabelInstanceTypeStable), egress: egress,
			runtime: n.Status.NodeInfo.ContainerRuntimeVersion, room: n.Status.Allocatable.Pods().Value(),
		}
		p := byKey[key]
		if p == nil {
			p = &pool{poolKey: key, alone: alone, zones: map[string]bool{}, pods: map[string]int{}, daemons: map[kube.Owner]*daemon{}}
			byKey[key] = p
			s.pools = append(s.pools, p)
		}
		p.nodes = append(p.nodes, n)
		if zone := n.Labels[corev1.LabelTopologyZone]; zone != "" {
			p.zones[s.names.of("zone", zone)] = true
		}
		s.nodes[n.Name] = p
	}
	s.namePools()
}

// keepsOut reports whether a node takes only pods that say so.
func keepsOut(n *corev1.Node) bool {
	return n.Spec.Unschedulable || slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	})
}

func labelOf(n *corev1.Node, labels ...string) string {
	for _, l := range labels {
		if v := n.Labels[l]; v != "" {
			return v
		}
	}
	return ""
}

// namePools gives each pool a name of its own: what it is called in the cluster,
// with a number where several would be the same.
func (s *capture) namePools() {
	slices.SortFunc(s.pools, func(a, b *pool) int { return strings.Compare(a.identity(), b.identity()) })
	seen := map[string]int{}
	for _, p := range s.pools {
		called := "nodes"
		if p.label != "" || p.machine != "" {
			called = s.names.of("pool", strings.Trim(p.label+"-"+p.machine, "-"))
		}
		if seen[called]++; seen[called] > 1 {
			called += "-" + strconv.Itoa(seen[called])
		}
		p.name = called
	}
	slices.SortFunc(s.pools, func(a, b *pool) int { return strings.Compare(a.name, b.name) })
}

func (p *pool) identity() string {
	return fmt.Sprint(p.label, "\x00", p.machine, "\x00", p.egress, "\x00", p.runtime, "\x00", p.room)
}

// measureRoom sets how many pods of workloads a node of each pool takes: what the
// kubelet allows less DaemonSets, and never less than it runs now.
func (s *capture) measureRoom() {
	for _, p := range s.pools {
		p.room = max(int(p.poolKey.room)-len(p.daemons), p.most(), 1)
	}
}

// most is how many pods of workloads the fullest node runs.
func (p *pool) most() int {
	most := 0
	for _, n := range p.pods {
		most = max(most, n)
	}
	return most
}

// Kubelet is the part of a kubelet's configuration that pulls depend on, and the taints
// that it gives its node.
type Kubelet struct {
	SerializeImagePulls   *bool          `json:"serializeImagePulls"`
	MaxParallelImagePulls *int32         `json:"maxParallelImagePulls"`
	RegistryPullQPS       *int32         `json:"registryPullQPS"`
	RegistryBurst         *int32         `json:"registryBurst"`
	RegisterWithTaints    []corev1.Taint `json:"registerWithTaints"`
}

// ReadKubelet reads what a kubelet answers for /configz.
func ReadKubelet(configz []byte) (Kubelet, error) {
	var answer struct {
		Config Kubelet `json:"kubeletconfig"`
	}
	if err := json.Unmarshal(configz, &answer); err != nil {
		return Kubelet{}, fmt.Errorf("reading the configuration of a kubelet: %w", err)
	}
	return answer.Config, nil
}

// Samples are nodes whose kubelets' configurations stand for all: one of each pool.
func Samples(c Cluster) []string {
	s := &capture{Cluster: c, nodes: map[string]*pool{}}
	s.rules, _ = kube.NewRules(c.Budgets, c.Policies)
	s.readNodes()
	var out []string
	for _, p := range s.pools {
		out = append(out, p.nodes[0].Name)
	}
	return out
}
