package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
)

// scrape is what a display shows, as text of each sample without its help.
func scrape(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			out[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue()
		}
	}
	return out
}

// A declared limit of 5 a minute and 8 held pods: 5 go, 3 are held and say until when.
func TestMetricsTellWhoIsHeldAndWhoSpentTheWindow(t *testing.T) {
	t.Parallel()
	var pods []*corev1.Pod
	b := makeBench(t, interceptor.Funcs{}, makeNamespace(nil), makePolicy(), makeBudget(5), makeNode("n1"), makeNode("n2"), makeNode("n3"), makeNode("n4"), makeNode("n5"), makeNode("n6"), makeNode("n7"), makeNode("n8"))
	for i := range 8 {
		pods = append(pods, makePod(i))
	}
	b.create(pods...)
	if err := b.take(3 * time.Second); err != nil {
		t.Fatal(err)
	}
	got := scrape(t, b.turn.metrics.held)
	want := map[string]float64{
		"pullpace_workload_held_pods{class=rollout,kind=Deployment,namespace=shop,workload=web}":                     3,
		"pullpace_workload_hold_expiry_timestamp_seconds{class=rollout,kind=Deployment,namespace=shop,workload=web}": seconds(start.Add(time.Hour)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("held (-want +got)\n%s", diff)
	}
	for i, p := range pods {
		if p = b.pod(i); len(p.Spec.SchedulingGates) > 0 {
			continue
		}
		p.Spec.NodeName = fmt.Sprint("n", i+1)
		if err := b.client.Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", Image: "acme/web:1", ImageID: "x", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		if err := b.client.Status().Update(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	b.see()
	if err := b.take(time.Second); err != nil {
		t.Fatal(err)
	}
	used := scrape(t, b.turn.metrics.window)
	for series, want := range map[string]float64{
		"pullpace_account_window_used_units{account=docker.io/anonymous,namespace=shop,workload=Deployment/web}": 5,
		"pullpace_account_window_seconds{account=docker.io/anonymous}":                                           60,
		"pullpace_account_grade{account=docker.io/anonymous,grade=OK}":                                           1,
		"pullpace_breaker_state{account=docker.io/anonymous,state=closed}":                                       1,
		"pullpace_account_hopeless{account=docker.io/anonymous}":                                                 0,
	} {
		if got, ok := used[series]; !ok || got != want {
			t.Errorf("%s is %v (shown: %t), want %v", series, got, ok, want)
		}
	}
}

// Whatever the cluster has, no more series than the bound name a workload, and the sum
// is whole.
func TestSeriesThatNameWorkloadsAreBounded(t *testing.T) {
	t.Parallel()
	b := newWindowBoard()
	var state engine.State
	total := 0.0
	for account := range 20 {
		s := engine.AccountState{Account: core.AccountID(fmt.Sprint("registry", account, ".test/anonymous"))}
		for i := range 33 {
			name := fmt.Sprintf("Deployment/ns%d/web\n\"%d", i, i) // no name is trusted
			if i == 32 {
				name = ""
			}
			s.Use = append(s.Use, quota.Use{Workload: name, Units: core.Units(i + 1), Last: start})
			total += float64(i + 1)
		}
		state.Accounts = append(state.Accounts, s)
	}
	b.observe(engine.Decision{}, state)
	named, others, sum := 0, 0, 0.0
	for series, value := range scrape(t, b) {
		if !strings.HasPrefix(series, "pullpace_account_window_used_units") {
			continue
		}
		sum += value
		if strings.Contains(series, "workload="+unnamed) {
			others++
			continue
		}
		named++
	}
	if named != namedUsers || others != 20 || sum != total {
		t.Errorf("%d series name a workload and %d do not, %v units in all; want %d, 20 and %v", named, others, sum, namedUsers, total)
	}
}

// Of many workloads with held pods those with most are named, and the first hold of
// the others still shows.
func TestSeriesOfHeldWorkloadsAreBounded(t *testing.T) {
	t.Parallel()
	var all []waiting
	for i := range namedHolds + 50 {
		all = append(all, waiting{holding: holding{kube.Owner{Kind: "Deployment", Namespace: "shop", Name: fmt.Sprint("web", i)}, "rollout"}, pods: i + 1, expiry: start.Add(time.Duration(i+1) * time.Minute)})
	}
	got := mostHeld(all, waiting{holding: others(), pods: 5})
	sum := 0
	for _, w := range got {
		sum += w.pods
	}
	last := got[len(got)-1]
	if n := len(all); len(got) != namedHolds+1 || sum != n*(n+1)/2+5 || last.owner.Name != unnamed || !last.expiry.Equal(start.Add(time.Minute)) {
		t.Errorf("%d series, %d pods, the last %+v; want %d, %d, the sum of 50 with the first expiry of all", len(got), sum, last, namedHolds+1, n*(n+1)/2+5)
	}
}
