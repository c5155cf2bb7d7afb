package controller

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/kube"
)

// heldRollouts is a turn on n Rollouts of which each waits for six pods, as many to a
// namespace as a policy holds there, on an account that somebody paused.
func heldRollouts(b *testing.B, n int) (*Turn, *runs, []string) {
	b.Helper()
	t := &Turn{engine: &taped{Engine: engine.New(engine.Config{})}, world: newWorld(), claims: newClaims(clock.RealClock{}, func() {})}
	t.claims.lead(true)
	budget := makeBudget(1)
	budget.Annotations = map[string]string{v1alpha1.AnnotationPaused: v1alpha1.Order{Reason: "bench"}.String()}
	changes := []change{{object: makePolicy()}, {object: budget}}
	for i := range 6 {
		changes = append(changes, change{object: makeNode(fmt.Sprint("n", i))})
	}
	waiting := newRuns()
	asks := make([]string, n)
	for i := range n {
		namespace, uid := fmt.Sprint("shop-", i/80), types.UID(fmt.Sprint("uid-", i))
		if i%80 == 0 {
			ns := makeNamespace(nil)
			ns.Name = namespace
			changes = append(changes, change{object: ns})
		}
		r, run := makeRollout(0), makeRun("0", "Running", "")
		r.SetNamespace(namespace)
		r.SetName(fmt.Sprint("web-", i))
		r.SetUID(uid)
		run.SetNamespace(namespace)
		run.SetName(r.GetName() + "-v2-2-0")
		owners := run.GetOwnerReferences()
		owners[0].Name, owners[0].UID = r.GetName(), uid
		run.SetOwnerReferences(owners)
		seen, ok := kube.ReadRun(run)
		if !ok {
			b.Fatal("the run is none")
		}
		waiting.see(seen, false)
		changes = append(changes, change{object: r}, change{object: run})
		asks[i] = fmt.Sprintf(`{"namespace":%q,"rollout":%q,"uid":%q,"hash":"v2","step":"0"}`, namespace, r.GetName(), uid)
	}
	now := time.Now()
	t.tellAll(now, t.world.observe(now, changes))
	t.hearSteps(now, changes)
	t.answerSteps(now, t.engine.Decide(now))
	return t, waiting, asks
}

// BenchmarkGateOf1000HeldRollouts asks over HTTP as Argo does, each rollout in turn.
func BenchmarkGateOf1000HeldRollouts(b *testing.B) {
	const n = 1000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	turn, waiting, asks := heldRollouts(b, n)
	runtime.GC()
	runtime.ReadMemStats(&after)
	g := newGatekeeper(turn.claims, waiting, nil)
	if a := askAs(b, g, asks[n/2]); a.Reason != core.Paused {
		b.Fatalf("answer %+v, want a hold", a)
	}
	server := httptest.NewServer(g)
	defer server.Close()
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		response, err := http.Post(server.URL+kube.GatePath, "application/json", strings.NewReader(asks[i%n]))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			b.Fatal(err)
		}
		_ = response.Body.Close()
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/n, "B/rollout")
	runtime.KeepAlive(turn)
}

// BenchmarkTurnOf1000HeldRollouts is what those add to a turn.
func BenchmarkTurnOf1000HeldRollouts(b *testing.B) {
	turn, _, _ := heldRollouts(b, 1000)
	for b.Loop() {
		now := time.Now()
		turn.hearSteps(now, nil)
		turn.answerSteps(now, turn.engine.Decide(now))
	}
}
