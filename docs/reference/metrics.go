package reference

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullpace/pace/pacer/controller"
	"github.com/pullpace/pace/pacer/failsafe"
)

// collected takes down what is registered instead of serving it.
type collected struct{ collectors []prometheus.Collector }

func (c *collected) Register(m prometheus.Collector) error {
	c.collectors = append(c.collectors, m)
	return nil
}

func (c *collected) MustRegister(all ...prometheus.Collector) {
	c.collectors = append(c.collectors, all...)
}

func (c *collected) Unregister(prometheus.Collector) bool { return false }

// Metrics is the page of what Prometheus is told.
func Metrics() string {
	var pacer, watchdog collected
	controller.NewMetrics(&pacer)
	failsafe.NewMetrics(&watchdog)
	return generated + "# Metrics\n\nServed on port 8080 at `/metrics`, in the format of Prometheus. Alerts and a dashboard that use them are in\n`manifests/monitoring`; see [operations.md](../operations.md#monitoring).\n\n" +
		"## Controller\n\nBy every replica; only the leader shows what turns find out.\n\n" + pacer.table() +
		"\n## Failsafe\n\n" + watchdog.table()
}

// table lists the metrics by name.
func (c *collected) table() string {
	// What a description says of itself is the only way to its name and labels.
	parts := regexp.MustCompile(`fqName: "([^"]*)", help: "((?:[^"\\]|\\.)*)".*variableLabels: \{([^}]*)\}`)
	var rows []string
	for _, one := range c.collectors {
		for _, d := range descriptions(one) {
			if m := parts.FindStringSubmatch(d); m != nil {
				rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(m[3], ",", ", "), cell(m[2])))
			}
		}
	}
	slices.Sort(rows)
	return "| metric | labels | meaning |\n| --- | --- | --- |\n" + strings.Join(rows, "")
}

// descriptions are what a collector says of its metrics.
func descriptions(c prometheus.Collector) []string {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	var out []string
	for d := range descs {
		out = append(out, d.String())
	}
	return out
}
