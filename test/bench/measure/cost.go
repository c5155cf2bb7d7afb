//go:build linux

package measure

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
)

// Cost is what the replicas of the controller have used since they were started,
// together.
type Cost struct {
	At       time.Time
	CPU      float64 // seconds
	Memory   float64 // bytes now, of the larger one
	Peak     float64 // bytes at most since the start, of the larger one
	Requests float64
	// Webhook is the time of all admission calls as the API server measures it, Pods that
	// of those about pods; Answer is what the replicas themselves take for those, and Turn
	// the time of turns.
	Webhook, Pods, Answer, Turn Histogram
}

// Histogram is a count for each upper bound in seconds.
type Histogram map[float64]float64

// Look asks every replica and the API server for their metrics.
func Look(ctx context.Context, l *stage.Lab) (Cost, error) {
	c := Cost{At: time.Now(), Webhook: Histogram{}, Pods: Histogram{}, Answer: Histogram{}, Turn: Histogram{}}
	var pods corev1.PodList
	err := l.Client.List(ctx, &pods, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{"app.kubernetes.io/name": "pacer"})
	if err != nil {
		return c, fmt.Errorf("listing the controller's pods: %w", err)
	}
	for _, p := range pods.Items {
		all, err := metrics(ctx, l, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:8080/proxy/metrics", p.Namespace, p.Name))
		if err != nil {
			return c, err
		}
		used, err := l.Usage(ctx, p.Namespace, p.Name)
		if err != nil {
			return c, err
		}
		c.CPU += used.CPU.Seconds()
		c.Memory, c.Peak = max(c.Memory, float64(used.Memory)), max(c.Peak, float64(used.Peak))
		c.Requests += sum(all["rest_client_requests_total"])
		for _, m := range all["pullpace_turn_duration_seconds"].GetMetric() {
			c.Turn.add(m)
		}
		for _, m := range all["controller_runtime_webhook_latency_seconds"].GetMetric() {
			if label(m, "webhook") == podsPath {
				c.Answer.add(m)
			}
		}
	}
	all, err := metrics(ctx, l, "/metrics")
	if err != nil {
		return c, err
	}
	for _, m := range all["apiserver_admission_webhook_admission_duration_seconds"].GetMetric() {
		name := label(m, "name")
		if strings.HasSuffix(name, v1alpha1.Group) {
			c.Webhook.add(m)
		}
		if name == podsWebhook {
			c.Pods.add(m)
		}
	}
	return c, nil
}

// The webhook about pods, as the API server and as the replicas name it.
const (
	podsWebhook = "pods." + v1alpha1.Group
	podsPath    = "/mutate-pods"
)

// label is the value of a label of a series.
func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func metrics(ctx context.Context, l *stage.Lab, path string) (map[string]*dto.MetricFamily, error) {
	out := l.Kubectl(ctx, "get", "--raw", path)
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

// add adds the counts of a series, that above the largest bound too.
func (h Histogram) add(m *dto.Metric) {
	for _, bucket := range m.GetHistogram().GetBucket() {
		if !math.IsInf(bucket.GetUpperBound(), 1) {
			h[bucket.GetUpperBound()] += float64(bucket.GetCumulativeCount())
		}
	}
	h[math.Inf(1)] += float64(m.GetHistogram().GetSampleCount())
}

// Count is how many calls there were between two looks.
func (h Histogram) Count(before Histogram) float64 { return h[math.Inf(1)] - before[math.Inf(1)] }

// Estimate is a quantile between two looks as Prometheus estimates it: within its bucket
// calls are taken to be spread evenly.
func (h Histogram) Estimate(before Histogram, q float64) float64 {
	bounds := slices.Sorted(maps.Keys(h))
	all := h[math.Inf(1)] - before[math.Inf(1)]
	lower, below := 0.0, 0.0
	for _, bound := range bounds {
		n := h[bound] - before[bound]
		if n >= q*all && n > below {
			if math.IsInf(bound, 1) {
				return lower
			}
			return lower + (bound-lower)*(q*all-below)/(n-below)
		}
		lower, below = bound, n
	}
	return math.NaN() // nothing was called
}

// Quantile is the smallest bound that so many of the calls between two looks kept;
// +Inf is more than the largest.
func (h Histogram) Quantile(before Histogram, q float64) float64 {
	all := h[math.Inf(1)] - before[math.Inf(1)]
	least := math.Inf(1)
	for bound, n := range h {
		if n-before[bound] >= q*all && bound < least {
			least = bound
		}
	}
	return least
}
