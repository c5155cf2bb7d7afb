package reference_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/docs/reference"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
)

func rules(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("../../manifests/monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// runbooks are the folders of pages and the closed lists that they are of.
func runbooks(t *testing.T) map[string][]string {
	t.Helper()
	alerts, err := reference.Alerts(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for _, a := range alerts {
		lists["alerts"] = append(lists["alerts"], a.Name)
	}
	for _, r := range core.Reasons() {
		lists["reasons"] = append(lists["reasons"], string(r.Reason))
	}
	for _, c := range feedback.Classes() {
		lists["failures"] = append(lists["failures"], string(c))
	}
	return lists
}

// There is one page for each Reason, alert and class of failures, no page is of nothing,
// and each says what it means, how it shows, what to do and what Pace does.
func TestEveryReasonAlertAndFailureHasItsPage(t *testing.T) {
	t.Parallel()
	sections := []string{"## What it means", "## How you see it", "## What to do", "## What Pace does by itself"}
	for folder, names := range runbooks(t) {
		files, err := filepath.Glob(filepath.Join("..", folder, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		var pages []string
		for _, file := range files {
			if name := strings.TrimSuffix(filepath.Base(file), ".md"); name != "README" {
				pages = append(pages, name)
			}
		}
		slices.Sort(names)
		if diff := cmp.Diff(names, pages); diff != "" {
			t.Errorf("docs/%s: entries of the list and pages (-want +got)\n%s", folder, diff)
		}
		for _, name := range pages {
			text := page(t, folder, name)
			lines := strings.Split(strings.TrimSpace(text), "\n")
			if lines[0] != "# "+name || len(lines) < 15 || len(lines) > 45 {
				t.Errorf("docs/%s/%s.md: begins with %q and has %d lines; want its name, and 15 to 45", folder, name, lines[0], len(lines))
			}
			at := 0
			for _, section := range sections {
				i := strings.Index(text[at:], "\n"+section+"\n")
				if i < 0 {
					t.Errorf("docs/%s/%s.md has no section %q in its place", folder, name, section)
					break
				}
				at += i
			}
		}
	}
}

func page(t *testing.T, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", folder, name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	link   = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]+)?\)`)
	head   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	metric = regexp.MustCompile(`pullpace_[a-z0-9_]+`)
)

// What a page leads to is there, and the metrics that it names are served.
func TestRunbooksLeadSomewhere(t *testing.T) {
	t.Parallel()
	served := metric.FindAllString(reference.Metrics(), -1)
	links := 0
	for folder, names := range runbooks(t) {
		for _, name := range append(names, "README") {
			text := page(t, folder, name)
			for _, m := range link.FindAllStringSubmatch(text, -1) {
				links++
				target, err := os.ReadFile(filepath.Join("..", folder, m[1]))
				if err != nil {
					t.Errorf("docs/%s/%s.md leads to %s: %v", folder, name, m[1], err)
					continue
				}
				if m[2] != "" && !slices.Contains(anchors(string(target)), m[2][1:]) {
					t.Errorf("docs/%s/%s.md leads to %s%s, which has no such heading", folder, name, m[1], m[2])
				}
			}
			for _, m := range metric.FindAllString(text, -1) {
				if !strings.HasSuffix(m, "_") && !slices.Contains(served, m) {
					t.Errorf("docs/%s/%s.md names %s, which nobody serves", folder, name, m)
				}
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links: the test proves nothing", links)
	}
	alerts, err := reference.Alerts(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		if file, ok := strings.CutPrefix(a.Annotations["runbook_url"], "https://github.com/pullpace/pace/blob/main/"); !ok {
			t.Errorf("%s: runbook_url %q is not in the repository", a.Name, a.Annotations["runbook_url"])
		} else if _, err := os.Stat(filepath.Join("../..", file)); err != nil {
			t.Errorf("%s: %v", a.Name, err)
		}
	}
}

// anchors are the headings of a page as links name them.
func anchors(text string) []string {
	var all []string
	for _, m := range head.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}
