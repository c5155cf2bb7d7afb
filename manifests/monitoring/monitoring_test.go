//go:build unix

package monitoring_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/docs/reference"
	"github.com/pullpace/pace/test/cluster/binaries"
)

// rule is an alert of rules.yaml.
type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type group struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

// groups are the alerts, every field known.
func groups(t *testing.T) []group {
	t.Helper()
	var object struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       struct {
			Groups []group `json:"groups"`
		} `json:"spec"`
	}
	read(t, "rules.yaml", &object)
	if object.Kind != "PrometheusRule" || len(object.Spec.Groups) == 0 {
		t.Fatalf("rules.yaml holds a %s of %d groups", object.Kind, len(object.Spec.Groups))
	}
	return object.Spec.Groups
}

func alerts(t *testing.T) map[string]rule {
	t.Helper()
	all := map[string]rule{}
	for _, g := range groups(t) {
		for _, r := range g.Rules {
			if _, twice := all[r.Alert]; twice {
				t.Errorf("%s is there twice", r.Alert)
			}
			all[r.Alert] = r
		}
	}
	return all
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// promtool runs Prometheus' own tool, built from its module as the go command has it.
func promtool(t *testing.T, args ...string) string {
	t.Helper()
	builder, err := binaries.New(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	tool, err := builder.Promtool(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// write writes what promtool reads.
func write(t *testing.T, file string, content any) {
	t.Helper()
	text, err := yaml.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// An alert that pages somebody says how bad it is, what it is, and where it is explained.
func TestAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	const pages = "https://github.com/pullpace/pace/blob/main/docs/alerts/"
	for name, r := range alerts(t) {
		if !slices.Contains([]string{"critical", "warning", "none"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", name, r.Labels["severity"])
		}
		for _, what := range []string{"summary", "description"} {
			if r.Annotations[what] == "" {
				t.Errorf("%s: no %s", name, what)
			}
		}
		if r.Annotations["runbook_url"] != pages+name+".md" {
			t.Errorf("%s: runbook_url %q, want %s", name, r.Annotations["runbook_url"], pages+name+".md")
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules.yaml"), map[string]any{"groups": groups(t)})
	promtool(t, "check", "rules", filepath.Join(dir, "rules.yaml"))
}

// metric is a name of ours in a query.
var metric = regexp.MustCompile(`pullpace_[a-z0-9_]+`)

// served are the metrics that the controller and the failsafe have, and the parts of
// those that are histograms.
func served(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, name := range metric.FindAllString(reference.Metrics(), -1) {
		names[name] = true
		for _, part := range []string{"_bucket", "_sum", "_count"} {
			names[name+part] = true
		}
	}
	if len(names) < 30 {
		t.Fatalf("only %d metrics: the test proves nothing", len(names))
	}
	return names
}

func TestQueriesUseMetricsThatAreServed(t *testing.T) {
	t.Parallel()
	known := served(t)
	queries := queries(t)
	for name, r := range alerts(t) {
		queries["alert "+name] = r.Expr
	}
	for from, query := range queries {
		for _, name := range metric.FindAllString(query, -1) {
			if !known[name] {
				t.Errorf("%s asks for %s, which nobody serves", from, name)
			}
		}
	}
}

// queries are those of the dashboard, by panel.
func queries(t *testing.T) map[string]string {
	t.Helper()
	var dashboard struct {
		Title  string `json:"title"`
		Panels []struct {
			ID      int    `json:"id"`
			Type    string `json:"type"`
			Title   string `json:"title"`
			Targets []struct {
				RefID string `json:"refId"`
				Expr  string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	all, ids := map[string]string{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" || (p.Type != "row" && len(p.Targets) == 0) {
			t.Errorf("panel %d %q: its number is taken, or it has no title or no query", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			all["panel "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	if len(all) < 20 {
		t.Fatalf("only %d queries: the test proves nothing", len(all))
	}
	return all
}

// Every query of the dashboard parses once Grafana has put in what is chosen.
func TestQueriesOfTheDashboardParse(t *testing.T) {
	t.Parallel()
	chosen := strings.NewReplacer("$account", ".*", "$__rate_interval", "1m")
	var rules []map[string]string
	all := queries(t)
	for i, from := range slices.Sorted(maps.Keys(all)) {
		query := chosen.Replace(all[from])
		if strings.Contains(query, "$") {
			t.Errorf("%s: a variable that the dashboard does not have: %s", from, query)
		}
		rules = append(rules, map[string]string{"record": fmt.Sprint("panel", i), "expr": query})
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, file, map[string]any{"groups": []map[string]any{{"name": "dashboard", "rules": rules}}})
	promtool(t, "check", "rules", file)
}

// What kubectl apply -k makes of the folder: all of it in Pace's namespace, a dashboard
// that Grafana's sidecar finds, and monitors of ports that the pods have.
func TestTheFolderBuilds(t *testing.T) {
	t.Parallel()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range built.Resources() {
		got = append(got, r.GetNamespace()+"/"+r.GetKind()+"/"+r.GetName())
		if r.GetKind() == "ConfigMap" && (r.GetLabels()["grafana_dashboard"] != "1" || len(r.GetDataMap()["pullpace.json"]) < 1000) {
			t.Errorf("labels %v: Grafana does not find the dashboard", r.GetLabels())
		}
	}
	slices.Sort(got)
	want := []string{
		"pullpace-system/ConfigMap/pullpace-dashboard", "pullpace-system/PodMonitor/pacer",
		"pullpace-system/PodMonitor/pacer-failsafe", "pullpace-system/PrometheusRule/pullpace",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("built objects (-want +got):\n%s", diff)
	}
	for file, name := range map[string]string{"../controller/deployment.yaml": "pacer", "../failsafe/deployment.yaml": "pacer-failsafe"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n---\n")
		var d appsv1.Deployment
		if err := yaml.UnmarshalStrict([]byte(first), &d); err != nil {
			t.Fatal(err)
		}
		pod := d.Spec.Template
		if pod.Labels["app.kubernetes.io/name"] != name || !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == "metrics" }) {
			t.Errorf("%s: its pods are not those of the PodMonitor, or have no port metrics", name)
		}
	}
}
