package reference

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
)

// ReasonIndex leads to the pages of the Reasons.
func ReasonIndex() string {
	b := index("Reasons", "A page for each Reason: what it means, how you see it, what to do, and what Pace does by itself.\nThe closed list is in [reference/reasons.md](../reference/reasons.md).", "Reason", "because")
	for _, r := range core.Reasons() {
		b.row(string(r.Reason), strings.ToLower(string(r.Answer[:1]))+string(r.Answer[1:])+": "+r.Text)
	}
	return b.String()
}

// FailureIndex leads to the pages of the classes of failures.
func FailureIndex() string {
	b := index("Failures", "A page for each class of failing pulls, in the order in which they are recognised. `kubectl pace doctor` says\nwhich it is.", "class", "what happened")
	for _, info := range feedback.Infos() {
		b.row(string(info.Class), info.Text)
	}
	return b.String()
}

// AlertIndex leads to the pages of the alerts in a PrometheusRule.
func AlertIndex(rules []byte) (string, error) {
	alerts, err := Alerts(rules)
	if err != nil {
		return "", err
	}
	b := index("Alerts", "A page for each alert of `manifests/monitoring/rules.yaml`; it is what `runbook_url` leads to.", "alert", "severity")
	for _, a := range alerts {
		b.row(a.Name, a.Labels["severity"])
	}
	return b.String(), nil
}

// Alert is one alert of a PrometheusRule.
type Alert struct {
	Name   string            `json:"alert"`
	Labels map[string]string `json:"labels"`
	// Annotations are its texts.
	Annotations map[string]string `json:"annotations"`
}

// Alerts are those of a PrometheusRule, in its order.
func Alerts(rules []byte) ([]Alert, error) {
	var object struct {
		Spec struct {
			Groups []struct {
				Rules []Alert `json:"rules"`
			} `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(rules, &object); err != nil {
		return nil, fmt.Errorf("reading alerts: %w", err)
	}
	var all []Alert
	for _, g := range object.Spec.Groups {
		all = append(all, g.Rules...)
	}
	return all, nil
}

// listing is a page that leads to others in its folder.
type listing struct{ strings.Builder }

func index(title, text, head, about string) *listing {
	b := &listing{}
	fmt.Fprintf(b, "%s# %s\n\n%s\n\n| %s | %s |\n| --- | --- |\n", generated, title, text, head, about)
	return b
}

func (b *listing) row(name, about string) {
	fmt.Fprintf(b, "| [%s](%s.md) | %s |\n", name, name, cell(about))
}
