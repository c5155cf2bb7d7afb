package engine

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/core"
)

// TestRosterIsAMap lets pods come and go and compares with a map after each.
func TestRosterIsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r roster
		known := map[core.PodID]*pod{}
		names := rapid.SampledFrom([]string{"%d", "pod-%08d", "0b6b5f0e-8ee6-4a2c-9d3f-%012d"}).Draw(t, "names")
		for range rapid.IntRange(0, 400).Draw(t, "steps") {
			id := core.PodID(fmt.Sprintf(names, rapid.IntRange(0, 120).Draw(t, "pod")))
			switch p := known[id]; {
			case p == nil:
				known[id] = r.add(id)
			case rapid.Bool().Draw(t, "goes"):
				r.remove(p)
				delete(known, id)
			}
			if p := r.find(id); p != known[id] || p != nil && p.ID != id {
				t.Fatalf("the pod %s is another", id)
			}
		}
		if r.count != len(known) {
			t.Errorf("%d pods, want %d", r.count, len(known))
		}
		for id, p := range known {
			if r.find(id) != p {
				t.Errorf("the pod %s is lost", id)
			}
		}
	})
}

// TestRosterKeepsWhatItMade lets one pod come and go: what it takes is used again.
func TestRosterKeepsWhatItMade(t *testing.T) {
	t.Parallel()
	var r roster
	first := r.add("a")
	r.remove(first)
	if again := r.add("b"); again != first || again.ID != "b" || again.unschedulable() != none {
		t.Errorf("the second pod is %+v, want the place of the first", again)
	}
}
