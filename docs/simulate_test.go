package docs_test

import (
	"os"
	"strings"
	"testing"

	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/scenario"
)

// firstFile is the scenario that simulate.md begins with.
func firstFile(t *testing.T) (file, page string) {
	t.Helper()
	text, err := os.ReadFile("simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	file, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("simulate.md has no file to begin with")
	}
	return file, string(text)
}

// The first file of the guide runs, and meets the goal that it states.
func TestFirstScenarioMeetsItsGoal(t *testing.T) {
	t.Parallel()
	file, _ := firstFile(t)
	s, err := scenario.Decode([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	result, err := simulate.Run(t.Context(), s, simulate.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range result.Goals {
		if !g.Met {
			t.Errorf("%s %s %v is missed", g.Metric, g.Op, g.Value)
		}
	}
	if b := result.Policies[0].Bound.Seconds; b == nil || *b != 7200 {
		t.Errorf("the bound is %v, want the two hours that the guide speaks of", b)
	}
}

// The errors that the guide shows are those of the file with two mistakes.
func TestErrorsOfTheGuideAreWhatIsSaid(t *testing.T) {
	t.Parallel()
	file, page := firstFile(t)
	wrong := strings.NewReplacer("egress: nat,", "egress: nat2,", "size: 30Mi", "size: 30").Replace(file)
	_, err := scenario.Decode([]byte(wrong))
	if err == nil {
		t.Fatal("the mistakes were not found")
	}
	for line := range strings.Lines(err.Error()) {
		if want := "first.yaml: " + strings.TrimSpace(line) + "\n"; !strings.Contains(page, want) {
			t.Errorf("simulate.md does not show %q", want)
		}
	}
}

// The second file of the guide has most fields. It is the one that the decoder's tests
// edit, and runs; of its goals the guide says that one is missed.
func TestTheFileWithMostFieldsRuns(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../simulate/scenario/testdata/black-friday.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, page := firstFile(t)
	if !strings.Contains(page, "```yaml\n"+string(want)+"```\n") {
		t.Fatal("simulate.md does not show simulate/scenario/testdata/black-friday.yaml as it is")
	}
	s, err := scenario.Decode(want)
	if err != nil {
		t.Fatal(err)
	}
	result, err := simulate.Run(t.Context(), s, simulate.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if result.Missed() != 1 || *result.Policies[0].Bound.Seconds != 6*3600 {
		t.Errorf("%d goals are missed and the bound is %v s, want 1 and six hours as the guide says", result.Missed(), *result.Policies[0].Bound.Seconds)
	}
}
