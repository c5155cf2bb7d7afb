//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// cost is what the replicas of the controller have used since they were started,
// together.
type cost struct {
	at       time.Time
	cpu      float64 // seconds
	memory   float64 // bytes now, of the larger one
	requests float64
	// webhook is the time of admission calls as the API server measures it.
	webhook histogram
}

// histogram is a count for each upper bound in seconds.
type histogram map[float64]float64

// cost asks every replica and the API server for their metrics.
func (b *bench) cost(ctx context.Context) (cost, error) {
	c := cost{at: time.Now(), webhook: histogram{}}
	var pods corev1.PodList
	err := b.paced.Client.List(ctx, &pods, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{"app.kubernetes.io/name": "pacer"})
	if err != nil {
		return c, fmt.Errorf("listing the controller's pods: %w", err)
	}
	for _, p := range pods.Items {
		all, err := b.metrics(ctx, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:8080/proxy/metrics", p.Namespace, p.Name))
		if err != nil {
			return c, err
		}
		used, err := b.paced.Usage(ctx, p.Namespace, p.Name)
		if err != nil {
			return c, err
		}
		c.cpu += used.CPU.Seconds()
		c.memory = max(c.memory, float64(used.Memory))
		c.requests += sum(all["rest_client_requests_total"])
	}
	all, err := b.metrics(ctx, "/metrics")
	if err != nil {
		return c, err
	}
	for _, m := range all["apiserver_admission_webhook_admission_duration_seconds"].GetMetric() {
		if !ours(m) {
			continue
		}
		for _, bucket := range m.GetHistogram().GetBucket() {
			c.webhook[bucket.GetUpperBound()] += float64(bucket.GetCumulativeCount())
		}
	}
	return c, nil
}

// ours says whether a series is of a webhook of Pace.
func ours(m *dto.Metric) bool {
	for _, l := range m.GetLabel() {
		if l.GetName() == "name" && strings.HasSuffix(l.GetValue(), v1alpha1.Group) {
			return true
		}
	}
	return false
}

func (b *bench) metrics(ctx context.Context, path string) (map[string]*dto.MetricFamily, error) {
	out := b.paced.Kubectl(ctx, "get", "--raw", path)
	if out.Code != 0 {
		return nil, fmt.Errorf("asking for metrics: %s", out)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(out.Stdout))
	if err != nil {
		return nil, fmt.Errorf("reading metrics of %s: %w", path, err)
	}
	return all, nil
}

// sum adds up the series of a counter or gauge.
func sum(f *dto.MetricFamily) (total float64) {
	for _, m := range f.GetMetric() {
		total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return total
}

// quantile is the smallest bound that so many of the calls between two looks kept;
// +Inf is more than the largest.
func (h histogram) quantile(before histogram, q float64) float64 {
	all := h[math.Inf(1)] - before[math.Inf(1)]
	least := math.Inf(1)
	for bound, n := range h {
		if n-before[bound] >= q*all && bound < least {
			least = bound
		}
	}
	return least
}

// atRest measures while nothing happens.
func (b *bench) atRest(ctx context.Context) error {
	before, err := b.cost(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(b.rest):
	}
	after, err := b.cost(ctx)
	if err != nil {
		return err
	}
	took := after.at.Sub(before.at)
	fmt.Printf("rest seconds=%.0f cpu_millicores=%.1f memory_mib=%.0f api_requests_per_minute=%.0f\n", took.Seconds(),
		1000*(after.cpu-before.cpu)/took.Seconds(), after.memory/(1<<20), (after.requests-before.requests)/took.Minutes())
	return nil
}

// wave prints what releases cost between two looks.
func wave(name string, before, after cost, pods int) {
	fmt.Printf("wave image=%s pods=%d cpu_ms_per_pod=%.1f memory_mib=%.0f api_requests_per_pod=%.2f webhook_p50_ms<=%.0f webhook_p99_ms<=%.0f\n", name, pods,
		1000*(after.cpu-before.cpu)/float64(pods), after.memory/(1<<20), (after.requests-before.requests)/float64(pods),
		1000*after.webhook.quantile(before.webhook, 0.5), 1000*after.webhook.quantile(before.webhook, 0.99))
}
