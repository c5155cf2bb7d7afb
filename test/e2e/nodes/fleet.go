//go:build linux

package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
)

// labelGroup names the pool of nodes that no autoscaler of this suite makes.
const labelGroup = "eks.amazonaws.com/nodegroup"

// fleet is a stage with a pool of nodes that the case itself makes, as a cloud's group of
// machines does, and an agent that every one of them runs.
type fleet struct {
	*stage.Stage
	seen *register
	// startsIn is how long its nodes are not Ready.
	startsIn time.Duration
	// warm are the nodes that hold what they run from the start.
	warm []string
}

// agent is the app of the DaemonSet.
const agent = "agent"

// newFleet makes a DaemonSet and as many nodes that are Ready and hold its image.
func newFleet(ctx context.Context, s *stage.Stage, warm int) (*fleet, error) {
	f := &fleet{Stage: s, startsIn: startsIn}
	if err := runAgent(ctx, s, labelGroup); err != nil {
		return nil, err
	}
	if err := f.watch(ctx); err != nil {
		return nil, err
	}
	names := f.names("warm", warm)
	f.warm = names
	return f, all(f.register(ctx, names, 0), f.joined(ctx, names))
}

// names are those of n nodes.
func (f *fleet) names(kind string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%s-%d", f.Name, kind, i+1))
	}
	return names
}

// How long a node that registers is not Ready, the window in which it can be held: about
// as long as with kubelets and longer than the longest turn of a busy machine, or, where
// hundreds come within a minute, short enough that few of them are on their way at once.
const (
	startsIn     = 20 * time.Second
	startsSooner = 10 * time.Second
)

// node is one that registers.
func (f *fleet) node(name string) *corev1.Node {
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("16Gi"), corev1.ResourcePods: resource.MustParse("110")}
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			cluster.LabelUnrun: cluster.LabelUnrunValue, corev1.LabelHostname: name, labelGroup: f.Name,
			corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		}, Annotations: map[string]string{cluster.AnnotationReadyAfter: f.startsIn.String()}},
		Spec:   corev1.NodeSpec{Taints: []corev1.Taint{{Key: own, Value: f.Name, Effect: corev1.TaintEffectNoSchedule}}},
		Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
	}
	n.Status.NodeInfo.BootID = name + "-1"
	// As kubelets do. Without a condition the taint of a node that is not ready goes at
	// once.
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
	if slices.Contains(f.warm, name) {
		n.Status.Phase, n.Status.Images = corev1.NodeRunning, []corev1.ContainerImage{{Names: []string{f.Image(agent)}, SizeBytes: 1 << 20}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}}
	}
	return n
}

// register makes nodes at once, or one after the other over some time.
func (f *fleet) register(ctx context.Context, names []string, within time.Duration) error {
	group, making := errgroup.WithContext(ctx)
	group.SetLimit(hands)
	for _, name := range names {
		group.Go(func() error {
			if err := f.Client.Create(making, f.node(name)); err != nil {
				return fmt.Errorf("making a node: %w", err)
			}
			return nil
		})
		if err := stage.Pass(making, within/time.Duration(len(names))); err != nil {
			break
		}
	}
	return group.Wait()
}

// registerTainted makes a node that registers with the taint of a hold, as one does whose
// kubelet is told to, and that no controller has seen.
func (f *fleet) registerTainted(ctx context.Context, name string) error {
	n := f.node(name)
	n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule})
	if err := f.Client.Create(ctx, n); err != nil {
		return fmt.Errorf("making a node: %w", err)
	}
	return nil
}

// hands are how many nodes are made at a time.
const hands = 8

// runAgent has the agent run on all nodes whose label key is the name of the stage.
func runAgent(ctx context.Context, s *stage.Stage, key string) error {
	if err := s.Push(ctx, s.Image(agent)); err != nil {
		return err
	}
	if err := s.Client.Create(ctx, daemonSet(s, key)); err != nil {
		return fmt.Errorf("making a DaemonSet: %w", err)
	}
	return nil
}

// daemonSet is the agent, on the nodes whose label key is the name of the stage.
func daemonSet(s *stage.Stage, key string) *appsv1.DaemonSet {
	of := map[string]string{"app": agent}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: agent},
		Spec: appsv1.DaemonSetSpec{Selector: &metav1.LabelSelector{MatchLabels: of}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: of},
			Spec: corev1.PodSpec{
				TerminationGracePeriodSeconds: new(int64(0)), AutomountServiceAccountToken: new(bool), DNSPolicy: corev1.DNSDefault,
				NodeSelector: map[string]string{key: s.Name},
				Tolerations:  []corev1.Toleration{{Key: own, Operator: corev1.TolerationOpExists}},
				Containers:   []corev1.Container{{Name: "app", Image: s.Image(agent), ImagePullPolicy: corev1.PullIfNotPresent}},
			},
		}},
	}
}

// joined returns when the agent is Ready on all those nodes and nothing of a hold is left
// on them.
func (f *fleet) joined(ctx context.Context, names []string) error {
	return stage.Poll(ctx, "nodes to join", func(context.Context) (bool, string, error) {
		joined, held := f.seen.count(names)
		return joined == len(names), fmt.Sprintf("%d of %d joined, %d held", joined, len(names), held), nil
	})
}

// nodeHeld says whether anything of a hold is on a node.
func nodeHeld(n *corev1.Node) bool { return tainted(n) || n.Labels[v1alpha1.LabelHeld] != "" }

func tainted(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint })
}

// held returns when so many nodes of the fleet wear the taint.
func (f *fleet) held(ctx context.Context, want int) error {
	return stage.Poll(ctx, fmt.Sprintf("%d nodes to be held", want), func(context.Context) (bool, string, error) {
		names := f.seen.those(f.seen.held)
		return len(names) >= want, fmt.Sprintf("%d are: %v", len(names), names), nil
	})
}

// done removes the nodes of the fleet, unless something was found wrong: then they are
// left, to be inspected.
func (f *fleet) done(ctx context.Context, found ...error) error {
	if err := all(found...); err != nil {
		return err
	}
	return f.clear(ctx)
}

func (f *fleet) clear(ctx context.Context) error {
	if out := f.Kubectl(ctx, "delete", "nodes", "-l", labelGroup+"="+f.Name, "--wait=false"); out.Code != 0 {
		return errors.New(out.String())
	}
	return nil
}

// register is what was seen of a fleet. It is safe for concurrent use.
type register struct {
	mu sync.Mutex
	// held and wore are the nodes that have something of a hold on them, and that ever
	// wore the taint; robbed are those that lost a taint which is not Pace's.
	held, wore, robbed map[string]bool
	// runs are the nodes on which the agent is Ready.
	runs map[string]bool
}

// watch begins to see the nodes of the fleet and the agents on them.
func (f *fleet) watch(ctx context.Context) error {
	r := &register{held: map[string]bool{}, wore: map[string]bool{}, robbed: map[string]bool{}, runs: map[string]bool{}}
	f.seen = r
	nodes := informers.NewSharedInformerFactoryWithOptions(f.Cluster.Client(), 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = labels.Set{labelGroup: f.Name}.String()
	}))
	pods := informers.NewSharedInformerFactoryWithOptions(f.Cluster.Client(), 0, informers.WithNamespace(f.Name))
	_, nodeErr := nodes.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.node(o.(*corev1.Node)) },
		UpdateFunc: func(_, o any) { r.node(o.(*corev1.Node)) },
	})
	_, podErr := pods.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { r.pod(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { r.pod(o.(*corev1.Pod)) },
	})
	if err := all(nodeErr, podErr); err != nil {
		return fmt.Errorf("watching nodes and pods: %w", err)
	}
	for _, factory := range []informers.SharedInformerFactory{nodes, pods} {
		factory.Start(ctx.Done())
		factory.WaitForCacheSync(ctx.Done())
	}
	return context.Cause(ctx)
}

func (r *register) node(n *corev1.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[n.Name] = nodeHeld(n)
	r.wore[n.Name] = r.wore[n.Name] || tainted(n)
	if !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == own }) {
		r.robbed[n.Name] = true
	}
}

func (r *register) pod(p *corev1.Pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Status.Phase == corev1.PodRunning {
		r.runs[p.Spec.NodeName] = true
	}
}

// count is how many of those nodes run the agent and have nothing of a hold on them, and
// how many are held.
func (r *register) count(names []string) (joined, held int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		switch {
		case r.held[name]:
			held++
		case r.runs[name]:
			joined++
		}
	}
	return joined, held
}

// those are the nodes in one of the sets.
func (r *register) those(set map[string]bool) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, is := range set {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
