package plugin

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/capture"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/doctor"
)

// What bounds the reading of a large cluster. What is left out is said.
const (
	// maxEvents of each kind are read.
	maxEvents = 20_000
	// maxKubelets are asked for their configuration, for kubeletTime at most together.
	maxKubelets = 8
	kubeletTime = 3 * time.Second
)

// reader reads a snapshot, a part after the other.
type reader struct {
	c       client.Reader
	program string
	into    *doctor.Snapshot
}

// snapshot reads what a diagnosis rests on. What may not be read is noted, and the
// rest is read all the same; it fails only where the cluster cannot be reached.
func (s *session) snapshot(ctx context.Context, c *cluster.Cluster) (*doctor.Snapshot, error) {
	r := &reader{c: c.Client, program: s.env.program(), into: &doctor.Snapshot{
		Now: s.env.Now(), Context: c.Context, Kubelets: map[string]capture.Kubelet{},
		Unread: map[doctor.Part]string{}, Cut: map[doctor.Part]string{},
	}}
	in := r.into
	if v, err := c.Version(); err == nil {
		in.Version = v.GitVersion
	}
	pods, err := pages[corev1.Pod](ctx, r, doctor.Pods, &corev1.PodList{}, 0)
	if apierrors.IsForbidden(err) {
		// Who may see one namespace gets a diagnosis of that one.
		in.Only = c.Namespace
		delete(in.Unread, doctor.Pods)
		in.Cut[doctor.Pods] = "of namespace " + c.Namespace + " only: the others may not be listed"
		pods, err = pages[corev1.Pod](ctx, r, doctor.Pods, &corev1.PodList{}, 0)
	}
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	in.Pods = pods
	for _, read := range []func(context.Context, *reader) error{
		readNodes, readEvents, readWorkloads, readSecrets, readBudgetsOf, readNodeMakers,
	} {
		if err := read(ctx, r); err != nil {
			return nil, err
		}
	}
	r.kubelets(ctx, c)
	return in, nil
}

// pages lists all objects of a kind a page at a time; at most so many, unless that is
// 0. A refusal is noted and returned.
func pages[T any](ctx context.Context, r *reader, part doctor.Part, empty client.ObjectList, most int, opts ...client.ListOption) ([]T, error) {
	var all []T
	if r.into.Only != "" {
		opts = append(opts, client.InNamespace(r.into.Only))
	}
	for next := ""; ; {
		page, ok := empty.DeepCopyObject().(client.ObjectList)
		if !ok {
			return nil, fmt.Errorf("%T is no list", empty)
		}
		err := r.c.List(ctx, page, append(opts[:len(opts):len(opts)], client.Limit(importPage), client.Continue(next))...)
		if apierrors.IsForbidden(err) {
			r.into.Unread[part] = cluster.Explain(err, r.program).Error()
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", part, err)
		}
		err = meta.EachListItem(page, func(obj runtime.Object) error {
			if o, err := meta.Accessor(obj); err == nil {
				o.SetManagedFields(nil)
			}
			if item, ok := any(obj).(*T); ok {
				all = append(all, *item)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading a list: %w", err)
		}
		next = page.GetContinue()
		if next != "" && most > 0 && len(all) >= most {
			r.into.Cut[part] = fmt.Sprintf("the first %d only", len(all))
			next = ""
		}
		if next == "" {
			return all, nil
		}
	}
}

// tolerated is nil for a refusal, which was noted.
func tolerated(err error) error {
	if apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

func readNodes(ctx context.Context, r *reader) (err error) {
	only := r.into.Only
	r.into.Only = "" // nodes have no namespace
	r.into.Nodes, err = pages[corev1.Node](ctx, r, doctor.Nodes, &corev1.NodeList{}, 0)
	r.into.Only = only
	return tolerated(err)
}

// readEvents reads warnings, and those of pulls that succeeded.
func readEvents(ctx context.Context, r *reader) error {
	warnings, err := pages[corev1.Event](ctx, r, doctor.Events, &corev1.EventList{}, maxEvents, by("type", corev1.EventTypeWarning))
	if err != nil {
		return tolerated(err)
	}
	pulled, err := pages[corev1.Event](ctx, r, doctor.Pulled, &corev1.EventList{}, maxEvents, by("reason", "Pulled"))
	if err != nil {
		return tolerated(err)
	}
	pressure, err := pages[corev1.Event](ctx, r, doctor.Events, &corev1.EventList{}, maxEvents, by("reason", "NodeHasDiskPressure"))
	r.into.Events = append(append(warnings, pulled...), pressure...)
	return tolerated(err)
}

func by(field, value string) client.ListOption {
	return client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector(field, value)}
}

func readWorkloads(ctx context.Context, r *reader) (err error) {
	if r.into.Deployments, err = pages[appsv1.Deployment](ctx, r, doctor.Deployments, &appsv1.DeploymentList{}, 0); tolerated(err) != nil {
		return err
	}
	var sets metav1.PartialObjectMetadataList
	sets.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ReplicaSetList"))
	r.into.ReplicaSets, err = pages[metav1.PartialObjectMetadata](ctx, r, doctor.ReplicaSets, &sets, 0)
	return tolerated(err)
}

// readSecrets reads the names of pull secrets. What is in them never leaves the API
// server.
func readSecrets(ctx context.Context, r *reader) error {
	for _, kind := range []corev1.SecretType{corev1.SecretTypeDockerConfigJson, corev1.SecretTypeDockercfg} {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
		secrets, err := pages[metav1.PartialObjectMetadata](ctx, r, doctor.Secrets, &list, 0, by("type", string(kind)))
		if err != nil {
			return tolerated(err)
		}
		for _, s := range secrets {
			r.into.Secrets = append(r.into.Secrets, doctor.Secret{Namespace: s.Namespace, Name: s.Name})
		}
	}
	accounts, err := pages[corev1.ServiceAccount](ctx, r, doctor.ServiceAccounts, &corev1.ServiceAccountList{}, 0)
	r.into.ServiceAccounts = accounts
	return tolerated(err)
}

// readBudgetsOf reads what the controller knows, where it is.
func readBudgetsOf(ctx context.Context, r *reader) error {
	in := r.into
	var err error
	in.Controller, err = cluster.ControllerOf(ctx, r.c)
	if err != nil {
		in.Unread[doctor.Budgets] = cluster.Explain(err, r.program).Error()
		return nil
	}
	in.Budgets, err = cluster.Budgets(ctx, r.c)
	if err == nil {
		in.Policies, err = cluster.Policies(ctx, r.c)
	}
	switch {
	case meta.IsNoMatchError(err):
		in.Unread[doctor.Budgets] = "Pace is not installed"
	case err != nil:
		in.Unread[doctor.Budgets] = cluster.Explain(err, r.program).Error()
	}
	return nil
}

// readNodeMakers reads what new nodes are made of, what they run where they are held.
func readNodeMakers(ctx context.Context, r *reader) (err error) {
	in := r.into
	if in.HoldsNodes() {
		if in.DaemonSets, err = pages[appsv1.DaemonSet](ctx, r, doctor.DaemonSets, &appsv1.DaemonSetList{}, 0); tolerated(err) != nil {
			return err
		}
	}
	in.NodePools, err = cluster.KarpenterPools(ctx, r.c)
	if apierrors.IsForbidden(err) {
		in.Unread[doctor.NodePools] = cluster.Explain(err, r.program).Error()
	}
	return tolerated(err)
}

// kubelets asks some kubelets for their configuration: those that refuse by their own
// limit first, then one of each pool.
func (r *reader) kubelets(ctx context.Context, c *cluster.Cluster) {
	in := r.into
	if c.Kubelet == nil || len(in.Nodes) == 0 {
		in.Unread[doctor.Kubelets] = "no node is known"
		return
	}
	bounded, cancel := context.WithTimeout(ctx, kubeletTime)
	defer cancel()
	samples := append(doctor.OwnLimits(in), capture.Samples(capture.Cluster{Nodes: in.Nodes, Budgets: in.Budgets, Policies: in.Policies})...)
	for _, node := range samples {
		if _, asked := in.Kubelets[node]; asked {
			continue
		}
		if len(in.Kubelets) >= maxKubelets {
			break
		}
		text, err := c.Kubelet(bounded, node)
		if err != nil {
			in.Unread[doctor.Kubelets] = "their configuration takes get on nodes/proxy: " + cluster.Explain(err, r.program).Error()
			break
		}
		config, err := capture.ReadKubelet(text)
		if err != nil {
			in.Unread[doctor.Kubelets] = err.Error()
			break
		}
		in.Kubelets[node] = config
	}
	if len(in.Kubelets) > 0 {
		delete(in.Unread, doctor.Kubelets)
		in.Cut[doctor.Kubelets] = fmt.Sprintf("%d of %d nodes were asked, one of each pool", len(in.Kubelets), len(in.Nodes))
	}
}
