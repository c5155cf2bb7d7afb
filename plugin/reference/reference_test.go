package reference

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/plugin"
)

var update = flag.Bool("update", false, "rewrite docs/reference/cli.md")

const page = "../../docs/reference/cli.md"

// TestPageIsCurrent compares the page with the program.
func TestPageIsCurrent(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := Write(&got, plugin.New(plugin.Env{Args: []string{"kubectl-pace"}})); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("run go test ./plugin/reference -update (-page +program)\n%s", diff)
	}
}
