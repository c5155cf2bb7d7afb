package controller

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/kube"
)

// autoscalersEvery is how often it is looked for autoscalers that were not there.
const autoscalersEvery = 30 * time.Second

// autoscalerStatus is the ConfigMap in which a cluster-autoscaler says how it is.
func autoscalerStatus() client.ObjectKey {
	return client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: "cluster-autoscaler-status"}
}

// karpenterWatch looks for autoscalers and, once Karpenter's kinds are there, lets the
// feed watch its NodePools and NodeClaims. Nothing is wrong where there are none.
type karpenterWatch struct {
	cache     cache.Cache
	reader    client.Reader
	discovery discovery.DiscoveryInterface
	feed      *feed
	connected map[string]bool
}

// NeedLeaderElection says that the replica does it that takes turns.
func (k *karpenterWatch) NeedLeaderElection() bool { return true }

// Start looks until ctx ends. It implements manager.Runnable.
func (k *karpenterWatch) Start(ctx context.Context) error {
	tick := time.NewTicker(autoscalersEvery)
	defer tick.Stop()
	for {
		k.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look connects what has come up since the last look.
func (k *karpenterWatch) look(ctx context.Context) {
	logger := log.FromContext(ctx)
	if k.connected == nil {
		k.connected = map[string]bool{}
	}
	for number, kind := range map[int]schema.GroupVersionKind{nodePoolKind: kube.NodePoolKind(), nodeClaimKind: kube.NodeClaimKind()} {
		if k.connected[kind.Kind] || !k.served(kind) {
			continue
		}
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(kind)
		if _, _, err := k.feed.connect(ctx, k.cache, number, object, cache.BlockUntilSynced(false)); err != nil {
			logger.Error(err, "not watched", "kind", kind.Kind)
			continue
		}
		k.connected[kind.Kind] = true
		logger.Info("watching what an autoscaler says", "kind", kind.Kind)
	}
	var status corev1.ConfigMap
	switch err := k.reader.Get(ctx, autoscalerStatus(), &status); {
	case err == nil:
		k.feed.setAutoscaler(true)
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		k.feed.setAutoscaler(false)
	}
}

// served reports whether the API server knows a kind.
func (k *karpenterWatch) served(kind schema.GroupVersionKind) bool {
	list, err := k.discovery.ServerResourcesForGroupVersion(kind.GroupVersion().String())
	return err == nil && slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind.Kind })
}
