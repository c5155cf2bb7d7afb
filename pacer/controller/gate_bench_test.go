package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		run.SetCreationTimestamp(metav1.Now()) // none has waited for as long as it may
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

// asksEvery is how often a rollout asks by the template that is shipped, turnEvery how
// often turns are taken meanwhile.
const (
	asksEvery = 20 * time.Second
	turnEvery = time.Second
)

// BenchmarkGatePolledBy1000HeldRollouts has each of them ask over HTTP once in 20 s, one
// after the other and whether or not the last was answered, while turns decide. An
// operation is all of them, once.
func BenchmarkGatePolledBy1000HeldRollouts(b *testing.B) {
	const n = 1000
	before := heap()
	turn, waiting, asks := heldRollouts(b, n)
	held := heap() - before
	g := newGatekeeper(turn.claims, waiting, nil)
	server := httptest.NewServer(g)
	defer server.Close()
	if a := askAs(b, g, asks[n/2]); a.Reason != core.Paused {
		b.Fatalf("answer %+v, want a hold", a)
	}
	stop := make(chan struct{})
	var turns sync.WaitGroup
	turns.Go(func() { takeTurns(turn, stop) })
	var took []time.Duration
	for range b.N {
		took = append(took, poll(b, server.URL+kube.GatePath, asks)...)
	}
	close(stop)
	turns.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
	b.ReportMetric(held/n, "B/rollout")
	b.ReportMetric(heap()/(1<<20), "heap-MiB")
	runtime.KeepAlive(turn)
}

// heap is how many bytes live objects take.
func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// takeTurns decides about what waits until it is stopped.
func takeTurns(t *Turn, stop <-chan struct{}) {
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-tick.C:
			t.hearSteps(now, nil)
			t.answerSteps(now, t.engine.Decide(now))
		}
	}
}

// poll asks every question once, evenly spread over the time in which a rollout asks
// again, and tells how long each answer took.
func poll(b *testing.B, url string, asks []string) []time.Duration {
	b.Helper()
	took := make([]time.Duration, len(asks))
	failed := make([]error, len(asks))
	tick := time.NewTicker(asksEvery / time.Duration(len(asks)))
	defer tick.Stop()
	var all sync.WaitGroup
	for i := range asks {
		<-tick.C
		all.Go(func() {
			began := time.Now()
			failed[i] = askHeld(url, asks[i])
			took[i] = time.Since(began)
		})
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		b.Fatal(err)
	}
	return took
}

// askHeld asks a question and complains unless the answer is a hold.
func askHeld(url, question string) error {
	response, err := http.Post(url, "application/json", strings.NewReader(question))
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	var a GateAnswer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || a.Decision != kube.Wait || a.Reason != core.Paused {
		return fmt.Errorf("status %d, answer %+v: want a hold", response.StatusCode, a)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
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
