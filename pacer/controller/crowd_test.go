package controller

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// TestACrowdHasOneEvent lets pods of one workload go together, and holds some.
func TestACrowdHasOneEvent(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		pods int
		// budget is in pulls a minute: one for each cold node.
		budget       int64
		let, letEach int
		heldEach     int
	}{
		"few go, each told":           {pods: 5, budget: 100, letEach: 5},
		"many go, the workload tells": {pods: 6, budget: 100, let: 1},
		"few held, each told":         {pods: 5, budget: 1, letEach: 1, heldEach: 4},
		"many held, none told":        {pods: 9, budget: 1, letEach: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web"}}
			objects := []client.Object{makeNamespace(nil), makePolicy(), makeBudget(tc.budget), web}
			for i := range tc.pods {
				objects = append(objects, makePod(i), makeNode(string(rune('a'+i))))
			}
			b := makeBench(t, interceptor.Funcs{}, objects...)
			b.steps(2)
			for {
				id, x, ok := b.turn.explainer.pop()
				if !ok {
					break
				}
				b.turn.explainer.note(id, x)
			}
			got := map[string]int{}
			for _, e := range b.said() {
				for _, begins := range []string{"Normal Budget let go", "Normal Budget let 6 pods go", "Normal WaitingForBudget held: "} {
					if strings.HasPrefix(e, begins) {
						got[begins]++
					}
				}
			}
			onWorkload := 0
			if tc.pods > int(tc.budget) {
				onWorkload = 1
			}
			if got["Normal Budget let go"] != tc.letEach || got["Normal Budget let 6 pods go"] != tc.let || got["Normal WaitingForBudget held: "] != tc.heldEach+onWorkload {
				t.Errorf("Events %v, want %+v and %d held on the workload", got, tc, onWorkload)
			}
		})
	}
}

// TestAWorkloadIsToldOnceHoweverItsPodsAreCut lets pods of one workload go in turns of few
// writes: the rest of a crowd is of the crowd.
func TestAWorkloadIsToldOnceHoweverItsPodsAreCut(t *testing.T) {
	t.Parallel()
	web := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web"}}
	objects := []client.Object{makeNamespace(nil), makePolicy(), makeBudget(1000), web, makeNode("a")}
	for i := range 18 {
		objects = append(objects, makePod(i))
	}
	for most, turns := range map[int]int{3: 6, 16: 2} {
		b := makeBench(t, interceptor.Funcs{}, objects...)
		for range turns {
			b.turn.writes.most = most
			b.steps(1)
		}
		var each, together int
		for _, e := range b.said() {
			switch {
			case strings.HasPrefix(e, "Normal Budget let go"), strings.HasPrefix(e, "Normal Warm let go"):
				each++
			case strings.Contains(e, " pods go: "):
				together++
			}
		}
		if each != 0 || together == 0 {
			t.Errorf("%d a turn: %d Events of pods and %d of the workload, want none and some", most, each, together)
		}
	}
}
