package scenario_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/simulate/scenario"
)

func blackFriday(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/black-friday.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestScenarioIsReadWhole(t *testing.T) {
	t.Parallel()
	s, err := scenario.Decode(blackFriday(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.Spec.Registries[0].Limiters[0], (scenario.Limiter{
		Type: scenario.RollingLog, Per: scenario.PerEgressIP, Counts: scenario.CountPull, Limit: 100, Window: 6 * time.Hour,
		Headers: true, HeadWhenEmpty: scenario.HeadAllow,
	}); got != want {
		t.Errorf("limiter is %+v, want %+v", got, want)
	}
	pool := s.Spec.NodePools[0]
	if pool.NIC != 12_500_000_000 || pool.Runtime.Unpack.BytesPerSecond() != 100e6 || pool.Autoscaler.Boot.LogNormal.P99 != 110*time.Second {
		t.Errorf("pool is %+v, want 12.5 Gbit/s, 100 MB/s and boots of 110 s", pool)
	}
	if got, want := s.Spec.Goals[1].Value, (scenario.Value{Number: 1500, Duration: true}); got != want {
		t.Errorf("goal is %+v, want %+v", got, want)
	}
	want := scenario.Strategy{MaxSurge: scenario.Portion{Number: 25, Percent: true}, MaxUnavailable: scenario.Portion{Number: 25, Percent: true}}
	if diff := cmp.Diff(want, s.Spec.Workloads[0].Strategy); diff != "" {
		t.Errorf("strategy (-want +got):\n%s", diff)
	}
}

// TestErrors shows every kind of mistake and what is said about it. `decode` reads
// a whole file, `with` edits the sample, a path and a value a line.
func TestErrors(t *testing.T) {
	t.Parallel()
	sample := blackFriday(t)
	datadriven.RunTest(t, "testdata/errors.txt", func(t *testing.T, d *datadriven.TestData) string {
		var err error
		switch d.Cmd {
		case "decode":
			_, err = scenario.Decode([]byte(d.Input))
		case "with":
			var edits []scenario.Edit
			for line := range strings.Lines(d.Input) {
				path, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				edits = append(edits, scenario.Edit{Path: path, Value: value})
			}
			_, err = scenario.With(sample, edits...)
		default:
			d.Fatalf(t, "unknown command %q", d.Cmd)
		}
		if err == nil {
			return "ok\n"
		}
		if _, ok := errors.AsType[scenario.Errors](err); !ok {
			t.Errorf("the error is a %T, want Errors", err)
		}
		return err.Error() + "\n"
	})
}

// A default that cannot be read would be an error of every file.
func TestEveryDefaultIsReadAndShown(t *testing.T) {
	t.Parallel()
	s, err := scenario.With(blackFriday(t),
		scenario.Edit{Path: "egress[nat]", Value: "{name: nat}"},
		scenario.Edit{Path: "mirrors", Value: "[{name: m, for: [hub]}]"},
		scenario.Edit{Path: "nodePools", Value: "[{name: k, nodes: 100, autoscaler: {type: Karpenter, max: 200}}, {name: c, nodes: 1, autoscaler: {type: ClusterAutoscaler, max: 2}}]"},
		scenario.Edit{Path: "registries", Value: "[{name: hub, host: docker.io, limiters: [{type: RollingLog, limit: 100, window: 6h}]}]"},
		scenario.Edit{Path: "workloads", Value: "[{name: web, image: app}, {name: api, kind: Rollout, image: app, steps: [{gate: {}}]}]"},
		scenario.Edit{Path: "faults", Value: "[{at: 1m, outage: {registry: hub, mode: Slow}}]"},
		scenario.Edit{Path: "policies", Value: "[{name: pace, pace: {}}, {name: slow, staticRate: {rate: 1/m}}]"},
		scenario.Edit{Path: "cluster", Value: "{}"}, scenario.Edit{Path: "seed", Value: "null"},
		scenario.Edit{Path: "replications", Value: "null"}, scenario.Edit{Path: "horizon", Value: "null"},
	)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, row := range scenario.Explain(s) {
		if row.Source == "" {
			t.Errorf("%s comes from nowhere", row.Path)
		}
		shown[row.Path] = row.Value
	}
	places := strings.NewReplacer("[]", "[0]")
	for _, d := range scenario.Defaults() {
		path := "spec." + places.Replace(d.Field)
		if strings.Contains(d.If, "ClusterAutoscaler") {
			path = strings.Replace(path, "nodePools[0]", "nodePools[1]", 1)
		}
		if strings.Contains(path, "staticRate") {
			path = strings.Replace(path, "policies[0]", "policies[1]", 1)
		}
		if strings.Contains(path, "steps") {
			path = strings.Replace(path, "workloads[0]", "workloads[1]", 1)
		}
		if got := shown[path]; got != d.Value {
			t.Errorf("%s is shown as %q, want %q", path, got, d.Value)
		}
	}
}

// What policies and budgets default to is the product's own table, whole.
func TestExplainShowsTheDefaultsOfPace(t *testing.T) {
	t.Parallel()
	rows := scenario.Explain(decoded(t, blackFriday(t)))
	for _, want := range v1alpha1.Defaults() {
		if !slices.ContainsFunc(rows, func(r scenario.Row) bool { return r.Path == want.Field && r.Value == want.Value && r.Source != "" }) {
			t.Errorf("%s is not shown as %s", want.Field, want.Value)
		}
	}
	s, err := scenario.With(blackFriday(t), scenario.Edit{Path: "policies", Value: "[{name: none, unpaced: {}}]"}, scenario.Edit{Path: "goals", Value: "[]"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range scenario.Explain(s) {
		if !strings.HasPrefix(r.Path, "spec.") {
			t.Errorf("%s is shown without a policy that it is for", r.Path)
		}
	}
}

// What a kubelet makes of parallel pulls without a word about serial ones.
func TestParallelPullsAreNotSerialized(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"{}": true, "{maxParallelImagePulls: 1}": true, "{maxParallelImagePulls: 5}": false, "{serializeImagePulls: false}": false} {
		s, err := scenario.With(blackFriday(t), scenario.Edit{Path: "nodePools[0].kubelet", Value: value})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Spec.NodePools[0].Kubelet.SerializeImagePulls; got != want {
			t.Errorf("kubelet %s: serializeImagePulls is %v, want %v", value, got, want)
		}
	}
}

// The files that are made to hurt: each is refused with little work.
func TestHostileFilesAreRefused(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'j'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+p+", ", 10), ", ") + "]\n"
	}
	tests := map[string]string{
		"10 MB":               "spec: {" + strings.Repeat("a: 1, ", 10<<20/6) + "}",
		"256 kB of unknowns":  "spec: {" + strings.Repeat("a: 1, ", 1<<18/6) + "}",
		"128 kB of limiters":  "spec: {registries: [{limiters: [" + strings.Repeat("{}, ", 1<<17/4) + "]}]}",
		"128 kB of workloads": "spec: {workloads: [" + strings.Repeat("{name: a}, ", 1<<17/11) + "]}",
		"128 kB of faults":    "spec: {faults: [" + strings.Repeat("{at: 1s}, ", 1<<17/10) + "]}",
		"deep":                strings.Repeat("[", 200_000),
		"deep in a field":     "spec: " + strings.Repeat("{spec: ", 100_000),
		"alias bomb":          bomb + "spec: {nodePools: *j}\n",
		"itself":              "spec: &s {timeline: [*s, *s], spec: *s}\n",
		"aliases of a list":   "spec: {images: &i [" + strings.Repeat("{name: a}, ", 2000) + "], policies: [" + strings.Repeat("{pace: {policy: {classes: *i}}}, ", 2000) + "]}",
		"binary":              "\x00\x01\xff",
		"a long name":         "spec: {registries: [{name: " + strings.Repeat("a", 1<<20) + "}]}",
		"an unknown key":      strings.Repeat("k", 1<<20) + ": 1",
		"many bad names":      "spec: {images: [" + strings.Repeat("{name: '?'}, ", 20_000) + "]}",
		"budgets of nothing":  "spec: {policies: [{pace: {budgets: {" + strings.Repeat("a: , ", 20_000) + "}}}]}",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := scenario.Decode([]byte(text))
			if err == nil {
				t.Fatalf("was read as %+v", s)
			}
			if n := len(err.Error()); n > 4<<20 {
				t.Errorf("the error is %d bytes long", n)
			}
		})
	}
}

// A fleet times images that no memory holds is refused, a large cluster is not.
func TestCachesAreBounded(t *testing.T) {
	t.Parallel()
	images := "["
	for i := range 5000 {
		images += fmt.Sprintf("{name: i%d, registry: hub, layers: [{digest: d%d, size: 1Mi}]},", i, i)
	}
	images += "{name: app, registry: hub}, {name: logs, registry: hub}]"
	for nodes, wrong := range map[string]bool{"5000": false, "490000": true} {
		_, err := scenario.With(blackFriday(t), scenario.Edit{Path: "images", Value: images},
			scenario.Edit{Path: "nodePools[0].nodes", Value: nodes}, scenario.Edit{Path: "nodePools[0].autoscaler.max", Value: nodes})
		if got := err != nil && strings.Contains(err.Error(), "too much to remember"); got != wrong || !wrong && err != nil {
			t.Errorf("%s nodes: %v", nodes, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	sample, err := os.ReadFile("testdata/black-friday.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	for _, seed := range []string{
		"", "a", "spec:", "spec: &s {timeline: [*s]}", "spec: {policies: [{pace: {policy: {maxHold: 1}, budgets: {a: {limit: {rate: x}}}}}]}",
		"spec: {nodePools: [{nodes: 9223372036854775807, podsPerNode: 9223372036854775807}]}", "? {a: b} : c", "<<: {a: b}", "spec: !!binary aGk=",
		"spec: {faults: [{at: 1s, natCollapse: {from: a, to: a}}]}", "spec: {horizon: 2562047h47m16.854775807s}", "--- a\n--- b\n",
		"spec: {workloads: [{kind: Rollout, steps: [{gate: {interval: 1h}}, {setWeight: -1}, {pause: {duration: 0}}, {setCanaryScale: {replicas: 1, weight: 2}}, gate, {}]}]}",
		"spec: {workloads: [{steps: &s [{gate: {}, setWeight: 2147483648}], trafficRouting: *s}]}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := scenario.Decode(data)
		if (s == nil) == (err == nil) {
			t.Errorf("scenario %v and error %v, want one of them", s, err)
		}
		if s != nil {
			scenario.Explain(s)
		}
	})
}
