//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kubeletConfig is the KubeletConfiguration of the node.
func (n *Node) kubeletConfig() (map[string]any, error) {
	taints, err := parseTaints(n.options.Taints)
	if err != nil {
		return nil, err
	}
	config := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"x509":      map[string]any{"clientCAFile": n.cluster.path("pki", "ca.crt")},
		},
		"containerRuntimeEndpoint": "unix://" + runtimeSocket,
		"clusterDNS":               []string{dnsService().String()},
		"clusterDomain":            "cluster.local",
		"resolvConf":               n.path("resolv.conf"),
		// The machine may have cgroups of version 1.
		"failCgroupV1":           false,
		"cgroupDriver":           "cgroupfs",
		"cgroupsPerQOS":          false,
		"enforceNodeAllocatable": []string{},
		"failSwapOn":             false,
		"makeIPTablesUtilChains": false,
		// Which images a node holds is the tests' business.
		"imageGCHighThresholdPercent": 100,
		// Of a large disk even one percent is more than a run needs.
		"evictionHard": map[string]string{
			"memory.available": "50Mi", "nodefs.available": "200Mi", "imagefs.available": "200Mi", "nodefs.inodesFree": "1%",
		},
		"nodeStatusUpdateFrequency": "4s",
		"registerWithTaints":        taints,
	}
	maps.Copy(config, n.options.Kubelet)
	return config, nil
}

// parseTaints reads key=value:effect or key:effect.
func parseTaints(texts []string) ([]corev1.Taint, error) {
	taints := []corev1.Taint{}
	for _, text := range texts {
		rest, effect, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("taint %q: want key=value:effect or key:effect", text)
		}
		key, value, _ := strings.Cut(rest, "=")
		taints = append(taints, corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)})
	}
	return taints, nil
}

// labels is the value of --node-labels.
func (n *Node) labels() string {
	all := maps.Clone(n.options.Labels)
	if all == nil {
		all = map[string]string{}
	}
	if n.options.Zone != "" {
		all[corev1.LabelTopologyZone] = n.options.Zone
	}
	var list []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		list = append(list, key+"="+all[key])
	}
	return strings.Join(list, ",")
}

// startKubelet starts the kubelet of a node that has booted.
func (n *Node) startKubelet(ctx context.Context) error {
	config, err := n.kubeletConfig()
	if err != nil {
		return err
	}
	content, err := yaml.Marshal(config)
	if err != nil {
		return fmt.Errorf("writing the kubelet's configuration: %w", err)
	}
	if err := os.WriteFile(n.path("kubelet.yaml"), content, 0o644); err != nil {
		return fmt.Errorf("writing the kubelet's configuration: %w", err)
	}
	holder, err := n.cluster.ca.issue(identity{user: "system:node:" + n.options.Name, groups: []string{"system:nodes"}})
	if err != nil {
		return err
	}
	if err := n.cluster.writeKubeconfig(n.path("kubeconfig"), n.cluster.plan.bridge(), holder); err != nil {
		return err
	}
	return n.launch(ctx, "kubelet", []string{
		"kubelet", "--config=" + n.path("kubelet.yaml"), "--kubeconfig=" + n.path("kubeconfig"),
		"--hostname-override=" + n.options.Name, "--node-ip=" + n.address.String(), "--node-labels=" + n.labels(),
		"--volume-plugin-dir=/var/lib/kubelet/plugins-exec", "--v=2",
	}, nil)
}

// AwaitReady returns when the API server says that the node is Ready in its
// current boot, and pods may be scheduled to it.
func (n *Node) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return n.cluster.until(ctx, n.options.Name+" to be Ready", func(ctx context.Context) error {
		node, err := n.cluster.client.CoreV1().Nodes().Get(ctx, n.options.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return n.ready(node)
	})
}

// ready says why the node is not.
func (n *Node) ready(node *corev1.Node) error {
	if node.Status.NodeInfo.BootID != n.bootID {
		return errors.New("its kubelet has not reported since it booted")
	}
	for _, taint := range node.Spec.Taints {
		// The controller takes these off a moment after the node is Ready.
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return fmt.Errorf("it has the taint %s", taint.Key)
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("its conditions are %v", node.Status.Conditions)
}
