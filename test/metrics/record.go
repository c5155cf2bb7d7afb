//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
)

// every is how often it scrapes.
const every = 2 * time.Second

// port is where metrics are served.
const port = "8080"

// recorder scrapes every pod of Pace, as Prometheus does.
type recorder struct {
	lab   *stage.Lab
	begun time.Time
	// names are what pods are called in the record: theirs are random.
	names map[string]string
	// series are the samples of each series, by how many scrapes were before.
	series  map[string]map[int]float64
	scrapes int

	mu    sync.Mutex
	notes []string
}

func newRecorder(lab *stage.Lab) *recorder {
	return &recorder{lab: lab, begun: time.Now(), names: map[string]string{}, series: map[string]map[int]float64{}}
}

// note writes down what begins.
func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf("%s=%ds", what, int(time.Since(r.begun).Round(every).Seconds())))
}

// record scrapes until ctx ends.
func (r *recorder) record(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := r.scrape(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		r.scrapes++
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// scrape asks every pod that runs; one that does not answer has no samples.
func (r *recorder) scrape(ctx context.Context) error {
	var pods corev1.PodList
	if err := r.lab.Client.List(ctx, &pods, client.InNamespace(v1alpha1.Namespace)); err != nil {
		return fmt.Errorf("listing the pods of Pace: %w", err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		name := p.Labels["app.kubernetes.io/name"]
		if p.Status.Phase != corev1.PodRunning || (name != "pacer" && name != "pacer-failsafe") {
			continue
		}
		ctx, stop := context.WithTimeout(ctx, every)
		body, err := r.lab.Cluster.Client().CoreV1().Pods(p.Namespace).ProxyGet("http", p.Name, port, "metrics", nil).DoRaw(ctx)
		stop()
		if err != nil {
			continue
		}
		if err := r.take(r.called(p.Name, name), name, body); err != nil {
			return fmt.Errorf("reading the metrics of %s: %w", p.Name, err)
		}
	}
	return nil
}

func (r *recorder) called(pod, name string) string {
	if r.names[pod] == "" {
		r.names[pod] = fmt.Sprint(name, "-", len(r.names))
	}
	return r.names[pod]
}

// take keeps the samples of one answer, histograms left out. Times are told from the
// beginning of the run on.
func (r *recorder) take(pod, job string, body []byte) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, f := range families {
		if !strings.HasPrefix(name, "pullpace_") || f.GetType() == dto.MetricType_HISTOGRAM {
			continue
		}
		for _, m := range f.GetMetric() {
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
			if strings.HasSuffix(name, "_timestamp_seconds") && value > 0 {
				value = math.Round(1000*(value-float64(r.begun.UnixMilli())/1000)) / 1000
			}
			key := seriesName(name, m.GetLabel(), pod, job)
			if r.series[key] == nil {
				r.series[key] = map[int]float64{}
			}
			r.series[key][r.scrapes] = value
		}
	}
	return nil
}

// seriesName is a series as Prometheus writes it, with the labels that a scrape adds
// where the metric has none of that name.
func seriesName(name string, labels []*dto.LabelPair, pod, job string) string {
	all := map[string]string{"pod": pod, "job": v1alpha1.Namespace + "/" + job, "namespace": v1alpha1.Namespace}
	for _, l := range labels {
		all[l.GetName()] = l.GetValue()
	}
	parts := make([]string, 0, len(all))
	for _, label := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, label+"="+strconv.Quote(all[label]))
	}
	return name + "{" + strings.Join(parts, ",") + "}"
}

// write writes the record in the notation of promtool.
func (r *recorder) write(file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# What the pods of Pace served at /metrics on a real cluster: written by `go run ./test/metrics`\n# on %s, a machine with %d processors, %d nodes, %d pulls in any %s. Times count from the\n# beginning of the run, histograms are left out. What begins when: %s\n",
		r.begun.UTC().Format(time.DateOnly), runtime.NumCPU(), stage.Nodes, limit, window, strings.Join(r.notes, " "))
	fmt.Fprintf(&b, "interval: %s\nscrapes: %d\nseries:\n", every, r.scrapes)
	for _, key := range slices.Sorted(maps.Keys(r.series)) {
		fmt.Fprintf(&b, "- series: '%s'\n  values: '%s'\n", key, r.values(key))
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// values are the samples of a series, equal ones in a row written once.
func (r *recorder) values(key string) string {
	var out []string
	last, times := "", 0
	flush := func() {
		switch {
		case times == 1:
			out = append(out, last)
		case times > 1 && last == "_":
			out = append(out, fmt.Sprintf("_x%d", times))
		case times > 1:
			out = append(out, fmt.Sprintf("%sx%d", last, times-1))
		}
	}
	for i := range r.scrapes {
		next := "_"
		if v, ok := r.series[key][i]; ok {
			next = strconv.FormatFloat(v, 'g', -1, 64)
		} else if _, before := r.series[key][i-1]; before {
			next = "stale" // as Prometheus marks a series that ended
		}
		if next != last {
			flush()
			last, times = next, 0
		}
		times++
	}
	flush()
	return strings.Join(out, " ")
}
