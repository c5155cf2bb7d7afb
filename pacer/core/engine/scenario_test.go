package engine_test

import (
	"path/filepath"
	"testing"

	"github.com/pullpace/pace/pacer/core/engine/enginetest"
)

// TestScenarios plays the files of testdata. Rewrite them with -rewrite, and
// commit what changes only if you understand why it changed.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario found: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			enginetest.Run(t, file)
		})
	}
}
