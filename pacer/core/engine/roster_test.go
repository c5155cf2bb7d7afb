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
				known[id] = r.meet(id)
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
	first := r.meet("a")
	r.remove(first)
	if again := r.meet("b"); again != first || again.ID != "b" || again.unschedulable() != none {
		t.Errorf("the second pod is %+v, want the place of the first", again)
	}
}

// TestRosterTellsNamesOfOneHashApart keeps two pods whose names have the same hash.
func TestRosterTellsNamesOfOneHashApart(t *testing.T) {
	t.Parallel()
	seen := map[uint32]core.PodID{}
	for i := range 1 << 20 {
		id := core.PodID(fmt.Sprint("pod-", i))
		other, same := seen[uint32(spread(id))]
		if seen[uint32(spread(id))] = id; !same {
			continue
		}
		var r roster
		one := r.meet(other)
		if r.find(id) != nil {
			t.Errorf("%s is found for %s", other, id)
		}
		two := r.meet(id)
		if r.remove(one); r.find(id) != two || r.find(other) != nil {
			t.Errorf("without %s, %s is %v", other, id, r.find(id))
		}
		return
	}
	t.Fatal("no two names have the same hash")
}
