package binaries

// KubernetesVersion is the version that every component reports. It must be
// that of k8s.io/kubernetes in modules/kubernetes/go.mod.
const KubernetesVersion = "v1.37.2"

// component is one program: the nested module that pins it and its main
// package.
type component struct {
	name, module, pkg, ldflags string
}

// components are the programs of a cluster, the quick ones first so that a
// mistake in the machine's set-up shows early.
func components() []component {
	const (
		plugins    = "github.com/containernetworking/plugins/plugins/"
		containerd = "github.com/containerd/containerd/v2/cmd/"
		// Without the stamp a node reports v0.0.0-master.
		stamp = "-X k8s.io/component-base/version.gitVersion=" + KubernetesVersion +
			" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37" +
			" -X k8s.io/client-go/pkg/version.gitVersion=" + KubernetesVersion
	)
	list := []component{
		{"ptp", "cni", plugins + "main/ptp", ""},
		{"host-local", "cni", plugins + "ipam/host-local", ""},
		{"loopback", "cni", plugins + "main/loopback", ""},
		{"etcd", "etcd", "go.etcd.io/etcd/server/v3", ""},
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		list = append(list, component{name, "containerd", containerd + name, ""})
	}
	for _, name := range []string{"kube-apiserver", "kube-scheduler", "kube-controller-manager", "kubelet", "kubectl"} {
		list = append(list, component{name, "kubernetes", "k8s.io/kubernetes/cmd/" + name, stamp})
	}
	return list
}

// helm is the program that the end-to-end suites deploy charts with.
func helm() []component { return []component{{"helm", "helm", "helm.sh/helm/v4/cmd/helm", ""}} }

// promtool is the program that alerts are tested with.
func promtool() []component {
	return []component{{"promtool", "prometheus", "github.com/prometheus/prometheus/cmd/promtool", ""}}
}

// autoscaler are the programs that make nodes which nobody runs and keep them Ready.
func autoscaler() []component {
	return []component{
		{"kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", ""},
		{"karpenter", "karpenter", "sigs.k8s.io/karpenter/kwok", ""},
	}
}

// argo is the controller of Argo Rollouts.
func argo() []component {
	return []component{{"rollouts-controller", "argo", "github.com/argoproj/argo-rollouts/cmd/rollouts-controller", ""}}
}

// tags are what a program is built with: promtool without the ways to discover targets,
// which it has no use for and which make nearly all of it.
func (c component) tags() string {
	if c.module == "prometheus" {
		return "remove_all_sd"
	}
	return ""
}
