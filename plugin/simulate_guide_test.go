package plugin

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var updateGuide = flag.Bool("update-guide", false, "rewrite what docs/simulate.md shows of commands")

const guide = "../docs/simulate.md"

// shownCommand is a command that the guide shows, and what it says it prints.
type shownCommand struct {
	args []string
	said string
}

// captures are the commands of a page's blocks of console, but those that show errors:
// what is said of the guide's file with mistakes is tested beside the page.
func captures(page string) []shownCommand {
	var all []shownCommand
	for _, part := range strings.Split(page, "```console\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		for _, shown := range strings.Split("\n"+block, "\n$ kubectl pace ")[1:] {
			line, said, _ := strings.Cut(shown, "\n")
			said = strings.TrimSuffix(said, "\n") + "\n"
			if !strings.HasPrefix(said, "error: ") {
				all = append(all, shownCommand{words(line), said})
			}
		}
	}
	return all
}

// words are those of a command line, with what is in single quotes as one.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	return out
}

// passing is what another machine or another version says otherwise without being
// wrong: how long it took, and how many events there were and their hash.
var passing = regexp.MustCompile(`[0-9,]+ events in [0-9]+\.[0-9]s|sha256 [0-9a-f]{64}`)

// alike reports whether what is shown is what was printed; a line of three dots stands
// for any.
func alike(shown, printed string) bool {
	shown, printed = passing.ReplaceAllString(shown, "-"), passing.ReplaceAllString(printed, "-")
	before, after, shortened := strings.Cut(shown, "...\n")
	if !shortened {
		return shown == printed
	}
	return len(printed) >= len(before)+len(after) && strings.HasPrefix(printed, before) && strings.HasSuffix(printed, after)
}

// TestTheGuideShowsWhatIsPrinted runs every command that docs/simulate.md shows with
// what it prints, on the file that the page begins with.
func TestTheGuideShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	_, rest, _ := strings.Cut(page, "```yaml\n")
	first, _, _ := strings.Cut(rest, "```")
	shown := captures(page)
	if len(shown) < 3 {
		t.Fatalf("the guide shows %d commands with what they print, want three at least", len(shown))
	}
	for _, c := range shown {
		h := simulating(t, map[string]string{"first.yaml": first})
		h.wants(h.run(c.args...), ExitOK)
		if alike(c.said, h.out.String()) {
			continue
		}
		if *updateGuide {
			page = strings.Replace(page, c.said, h.out.String(), 1)
			continue
		}
		t.Errorf("%s prints something else (-guide +printed); go test ./plugin -run Guide -update-guide rewrites it\n%s",
			strings.Join(c.args, " "), cmp.Diff(strings.Split(c.said, "\n"), strings.Split(h.out.String(), "\n")))
	}
	if *updateGuide {
		if err := os.WriteFile(guide, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
