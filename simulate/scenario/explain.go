package scenario

import (
	"slices"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// Row is a default that is in force: a field that the file left out, what it is
// then, and where that comes from.
type Row struct {
	Path   string `json:"path"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Explain is every default that is in force in a scenario: of its own fields, and
// of the policies and budgets of pace as the product has them.
func Explain(s *Scenario) []Row {
	rows := slices.Clone(s.defaulted)
	for _, p := range s.Spec.Policies {
		if p.Pace == nil {
			continue
		}
		for _, d := range v1alpha1.Defaults() {
			rows = append(rows, Row{Path: d.Field, Value: d.Value, Source: sourceOf(d.Field)})
		}
		break
	}
	return rows
}

// sourceOf is where a default of the product comes from, and what a scenario makes
// of it.
func sourceOf(field string) string {
	if field == "maxGatedPerNamespace" {
		return "pacer; in a scenario it bounds what is held only where a policy writes it"
	}
	return "pacer, unless a policy or budget says otherwise"
}
