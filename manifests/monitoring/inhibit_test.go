//go:build unix

package monitoring_test

import (
	"maps"
	"regexp"
	"testing"
)

// inhibition is a rule of Alertmanager.
type inhibition struct {
	Source []string `json:"source_matchers"`
	Target []string `json:"target_matchers"`
	Equal  []string `json:"equal"`
}

var matcher = regexp.MustCompile(`^([a-z_]+)(=~|=)"([^"]*)"$`)

// matches reports whether labels match all matchers.
func matches(t *testing.T, matchers []string, labels map[string]string) bool {
	t.Helper()
	all := true
	for _, text := range matchers {
		m := matcher.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("matcher %s", text)
		}
		value := regexp.QuoteMeta(m[3])
		if m[2] == "=~" {
			value = m[3]
		}
		all = all && regexp.MustCompile("^(?:"+value+")$").MatchString(labels[m[1]])
	}
	return all
}

// What the holds of one Deployment inhibit: alerts about it and its pods that no
// scheduler has looked at, and no others, of the namespace or elsewhere. The labels of
// the alerts are those of kube-prometheus.
func TestHoldsInhibitWhatTheyCause(t *testing.T) {
	t.Parallel()
	var config struct {
		Route struct {
			Routes []struct {
				Matchers []string `json:"matchers"`
				Receiver string   `json:"receiver"`
			} `json:"routes"`
		} `json:"route"`
		Receivers []struct {
			Name string `json:"name"`
		} `json:"receivers"`
		Inhibit []inhibition `json:"inhibit_rules"`
	}
	read(t, "alertmanager.yaml", &config)
	firing := []map[string]string{
		{"alertname": "PaceHolding", "namespace": "shop", "kind": "Deployment", "workload": "web", "deployment": "web", "cluster": "prod"},
		{"alertname": "PaceHolding", "namespace": "ci", "kind": "Job", "workload": "build", "job_name": "build", "cluster": "prod"},
		{"alertname": "PaceHoldingPod", "namespace": "shop", "pod": "web-1", "cluster": "prod"},
	}
	cases := map[string]struct {
		labels map[string]string
		want   bool
	}{
		"the held pod":                {map[string]string{"alertname": "KubePodNotReady", "namespace": "shop", "pod": "web-1"}, true},
		"another pod":                 {map[string]string{"alertname": "KubePodNotReady", "namespace": "shop", "pod": "web-2"}, false},
		"the Deployment":              {map[string]string{"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "web"}, true},
		"its rollout":                 {map[string]string{"alertname": "KubeDeploymentRolloutStuck", "namespace": "shop", "deployment": "web"}, true},
		"another Deployment":          {map[string]string{"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "api"}, false},
		"its name elsewhere":          {map[string]string{"alertname": "KubeDeploymentReplicasMismatch", "namespace": "ci", "deployment": "web"}, false},
		"in another cluster":          {map[string]string{"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "web", "cluster": "test"}, false},
		"the Job":                     {map[string]string{"alertname": "KubeJobNotCompleted", "namespace": "ci", "job_name": "build"}, true},
		"another Job":                 {map[string]string{"alertname": "KubeJobNotCompleted", "namespace": "ci", "job_name": "deploy"}, false},
		"a Job that failed":           {map[string]string{"alertname": "KubeJobFailed", "namespace": "ci", "job_name": "build"}, false},
		"a crash loop of the pod":     {map[string]string{"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "web-1"}, false},
		"what Pace itself has to say": {map[string]string{"alertname": "PaceHoldNearBound", "namespace": "shop", "kind": "Deployment", "workload": "web"}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := map[string]string{"cluster": "prod"}
			maps.Copy(target, tc.labels)
			got := false
			for _, rule := range config.Inhibit {
				for _, source := range firing {
					equal := matches(t, rule.Source, source) && matches(t, rule.Target, target)
					for _, label := range rule.Equal {
						equal = equal && source[label] == target[label]
					}
					got = got || equal
				}
			}
			if got != tc.want {
				t.Errorf("inhibited: %t, want %t", got, tc.want)
			}
		})
	}
	for name, r := range alerts(t) {
		silent := false
		for _, route := range config.Route.Routes {
			silent = silent || route.Receiver == "nobody" && matches(t, route.Matchers, map[string]string{"alertname": name, "severity": r.Labels["severity"]})
		}
		if silent != (r.Labels["severity"] == "none") {
			t.Errorf("%s of severity %s is sent to nobody: %t", name, r.Labels["severity"], silent)
		}
	}
}
