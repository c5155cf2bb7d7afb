package puller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
)

// Options are what an Agent needs.
type Options struct {
	Client kubernetes.Interface
	// Selector is of the nodes that the agent works for.
	Selector string
	// Namespace is that of the pods that it starts; empty: all.
	Namespace string
	// Registry is the client that a node reaches registries with: what they meter is its
	// source.
	Registry func(node *corev1.Node) *http.Client
	// Quiet writes no Events.
	Quiet bool
}

// Agent works for all nodes of a kind.
type Agent struct {
	o     Options
	pods  cache.Indexer
	nodes sync.WaitGroup
	told  atomic.Int64 // Events

	mu       sync.Mutex
	machines map[string]*machine
	ends     map[string]context.CancelFunc
	errs     []error
}

// byNode is the index of pods by the node that they are bound to.
const byNode = "node"

// Start begins to work until ctx ends, and returns when the agent knows all nodes and
// pods that there are.
func Start(ctx context.Context, o Options) (*Agent, error) {
	a := &Agent{o: o, machines: map[string]*machine{}, ends: map[string]context.CancelFunc{}}
	nodes := informers.NewSharedInformerFactoryWithOptions(o.Client, 0, informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.LabelSelector = o.Selector }))
	bound := informers.NewSharedInformerFactoryWithOptions(o.Client, 0, informers.WithNamespace(o.Namespace), informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.FieldSelector = "spec.nodeName!=" }))
	informer := bound.Core().V1().Pods().Informer()
	err := informer.AddIndexers(cache.Indexers{byNode: func(o any) ([]string, error) {
		return []string{o.(*corev1.Pod).Spec.NodeName}, nil
	}})
	if err != nil {
		return nil, fmt.Errorf("indexing pods: %w", err)
	}
	a.pods = informer.GetIndexer()
	_, podErr := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { a.wake(o.(*corev1.Pod).Spec.NodeName) },
		UpdateFunc: func(_, o any) { a.wake(o.(*corev1.Pod).Spec.NodeName) },
	})
	_, nodeErr := nodes.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { a.add(ctx, o.(*corev1.Node)) },
		DeleteFunc: a.remove,
	})
	if err := errors.Join(podErr, nodeErr); err != nil {
		return nil, fmt.Errorf("watching nodes and pods: %w", err)
	}
	bound.Start(ctx.Done())
	bound.WaitForCacheSync(ctx.Done())
	nodes.Start(ctx.Done())
	nodes.WaitForCacheSync(ctx.Done())
	return a, context.Cause(ctx)
}

// Err is what could not be written so far.
func (a *Agent) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.errs...)
}

// Wait returns when no node is worked for any more, which is some time after the context
// of Start has ended.
func (a *Agent) Wait() { a.nodes.Wait() }

func (a *Agent) add(ctx context.Context, n *corev1.Node) {
	ctx, cancel := context.WithCancel(ctx)
	m := newMachine(n, a.o.Registry(n))
	a.mu.Lock()
	a.machines[n.Name], a.ends[n.Name] = m, cancel
	a.mu.Unlock()
	a.nodes.Go(func() { m.run(ctx, a) })
}

func (a *Agent) remove(o any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(o)
	if err != nil {
		a.say(err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if end := a.ends[key]; end != nil {
		end()
	}
	delete(a.machines, key)
	delete(a.ends, key)
}

func (a *Agent) wake(node string) {
	a.mu.Lock()
	m := a.machines[node]
	a.mu.Unlock()
	if m == nil {
		return
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// podsOf are the pods that are bound to a node.
func (a *Agent) podsOf(node string) []*corev1.Pod {
	found, err := a.pods.ByIndex(byNode, node)
	if err != nil {
		a.say(err) // the index is made by Start
	}
	pods := make([]*corev1.Pod, 0, len(found))
	for _, o := range found {
		pods = append(pods, o.(*corev1.Pod))
	}
	return pods
}

// write writes how a pod stands. One that is gone needs none.
func (a *Agent) write(ctx context.Context, p *corev1.Pod, s corev1.PodStatus) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.UID}, "status": s})
	if err != nil {
		return fmt.Errorf("writing the status of pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	err = again(ctx, func() error {
		_, err := a.o.Client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && ctx.Err() == nil {
		return fmt.Errorf("writing the status of pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}

// again does a write that may be repeated until the API server answers it, a few times: a
// kubelet does not give up on one that is too busy for a moment, or starts again.
func again(ctx context.Context, write func() error) error {
	busy := func(err error) bool {
		return ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err)
	}
	return retry.OnError(wait.Backoff{Steps: 6, Duration: 100 * time.Millisecond, Factor: 3}, busy, write)
}

// list writes what a node holds.
func (a *Agent) list(ctx context.Context, m *machine) error {
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"images": m.images()}})
	if err == nil {
		err = again(ctx, func() error {
			_, err := a.o.Client.CoreV1().Nodes().Patch(ctx, m.name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
			return err
		})
	}
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		return fmt.Errorf("writing what %s holds: %w", m.name, err)
	}
	return nil
}

// event tells what happens to a pod. Events are for people, and kubelets lose some: one
// that is lost is no error.
func (a *Agent) event(ctx context.Context, p *corev1.Pod, kind, reason, message string) {
	if a.o.Quiet {
		return
	}
	now := metav1.Now()
	_, _ = a.o.Client.CoreV1().Events(p.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprintf("%s.%x", p.Name, now.UnixNano()+a.told.Add(1)), Namespace: p.Namespace},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		Type:           kind, Reason: reason, Message: message, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "kubelet", Host: p.Spec.NodeName},
	}, metav1.CreateOptions{})
}

// keptErrors bounds what Wait tells.
const keptErrors = 20

func (a *Agent) say(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.errs) < keptErrors {
		a.errs = append(a.errs, err)
	}
}
