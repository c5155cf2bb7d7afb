package report

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"slices"
)

//go:embed page.html.tmpl
var pages embed.FS

// HTML writes a page that needs nothing else: no script, and no style, font or
// picture from anywhere; its policy of content forbids them. Whatever the
// scenario says is text on it.
func HTML(w io.Writer, r Result) error {
	t, err := template.New("page.html.tmpl").Funcs(template.FuncMap{
		"ratio": Ratio, "span": Span, "since": func(seconds float64) string { return Span(&seconds) }, "grouped": Grouped, "class": func(i int) string { return fmt.Sprintf("c%d", i%8) },
	}).ParseFS(pages, "page.html.tmpl")
	if err != nil {
		return fmt.Errorf("parsing the page: %w", err)
	}
	if err := t.Execute(w, page{Result: r, Horizon: Span(&r.HorizonSeconds), Panels: panels(r), Missed: r.Missed()}); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// page is what the template draws.
type page struct {
	Result
	Horizon string
	Panels  []panel
	Missed  int
}

// Gated reports whether a policy tells of gates of Rollouts.
func (p page) Gated() bool {
	return slices.ContainsFunc(p.Policies, func(p Policy) bool { return slices.ContainsFunc(p.Steps, Step.Gate) })
}

// Clustered reports whether a policy tells what each of several clusters came to.
func (p page) Clustered() bool {
	return slices.ContainsFunc(p.Policies, func(p Policy) bool { return len(p.Clusters) > 0 })
}
