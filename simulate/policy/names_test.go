package policy

import (
	"fmt"
	"testing"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/simulate/model"
)

// TestPodsAreNamedByTheirNumbers compares names, also over the edges of what is made at a
// time and of more digits.
func TestPodsAreNamedByTheirNumbers(t *testing.T) {
	t.Parallel()
	var n names
	for _, id := range []model.PodID{0, 9, 10, 99, 1000, namesPerBlock - 1, namesPerBlock, 9_999, 10_000, 99_999, 100_000, 1_000_000} {
		if got, want := n.of(id), core.PodID(fmt.Sprintf("pod-%08d", id)); got != want {
			t.Errorf("pod %d is %s, want %s", id, got, want)
		}
	}
}
