//go:build unix

package monitoring_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// series is one series in promtool's notation.
type series struct {
	Series string `json:"series"`
	Values string `json:"values"`
}

// record is what was scraped while Pace was at work; see test/metrics.
type record struct {
	Interval string   `json:"interval"`
	Scrapes  int      `json:"scrapes"`
	Series   []series `json:"series"`
}

// story is a course of metrics and what is told of it: at each time the alerts that
// fire, with their labels besides severity. An alert of Only that is not named fires
// not; without Only that is all of them.
type story struct {
	Name     string                                    `json:"name"`
	Recorded bool                                      `json:"recorded"`
	Interval string                                    `json:"interval"`
	Series   []series                                  `json:"series"`
	Only     []string                                  `json:"only"`
	At       map[string]map[string][]map[string]string `json:"at"`
}

func stories(t *testing.T) []story {
	t.Helper()
	var file struct {
		Stories []story `json:"stories"`
	}
	read(t, "testdata/stories.yaml", &file)
	return file.Stories
}

// The stories are told by promtool, with the rules as they are installed; their texts
// are left out, which another test has promtool check.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	dir, all := t.TempDir(), alerts(t)
	var bare []group
	for _, g := range groups(t) {
		for i := range g.Rules {
			g.Rules[i].Annotations = nil
		}
		bare = append(bare, g)
	}
	write(t, filepath.Join(dir, "rules.yaml"), map[string]any{"groups": bare})
	var recorded record
	read(t, "testdata/run.yaml", &recorded)
	fires, silent := map[string]bool{}, map[string]bool{}
	var tests []map[string]any
	for _, s := range stories(t) {
		if s.Recorded {
			s.Interval, s.Series = recorded.Interval, append(recorded.Series, s.Series...)
		}
		only := s.Only
		if len(only) == 0 {
			only = slices.Sorted(maps.Keys(all))
		}
		var checks []map[string]any
		for at, wanted := range s.At {
			for _, name := range only {
				checks = append(checks, map[string]any{"alertname": name, "eval_time": at, "exp_alerts": expected(all[name], wanted[name])})
				if len(wanted[name]) > 0 {
					fires[name] = true
				} else {
					silent[name] = true
				}
			}
			for name := range wanted {
				if !slices.Contains(only, name) {
					t.Errorf("%s: %s is no alert that it looks at", s.Name, name)
				}
			}
		}
		tests = append(tests, map[string]any{"name": s.Name, "interval": s.Interval, "input_series": s.Series, "alert_rule_test": checks})
	}
	for name := range all {
		if !fires[name] || !silent[name] {
			t.Errorf("%s: in a story it fires: %t; in a story it does not: %t; want both", name, fires[name], silent[name])
		}
	}
	file := filepath.Join(dir, "tests.yaml")
	write(t, file, map[string]any{"rule_files": []string{"rules.yaml"}, "evaluation_interval": "15s", "tests": tests})
	promtool(t, "test", "rules", file)
}

// expected adds the severity of the rule to labels.
func expected(r rule, wanted []map[string]string) []map[string]any {
	out := []map[string]any{}
	for _, labels := range wanted {
		labels = maps.Clone(labels)
		labels["severity"] = r.Labels["severity"]
		out = append(out, map[string]any{"exp_labels": labels})
	}
	return out
}

// What was recorded is of this Pace: every series of it is a metric that is served.
func TestTheRecordIsOfMetricsThatAreServed(t *testing.T) {
	t.Parallel()
	var recorded record
	read(t, "testdata/run.yaml", &recorded)
	known, seen := served(t), map[string]bool{}
	for _, s := range recorded.Series {
		name, _, _ := strings.Cut(s.Series, "{")
		if !known[name] {
			t.Errorf("the record has %s, which nobody serves: record it again", name)
		}
		seen[name] = true
	}
	if len(seen) < 25 || recorded.Scrapes < 60 {
		t.Errorf("%d metrics, %d scrapes: the record proves little", len(seen), recorded.Scrapes)
	}
}
