package search

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/pullpace/pace/simulate/report"
)

// stated is METRIC OP VALUE.
var stated = regexp.MustCompile(`^\s*([A-Za-z0-9.]+)\s*(==|!=|<=|>=|<|>)\s*(\S+)\s*$`)

// Goal reads "podReadySeconds.p95 <= 20m": a metric of the result, a comparison
// and a number, or a duration for a metric of seconds.
func Goal(text string) (report.Goal, error) {
	m := stated.FindStringSubmatch(text)
	if m == nil {
		return report.Goal{}, fmt.Errorf("goal %q is not like 'podReadySeconds.p95 <= 20m'", text)
	}
	metric, err := report.MetricOf(m[1])
	if err != nil {
		return report.Goal{}, err
	}
	value, err := strconv.ParseFloat(m[3], 64)
	if err != nil && metric.Seconds() {
		var d time.Duration
		d, err = time.ParseDuration(m[3])
		value = d.Seconds()
	}
	if err != nil || value != value {
		return report.Goal{}, fmt.Errorf("goal %q compares with %q: want a number, or a duration such as 20m for a metric of seconds", text, m[3])
	}
	return report.Goal{Metric: m[1], Op: m[2], Value: value}, nil
}
