//go:build unix

package binaries

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func readModule(t *testing.T, module string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "modules", module, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestEveryComponentIsPinnedAsATool(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(components(), helm(), promtool(), autoscaler(), argo()) {
		line := regexp.MustCompile(`(?m)^(tool )?\s*` + regexp.QuoteMeta(c.pkg) + "$")
		if !line.MatchString(readModule(t, c.module)) {
			t.Errorf("module %s has no tool line for %s", c.module, c.pkg)
		}
	}
}

func TestStampedVersionIsTheOneBuilt(t *testing.T) {
	t.Parallel()
	if !strings.Contains(readModule(t, "kubernetes"), "k8s.io/kubernetes "+KubernetesVersion+"\n") &&
		!strings.Contains(readModule(t, "kubernetes"), "k8s.io/kubernetes "+KubernetesVersion+" ") {
		t.Errorf("module kubernetes does not require k8s.io/kubernetes %s", KubernetesVersion)
	}
}

func TestMissingNamesWhatIsNotBuilt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if got, want := len(missing(components(), dir)), len(components()); got != want {
		t.Errorf("an empty folder lacks %d components, want %d", got, want)
	}
	for _, c := range components()[1:] {
		if err := os.WriteFile(filepath.Join(dir, c.name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if got := missing(components(), dir); len(got) != 1 || got[0] != components()[0] {
		t.Errorf("a folder without %s lacks %v", components()[0].name, got)
	}
}
