package plugin

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// wave is 20 pods on 20 cold nodes against 10 pulls a minute.
const wave = `
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: wave}
spec:
  horizon: 1h
  registries: [{name: hub, host: docker.io, limiters: [{type: FixedWindow, limit: 10, window: 1m}]}]
  egress: [{name: nat}]
  nodePools: [{name: general, nodes: 20, egress: nat, podsPerNode: 1}]
  images: [{name: app, registry: hub, layers: [{digest: app, size: 1Mi}]}]
  workloads: [{name: web, image: app, replicas: 20, cold: true}]
  policies: [{name: none, unpaced: {}}, {name: two, fixedParallelism: {nodes: 2}}]
  goals:
  - {policy: none, metric: unfinishedPods, op: "==", value: 0}
  - {policy: two, metric: throttled, op: ">=", value: 0}
`

// simulating is a harness with scenario files and a cluster that must not be asked.
func simulating(t *testing.T, files map[string]string) *harness {
	t.Helper()
	h := newHarness(t, interceptor.Funcs{})
	h.env.Connect = nil
	h.env.ReadFile = func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return h
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	missed := strings.Replace(wave, `metric: throttled, op: ">="`, `metric: throttled, op: "<"`, 1)
	files := map[string]string{"wave.yaml": wave, "missed.yaml": missed, "wrong.yaml": strings.Replace(wave, "limit: 10", "limits: 10", 1),
		"worse.yaml": strings.Replace(wave, "horizon: 1h", "horizon: 60", 1)}
	for name, tc := range map[string]struct {
		args  []string
		code  int
		words []string
		not   string
	}{
		"goals are met":       {[]string{"wave.yaml"}, ExitOK, []string{"wave: all 2 goals are met", "POLICY", "none", "two", "registries[hub].limiters[0]", "next", "kubectl pace simulate wave.yaml --html"}, ""},
		"a goal is missed":    {[]string{"missed.yaml"}, ExitHold, []string{"1 of 2 goals missed", "MISSED", "kubectl pace simulate solve missed.yaml --policy two --path 'registries[hub].limiters[0].limit' --goal 'throttled < 0'"}, ""},
		"two files":           {[]string{"wave.yaml", "missed.yaml"}, ExitHold, []string{"all 2 goals are met", "1 of 2 goals missed"}, ""},
		"one policy":          {[]string{"missed.yaml", "--policy", "none"}, ExitOK, []string{"its goal is met", "none"}, "two"},
		"another seed":        {[]string{"wave.yaml", "--seed", "9", "--replications", "3"}, ExitOK, []string{"seed 9, 3 runs of each policy", "over all 3"}, ""},
		"wide":                {[]string{"wave.yaml", "-o", "wide"}, ExitOK, []string{"WITH RESERVE", "429 ATTEMPTS"}, ""},
		"names":               {[]string{"wave.yaml", "-o", "name"}, ExitOK, []string{"none\ntwo\n"}, "POLICY"},
		"no file":             {nil, ExitUsage, []string{"name a scenario"}, ""},
		"no such file":        {[]string{"gone.yaml"}, ExitError, []string{"gone.yaml", "simulate --list"}, ""},
		"no such policy":      {[]string{"wave.yaml", "--policy", "pace"}, ExitUsage, []string{`no policy "pace"`, "none, two"}, ""},
		"no run":              {[]string{"wave.yaml", "--replications", "0"}, ExitUsage, []string{"--replications is 0"}, ""},
		"errors of all files": {[]string{"wrong.yaml", "wave.yaml", "worse.yaml"}, ExitUsage, []string{"wrong.yaml: line 7: ", "limits", "worse.yaml: line 6: ", "horizon"}, "goals are met"},
		"html of two files":   {[]string{"wave.yaml", "missed.yaml", "--html", "x.html"}, ExitUsage, []string{"one scenario"}, ""},
		"unknown output":      {[]string{"wave.yaml", "-o", "csv"}, ExitUsage, []string{"csv"}, ""},
		"a file and a list":   {[]string{"--list", "wave.yaml"}, ExitUsage, []string{"takes no file"}, ""},
		"list and explain":    {[]string{"--list", "--explain"}, ExitUsage, []string{"one at a time"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := simulating(t, files)
			h.wants(h.run(append([]string{"simulate"}, tc.args...)...), tc.code, tc.words...)
			if tc.not != "" && strings.Contains(h.out.String(), tc.not) {
				t.Errorf("says %q:\n%s", tc.not, h.out.String())
			}
		})
	}
}

// TestSimulateReadsStandardInput: - is a file like another.
func TestSimulateReadsStandardInput(t *testing.T) {
	t.Parallel()
	h := simulating(t, nil)
	h.env.In = strings.NewReader(wave)
	h.wants(h.run("simulate", "-"), ExitOK, "all 2 goals are met")
	if strings.Contains(h.out.String(), "next") {
		t.Errorf("what was read once is to be read again:\n%s", h.out.String())
	}
}

// TestSimulateJSON: one object with the result's own names, and the same as YAML.
func TestSimulateJSON(t *testing.T) {
	t.Parallel()
	h := simulating(t, map[string]string{"wave.yaml": wave})
	h.wants(h.run("simulate", "wave.yaml", "-o", "json"), ExitOK)
	var fromJSON, fromYAML report.Result
	d := json.NewDecoder(&h.out)
	d.DisallowUnknownFields()
	if err := d.Decode(&fromJSON); err != nil {
		t.Fatal(err)
	}
	if d.More() || h.err.Len() > 0 {
		t.Errorf("there is more than one object, or something on standard error: %s", h.err.String())
	}
	h.wants(h.run("simulate", "wave.yaml", "-o", "yaml"), ExitOK)
	if err := yaml.UnmarshalStrict(h.out.Bytes(), &fromYAML); err != nil {
		t.Fatal(err)
	}
	fromJSON.EventsPerSecond, fromYAML.EventsPerSecond = 0, 0
	if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
		t.Errorf("(-json +yaml)\n%s", diff)
	}
	if p := fromJSON.Policies[0]; p.Name != "none" || p.Pulls != 20 || p.Bound.Seconds == nil || *p.Bound.Seconds != 60 || fromJSON.Goals[0].Policy != "none" {
		t.Errorf("20 pulls against 10 a minute, the bound of which is 60 s, are %+v", p)
	}
}

func TestSimulateHTML(t *testing.T) {
	t.Parallel()
	h := simulating(t, map[string]string{"wave.yaml": wave})
	written := map[string]string{}
	h.env.WriteFile = func(name string, data []byte) error {
		written[name] = string(data)
		return nil
	}
	h.wants(h.run("simulate", "wave.yaml", "--html", "out.html"), ExitOK, "all 2 goals are met", "wrote out.html")
	if !strings.HasPrefix(written["out.html"], "<!DOCTYPE html>") || !strings.Contains(written["out.html"], "<polyline") {
		t.Errorf("out.html is %.80q", written["out.html"])
	}
	h.wants(h.run("simulate", "wave.yaml", "--html", "-"), ExitOK, "<!DOCTYPE html>")
	if strings.Contains(h.out.String(), "POLICY") {
		t.Error("the table is in the page")
	}
	h.env.WriteFile = func(string, []byte) error { return fs.ErrPermission }
	h.wants(h.run("simulate", "wave.yaml", "--html", "out.html"), ExitError, "writing out.html", "permission")
}

// TestExplainPrintsTheDefaultsOfTheCode: each line of the table of PacePolicy and
// PullBudget, word for word, whether a file is named or not.
func TestExplainPrintsTheDefaultsOfTheCode(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"simulate", "--explain"}, {"simulate", "--explain", "wave.yaml"}} {
		h := simulating(t, map[string]string{"wave.yaml": wave})
		h.wants(h.run(append(args, "-o", "json")...), ExitOK)
		var got view.Defaulted
		if err := json.Unmarshal(h.out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		var want []view.DefaultedField
		for _, d := range v1alpha1.Defaults() {
			want = append(want, view.DefaultedField{Field: d.Field, Value: d.Value})
		}
		if diff := cmp.Diff(want, got.Policy); diff != "" {
			t.Errorf("%q (-code +printed)\n%s", args, diff)
		}
		h.wants(h.run(args...), ExitOK, "maxHold", "24h (class ci: 2m)", "registryPullQPS", "KubeletConfiguration")
	}
}

// TestExplainSaysWhatAFileLeavesOut and not what it says.
func TestExplainSaysWhatAFileLeavesOut(t *testing.T) {
	t.Parallel()
	h := simulating(t, map[string]string{"wave.yaml": wave})
	h.wants(h.run("simulate", "--explain", "wave.yaml", "-o", "name"), ExitOK, "seed", "bindQPS")
	if strings.Contains(h.out.String(), "horizon") {
		t.Errorf("the horizon is in the file:\n%s", h.out.String())
	}
	h.wants(h.run("simulate", "--explain", "gone.yaml"), ExitError, "gone.yaml")
}

// TestEveryStoryRuns lists what is built in and decodes each by its name.
func TestEveryStoryIsListed(t *testing.T) {
	t.Parallel()
	h := simulating(t, nil)
	h.wants(h.run("simulate", "--list", "-o", "name"), ExitOK)
	stories, err := scenario.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range stories {
		want = append(want, s.Name)
	}
	if diff := cmp.Diff(want, strings.Fields(h.out.String())); diff != "" || len(want) < 9 {
		t.Errorf("(-built in +listed)\n%s", diff)
	}
	h.wants(h.run("simulate", "--list"), ExitOK, "next", "kubectl pace simulate "+want[0])
	h.wants(h.run("simulate", "--explain", want[0]), ExitOK, want[0])
}

func TestSweep(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args  []string
		code  int
		words []string
	}{
		"a grid": {[]string{"--path", "registries[hub].limiters[0].limit", "--values", "10, 20", "--path", "nodePools[0].nodes", "--values", "20..40 lin 2", "--policy", "none"}, ExitOK,
			[]string{"wave: 4 points", "10", "20", "40"}},
		"metrics":            {[]string{"--path", "seed", "--values", "1,2", "--metric", "pulls,podReadySeconds.p50"}, ExitOK, []string{"pulls", "podReadySeconds.p50"}},
		"a wrong path":       {[]string{"--path", "registries[docker].limiters[0].limit", "--values", "1"}, ExitUsage, []string{"wave.yaml", "docker"}},
		"a wrong value":      {[]string{"--path", "horizon", "--values", "1h,x"}, ExitUsage, []string{`"x"`, "horizon"}},
		"no values":          {[]string{"--path", "seed"}, ExitUsage, []string{"1 --path and 0 --values"}},
		"an unknown metric":  {[]string{"--path", "seed", "--values", "1", "--metric", "own429"}, ExitUsage, []string{"own429"}},
		"a range without N":  {[]string{"--path", "seed", "--values", "1..5"}, ExitUsage, []string{"how many"}},
		"a goal is missed":   {[]string{"--path", "horizon", "--values", "30s,1h"}, ExitHold, []string{"a goal is missed at 1 of them", "1 of 1 missed"}},
		"as names of points": {[]string{"--path", "seed", "--values", "1,2", "-o", "name"}, ExitOK, []string{"1\n2\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := simulating(t, map[string]string{"wave.yaml": wave})
			h.wants(h.run(append([]string{"simulate", "sweep", "wave.yaml"}, tc.args...)...), tc.code, tc.words...)
		})
	}
}

// TestSolve: 20 pulls are all at once with 20 a window, and not with 19.
func TestSolve(t *testing.T) {
	t.Parallel()
	limit := []string{"--path", "registries[hub].limiters[0].limit", "--policy", "none"}
	for name, tc := range map[string]struct {
		args  []string
		code  int
		words []string
	}{
		"a quota":           {append(limit, "--goal", "makespanSeconds <= 30s"), ExitOK, []string{"registries[hub].limiters[0].limit = 20", "(now 10)", "none makespanSeconds <= 30.0s", "19", "missed"}},
		"within":            {append(limit, "--goal", "throttled == 0", "--within", "1..64"), ExitOK, []string{"limit = 20"}},
		"not enough":        {append(limit, "--goal", "throttled == 0", "--within", "1..19"), ExitHold, []string{"no value of registries[hub].limiters[0].limit up to 19 is enough"}},
		"only the name":     {append(limit, "--goal", "throttled == 0", "-o", "name"), ExitOK, []string{"20\n"}},
		"no policy":         {[]string{"--path", "registries[0].limiters[0].limit", "--goal", "throttled == 0"}, ExitUsage, []string{"name one --policy", "none, two"}},
		"two policies":      {[]string{"--path", "seed", "--goal", "throttled == 0", "--policy", "none,two"}, ExitUsage, []string{"one --policy"}},
		"no goal":           {limit, ExitUsage, []string{"--path and --goal are required"}},
		"a wrong goal":      {append(limit, "--goal", "own429 == 0"), ExitUsage, []string{"own429"}},
		"a wrong path":      {[]string{"--path", "registries[9].limiters[0].limit", "--policy", "none", "--goal", "throttled == 0"}, ExitUsage, []string{"wave.yaml", "9"}},
		"no number there":   {[]string{"--path", "registries[0].host", "--policy", "none", "--goal", "throttled == 0"}, ExitUsage, []string{"docker.io", "--within"}},
		"a wrong range":     {append(limit, "--goal", "throttled == 0", "--within", "9..1"), ExitUsage, []string{"goes down"}},
		"a value of no use": {[]string{"--path", "registries[0].limiters[0].window", "--policy", "none", "--goal", "throttled == 0", "--within", "1..9"}, ExitUsage, []string{"window = 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := simulating(t, map[string]string{"wave.yaml": wave})
			h.wants(h.run(append([]string{"simulate", "solve", "wave.yaml"}, tc.args...)...), tc.code, tc.words...)
		})
	}
}

// TestProgressOfALongRun: what lasts says on standard error how far it is.
func TestProgressOfALongRun(t *testing.T) {
	t.Parallel()
	p := &progress{}
	if got := p.text(4e9); got != "running for 4s" {
		t.Errorf("got %q", got)
	}
	p.done(2, 3)
	if got := p.text(10e9); got != "running for 10s, 2 of 3 runs done" {
		t.Errorf("got %q", got)
	}
	p.done(10, 40)
	if got := p.text(10e9); got != "running for 10s, 10 of 40 runs done, about 30s to go" {
		t.Errorf("got %q", got)
	}
}
