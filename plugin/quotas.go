package plugin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	podresources "k8s.io/component-helpers/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// quotas says what a rollout uses of the ResourceQuotas of its namespace: pods count
// from their creation on, held or not.
func (s *session) quotas(ctx context.Context, c client.Reader, cost *view.Cost, d *appsv1.Deployment, deleteFirst string) {
	var list corev1.ResourceQuotaList
	if err := c.List(ctx, &list, client.InNamespace(d.Namespace)); err != nil {
		cost.Unknown = append(cost.Unknown, fmt.Sprintf("the quota it uses: %v", cluster.Explain(err, s.env.program())))
		return
	}
	if len(list.Items) == 0 {
		return
	}
	cost.Surge = additional(ctx, c, d, deleteFirst)
	slices.SortFunc(list.Items, func(a, b corev1.ResourceQuota) int { return cmp.Compare(a.Name, b.Name) })
	pod := &corev1.Pod{Spec: d.Spec.Template.Spec}
	requests, limits := podresources.PodRequests(pod, podresources.PodResourcesOptions{}), podresources.PodLimits(pod, podresources.PodResourcesOptions{})
	for _, quota := range list.Items {
		for _, name := range slices.Sorted(maps.Keys(quota.Status.Hard)) {
			each := perPod(string(name), requests, limits)
			if each.IsZero() {
				continue
			}
			each.Mul(int64(cost.Surge))
			hard, used := quota.Status.Hard[name], quota.Status.Used[name]
			then := used.DeepCopy()
			then.Add(each)
			cost.Quotas = append(cost.Quotas, view.Quota{
				Name: quota.Name, Resource: string(name), Adds: each.String(), Used: used.String(), Hard: hard.String(), Fits: then.Cmp(hard) <= 0,
			})
		}
	}
}

// perPod is what one pod uses of a resource as quotas name it; nothing for what does
// not count pods.
func perPod(name string, requests, limits corev1.ResourceList) resource.Quantity {
	if name == "pods" || name == "count/pods" {
		return resource.MustParse("1")
	}
	if limit, ok := strings.CutPrefix(name, "limits."); ok {
		return limits[corev1.ResourceName(limit)]
	}
	return requests[corev1.ResourceName(strings.TrimPrefix(name, "requests."))]
}

// additional is how many pods there are beyond those of before while new ones are
// held: all of a Deployment that is not there yet, the surge of one that is.
func additional(ctx context.Context, c client.Reader, d *appsv1.Deployment, deleteFirst string) int32 {
	if d.UID == "" {
		var there appsv1.Deployment
		if apierrors.IsNotFound(c.Get(ctx, client.ObjectKeyFromObject(d), &there)) {
			return cluster.Replicas(d)
		}
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return 0
	}
	surge, away := resolve(d, func(r *appsv1.RollingUpdateDeployment) *intstr.IntOrString { return r.MaxSurge }, true),
		resolve(d, func(r *appsv1.RollingUpdateDeployment) *intstr.IntOrString { return r.MaxUnavailable }, false)
	if away > 0 && deleteFirst == string(v1alpha1.SurgeOnly) {
		surge = max(surge, 1) // none is deleted first, and so one at least must come
	}
	return int32(min(surge, int(cluster.Replicas(d))))
}

// resolve reads one bound of a rolling update; its default is 25 %.
func resolve(d *appsv1.Deployment, field func(*appsv1.RollingUpdateDeployment) *intstr.IntOrString, up bool) int {
	value := intstr.FromString("25%")
	if r := d.Spec.Strategy.RollingUpdate; r != nil && field(r) != nil {
		value = *field(r)
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, int(cluster.Replicas(d)), up)
	if err != nil {
		return 0 // the API server does not store such a Deployment
	}
	return n
}
