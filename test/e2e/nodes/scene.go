//go:build linux

package nodes

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/test/e2e/stage"
)

// labelPool is on every node and NodeClaim of a NodePool.
const labelPool = "karpenter.sh/nodepool"

// own taints the nodes of every NodePool, so that nothing comes to them by chance.
const own = "pace.test/pool"

// nodeClass is that of all NodePools.
const nodeClass = `apiVersion: karpenter.kwok.sh/v1alpha1
kind: KWOKNodeClass
metadata: {name: default}
`

// scene is a stage with a NodePool of its name.
type scene struct{ *stage.Stage }

// pool makes a NodePool whose nodes have 4 processors, and register with those taints,
// which go when somebody takes them off.
func (s *scene) pool(ctx context.Context, startupTaints []string) error {
	startup := ""
	for _, key := range startupTaints {
		startup += fmt.Sprintf("\n      - {key: %s, effect: NoSchedule}", key)
	}
	if startup != "" {
		startup = "\n      startupTaints:" + startup
	}
	return s.Apply(ctx, fmt.Sprintf(`apiVersion: karpenter.sh/v1
kind: NodePool
metadata: {name: %[1]s}
spec:
  template:
    spec:
      nodeClassRef: {group: karpenter.kwok.sh, kind: KWOKNodeClass, name: default}
      expireAfter: Never
      taints:
      - {key: %[2]s, value: %[1]s, effect: NoSchedule}%[3]s
      requirements:
      - {key: karpenter.sh/capacity-type, operator: In, values: [on-demand]}
      - {key: node.kubernetes.io/instance-type, operator: In, values: [c-4x-amd64-linux]}
  disruption: {consolidationPolicy: WhenEmpty, consolidateAfter: Never}
`, s.Name, own, startup))
}

// clear removes the NodePool, and with it its nodes, unless the case failed and is to be
// inspected.
func (s *scene) clear(ctx context.Context, failed error) error {
	if failed != nil {
		return nil
	}
	if out := s.Kubectl(ctx, "delete", "nodepool", s.Name, "--wait=false"); out.Code != 0 {
		return fmt.Errorf("removing a NodePool: %s", out)
	}
	return nil
}

// oneANode is what a pod asks for of whose kind a node of the pool has room for one,
// threeANode for three: of 4 processors Karpenter keeps a tenth of one back.
const (
	oneANode   = "3"
	threeANode = "1200m"
)

// workload pushes the app's image and returns a Deployment of it whose pods go to the
// nodes of the pool and ask for so many processors.
func (s *scene) workload(ctx context.Context, app string, replicas int32, cpu string) (*appsv1.Deployment, error) {
	d, err := s.Deployment(ctx, app, replicas)
	if err != nil {
		return nil, err
	}
	pod := &d.Spec.Template.Spec
	pod.TopologySpreadConstraints = nil
	pod.NodeSelector = map[string]string{labelPool: s.Name}
	pod.Tolerations = []corev1.Toleration{{Key: own, Operator: corev1.TolerationOpExists}}
	pod.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	return d, nil
}

// deploy makes a workload.
func (s *scene) deploy(ctx context.Context, app string, replicas int32, cpu string) error {
	d, err := s.workload(ctx, app, replicas, cpu)
	if err != nil {
		return err
	}
	return s.Create(ctx, d)
}

// runs returns when so many pods of the app are Ready, as they say themselves. What a
// Deployment counts can be minutes behind where the machine is busy: its controller waits
// the longer for its own writes the more often it looked in vain.
func (s *scene) runs(ctx context.Context, want int) error {
	_, err := s.AwaitPods(ctx, "app", fmt.Sprintf("%d pods to be Ready", want), func(pods []corev1.Pod) bool {
		return len(pods) == want && stage.Count(pods, podReady) == want
	})
	return err
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// nodes are those of the pool.
func (s *scene) nodes(ctx context.Context) ([]corev1.Node, error) {
	var list corev1.NodeList
	if err := s.Client.List(ctx, &list, client.MatchingLabels{labelPool: s.Name}); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	return list.Items, nil
}

// claims are when the NodeClaims of the pool were made, oldest first.
func (s *scene) claims(ctx context.Context) (made []time.Time, err error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "karpenter.sh", Version: "v1", Kind: "NodeClaimList"})
	if err := s.Client.List(ctx, list, client.MatchingLabels{labelPool: s.Name}); err != nil {
		return nil, fmt.Errorf("listing NodeClaims: %w", err)
	}
	for i := range list.Items {
		made = append(made, list.Items[i].GetCreationTimestamp().Time)
	}
	slices.SortFunc(made, time.Time.Compare)
	return made, nil
}
