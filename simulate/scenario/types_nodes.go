package scenario

import "time"

// NodePool is a number of alike nodes. Node i is in zone i mod zones.
type NodePool struct {
	// Name that timelines and faults use.
	Name string `json:"name"`
	// Cluster that the nodes are of, where there are several.
	Cluster string `json:"cluster,omitempty"`
	// Nodes at the start.
	Nodes int `json:"nodes,omitempty"`
	// Egress group of the nodes.
	Egress string `json:"egress,omitempty"`
	// Zones that the nodes are spread over.
	Zones []string `json:"zones,omitempty"`
	// NIC is the bandwidth of a node; 0 is unlimited.
	NIC Bandwidth `json:"nic,omitempty"`
	// PodsPerNode is the room of a node, without DaemonSet pods.
	PodsPerNode int `json:"podsPerNode,omitempty"`
	// Cold empties the nodes' caches at the start.
	Cold bool `json:"cold,omitempty"`
	// Warm are images that the nodes hold at the start and new nodes come with, as a
	// team has them that bakes or pins images.
	Warm []string `json:"warm,omitempty"`
	// Kubelet pulls by these rules.
	Kubelet Kubelet `json:"kubelet,omitempty"`
	// Runtime downloads and unpacks.
	Runtime Runtime `json:"runtime,omitempty"`
	// DaemonSets are the images of pods that every node runs.
	DaemonSets []string `json:"daemonSets,omitempty"`
	// Autoscaler adds nodes for pods that find no room.
	Autoscaler *Autoscaler `json:"autoscaler,omitempty"`
}

// Kubelet is the part of a kubelet's configuration that pulls depend on.
type Kubelet struct {
	// SerializeImagePulls pulls one image at a time.
	SerializeImagePulls bool `json:"serializeImagePulls,omitempty"`
	// MaxParallelImagePulls at a time, if pulls are not serialized; 0 is no bound.
	MaxParallelImagePulls int `json:"maxParallelImagePulls,omitempty"`
	// RegistryPullQPS is how many pulls a second are begun; 0 is unlimited.
	RegistryPullQPS int `json:"registryPullQPS,omitempty"`
	// RegistryBurst is how many are begun at once.
	RegistryBurst int `json:"registryBurst,omitempty"`
}

// RuntimeType is a container runtime.
type RuntimeType string

// The runtimes.
const (
	Containerd RuntimeType = "containerd"
	// CRIO follows CRI-O's pattern of requests, which was read and not compared with a
	// real run.
	CRIO RuntimeType = "CRI-O"
)

// Runtime is the container runtime of a node.
type Runtime struct {
	// Type is containerd or CRI-O.
	Type RuntimeType `json:"type,omitempty"`
	// AttemptsOn429 are sends of a request in all, at once after each other, while the
	// answer is 429.
	AttemptsOn429 int `json:"attemptsOn429,omitempty"`
	// MaxConcurrentDownloads of layers at a time on a node; 0 is unlimited.
	MaxConcurrentDownloads int `json:"maxConcurrentDownloads,omitempty"`
	// Unpack is compressed bytes a second, one layer after the other; 0 takes no time.
	Unpack Bandwidth `json:"unpack,omitempty"`
	// Sandbox is the time that a pod's sandbox takes.
	Sandbox Distribution `json:"sandbox,omitempty"`
	// Start is the time from the last image to the container that runs.
	Start Distribution `json:"start,omitempty"`
}

// AutoscalerType is a way of adding nodes.
type AutoscalerType string

// The autoscalers.
const (
	Karpenter         AutoscalerType = "Karpenter"
	ClusterAutoscaler AutoscalerType = "ClusterAutoscaler"
)

// Autoscaler adds nodes for pods that find no room. Added nodes are cold.
type Autoscaler struct {
	// Type is Karpenter or ClusterAutoscaler.
	Type AutoscalerType `json:"type"`
	// Max is how many nodes the pool may have in all.
	Max int `json:"max"`
	// Boot is the time from the decision to a node that takes pods.
	Boot Distribution `json:"boot,omitempty"`
	// BatchIdle ends a batch of Karpenter when no pod came for so long.
	BatchIdle time.Duration `json:"batchIdle,omitempty"`
	// BatchMax ends a batch of Karpenter at the latest.
	BatchMax time.Duration `json:"batchMax,omitempty"`
	// ScanInterval is how often cluster-autoscaler looks.
	ScanInterval time.Duration `json:"scanInterval,omitempty"`
}

// Image is what a registry serves.
type Image struct {
	// Name that workloads, daemonSets and mirrors use.
	Name string `json:"name"`
	// Registry that it comes from.
	Registry string `json:"registry"`
	// MultiArch is an index and a manifest for each platform: two manifest GETs.
	MultiArch bool `json:"multiArch,omitempty"`
	// Layers in order. The same digest is the same layer, in every image.
	Layers []Layer `json:"layers,omitempty"`
}

// Layer is a part of images.
type Layer struct {
	// Digest names the layer; any word will do.
	Digest string `json:"digest"`
	// Size as it is downloaded, compressed.
	Size Size `json:"size"`
}

// WorkloadKind is the kind of a workload.
type WorkloadKind string

// The kinds.
const (
	Deployment WorkloadKind = "Deployment"
	Job        WorkloadKind = "Job"
	// DaemonSet has one pod on each node, Replicas is not read. Its pods are in none of
	// the figures of pods.
	DaemonSet WorkloadKind = "DaemonSet"
	// Rollout of Argo replaces its pods by Steps; without any it does so as a Deployment.
	Rollout WorkloadKind = "Rollout"
)

// PullPolicy is a container's imagePullPolicy.
type PullPolicy string

// The policies.
const (
	IfNotPresent PullPolicy = "IfNotPresent"
	// Always asks the registry each time, by HEAD where the image is there.
	Always PullPolicy = "Always"
)

// Workload owns pods.
type Workload struct {
	// Name that timelines use.
	Name string `json:"name"`
	// Cluster that the pods are of, where there are several.
	Cluster string `json:"cluster,omitempty"`
	// Kind is Deployment, Job, DaemonSet or Rollout.
	Kind WorkloadKind `json:"kind,omitempty"`
	// Image of the pods.
	Image string `json:"image,omitempty"`
	// Images of pods with several containers, pulled in this order, instead of Image.
	Images []string `json:"images,omitempty"`
	// ImagePullPolicy is IfNotPresent or Always.
	ImagePullPolicy PullPolicy `json:"imagePullPolicy,omitempty"`
	// Replicas at the start, Running and Ready unless Cold.
	Replicas int `json:"replicas,omitempty"`
	// Class orders demand; a policy's classes say more for real clusters.
	Class Class `json:"class,omitempty"`
	// Namespace of the pods.
	Namespace string `json:"namespace,omitempty"`
	// Cold makes the pods pending at the start, their images on no node.
	Cold bool `json:"cold,omitempty"`
	// Startup is the time from a running container to a ready pod.
	Startup Distribution `json:"startup,omitempty"`
	// Strategy of a Deployment's or a Rollout's rollouts.
	Strategy Strategy `json:"strategy,omitempty"`
	// Steps of a Rollout's canary.
	Steps []Step `json:"steps,omitempty"`
	// TrafficRouting of a Rollout's canary.
	TrafficRouting *TrafficRouting `json:"trafficRouting,omitempty"`
	// NodePools that the pods may run on; empty is all of the cluster.
	NodePools []string `json:"nodePools,omitempty"`
}

// Strategy is how a Deployment or a Rollout replaces pods.
type Strategy struct {
	// MaxSurge is a number of pods above replicas or a percentage, rounded up.
	MaxSurge Portion `json:"maxSurge,omitempty"`
	// MaxUnavailable is a number of pods below replicas or a percentage, rounded down.
	MaxUnavailable Portion `json:"maxUnavailable,omitempty"`
}
