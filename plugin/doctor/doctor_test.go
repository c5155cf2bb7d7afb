package doctor

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/plugin/view"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	hubLimit = "failed to pull and unpack image \"docker.io/acme/web:2.0\": failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://registry-1.docker.io/v2/acme/web/manifests/sha256:50aa: 429 Too Many Requests\ntoomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
)

// planted are faults, one each, in a cluster that is healthy without it, with what is
// to be found of it. Messages are those of real runtimes, as people reported them.
var planted = map[string]struct {
	plant                 func(b builder)
	check, class, limiter string
}{
	"pull limit": {func(b builder) {
		for i := range 3 {
			b.waits("shop", "web", "docker.io/acme/web:2.0", fmt.Sprint("node-", i+1), hubLimit)
		}
	}, CheckThrottled, "Throttled", "pull"},
}

func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	for name, tc := range planted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := healthy()
			tc.plant(b)
			d := Diagnose(b.Snapshot, Scope{})
			i := slices.IndexFunc(d.Findings, func(f view.Finding) bool { return f.Check == tc.check })
			if i < 0 {
				t.Fatalf("not found; findings: %v", d.Names())
			}
			if f := d.Findings[i]; f.Class != tc.class || f.Limiter != tc.limiter {
				t.Errorf("class %q limiter %q, want %q %q", f.Class, f.Limiter, tc.class, tc.limiter)
			}
			if len(d.Findings) != 1 {
				t.Errorf("findings %v, want the planted one alone", d.Names())
			}
			golden(t, name, d)
		})
	}
}

func TestHealthyClusterHasNoFinding(t *testing.T) {
	t.Parallel()
	d := Diagnose(healthy().Snapshot, Scope{})
	if d.Verdict != Healthy || len(d.Findings) != 0 || len(d.Fixes) != 0 {
		t.Errorf("verdict %s, findings %v, want healthy and none", d.Verdict, d.Names())
	}
	golden(t, "healthy", d)
}

// golden compares the page of a diagnosis.
func golden(t *testing.T, name string, d view.Diagnosis) {
	t.Helper()
	var out bytes.Buffer
	if err := view.DiagnosisPage(&out, d, view.Style{Now: now}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}
