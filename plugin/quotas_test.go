package plugin

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

// resourceQuota is a ResourceQuota of the namespace, of which something is used.
func resourceQuota(name string, hard, used corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Status: corev1.ResourceQuotaStatus{Hard: hard, Used: used}}
}

func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

// Pods count against quotas from their creation on: what a rollout adds while its new
// pods are held is its surge.
func TestCostNamesQuotas(t *testing.T) {
	t.Parallel()
	objects := append(with(func(d *appsv1.Deployment) {
		d.Spec.Replicas = new(int32(8)) // the default surge of 25 % is 2
		d.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{
			Requests: amounts("cpu", "250m", "memory", "1Gi"), Limits: amounts("memory", "2Gi"),
		}
	}), budget(0), node("a", 0),
		resourceQuota("pods", amounts("pods", "10", "services", "5"), amounts("pods", "8", "services", "5")),
		resourceQuota("compute", amounts("requests.cpu", "2", "limits.memory", "16Gi", "memory", "9Gi"), amounts("requests.cpu", "1900m", "limits.memory", "8Gi", "memory", "8Gi")))
	h := newHarness(t, interceptor.Funcs{}, objects...)
	h.wants(h.run("cost", "deploy/api", "-o", "json"), ExitHold)
	var cost view.Cost
	if err := json.Unmarshal(h.out.Bytes(), &cost); err != nil {
		t.Fatal(err)
	}
	want := []view.Quota{
		{Name: "compute", Resource: "limits.memory", Adds: "4Gi", Used: "8Gi", Hard: "16Gi", Fits: true},
		{Name: "compute", Resource: "memory", Adds: "2Gi", Used: "8Gi", Hard: "9Gi", Fits: false},
		{Name: "compute", Resource: "requests.cpu", Adds: "500m", Used: "1900m", Hard: "2", Fits: false},
		{Name: "pods", Resource: "pods", Adds: "2", Used: "8", Hard: "10", Fits: true},
	}
	if diff := cmp.Diff(want, cost.Quotas); diff != "" {
		t.Errorf("quotas (-want +got):\n%s", diff)
	}
}

func TestAdditionalPodsOfARollout(t *testing.T) {
	t.Parallel()
	percent := func(p string) *intstr.IntOrString { return new(intstr.FromString(p)) }
	number := func(n int32) *intstr.IntOrString { return new(intstr.FromInt32(n)) }
	rolling := func(away, surge *intstr.IntOrString) appsv1.DeploymentStrategy {
		return appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType,
			RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: away, MaxSurge: surge}}
	}
	tests := map[string]struct {
		strategy    appsv1.DeploymentStrategy
		deleteFirst v1alpha1.DeleteFirst
		fresh       bool
		want        int32
	}{
		"defaults":                             {want: 1}, // 25 % of 3, rounded up
		"all at once":                          {strategy: rolling(number(0), percent("100%")), want: 3},
		"more than there are":                  {strategy: rolling(number(0), number(9)), want: 3},
		"deletes first":                        {strategy: rolling(number(1), number(0)), want: 0},
		"deletes first, and is kept from that": {strategy: rolling(number(1), number(0)), deleteFirst: v1alpha1.SurgeOnly, want: 1},
		"25 % away is none of 3":               {strategy: rolling(percent("25%"), number(0)), deleteFirst: v1alpha1.SurgeOnly, want: 0},
		"Recreate":                             {strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}, want: 0},
		"not there yet":                        {fresh: true, want: 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deployment("api")
			d.Spec.Strategy = tc.strategy
			if tc.fresh {
				d.UID = ""
			}
			h := newHarness(t, interceptor.Funcs{})
			if got := additional(t.Context(), h.client, d, string(tc.deleteFirst)); got != tc.want {
				t.Errorf("%d more pods, want %d", got, tc.want)
			}
		})
	}
}
