package controller

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// playBack reads what was kept of a test's turns as another process would, and has it
// decided again: every test of turns is a test of the trace.
func (b *bench) playBack() {
	b.t.Helper()
	records := b.records(b.turn.engine.tape)
	checked, err := engine.Check(records)
	if err != nil {
		b.t.Fatalf("playing back: %v", err)
	}
	if d := checked.First; d != nil {
		b.t.Errorf("decision %d is made otherwise from the trace:\n%s\n%s", d.Decision, d.Recorded, d.Replayed)
	}
	if checked.Restarts == 0 {
		b.t.Error("the trace does not begin with what was there")
	}
}

// records asks a tape for all it has.
func (b *bench) records(t *tape) []engine.Record {
	b.t.Helper()
	records, err := engine.DecodeTrace(read(b.t, t))
	if err != nil {
		b.t.Fatalf("reading the trace: %v", err)
	}
	return records
}

func read(t *testing.T, tape *tape) []byte {
	t.Helper()
	answer := httptest.NewRecorder()
	tape.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, tapePath, nil))
	if answer.Code != http.StatusOK || answer.Header().Get("Content-Encoding") != "gzip" {
		t.Fatalf("GET %s: %d %v", tapePath, answer.Code, answer.Header())
	}
	zip, err := gzip.NewReader(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestATraceThatIsReadTwiceGoesOn(t *testing.T) {
	t.Parallel()
	b := makeBench(t, interceptor.Funcs{}, makeBudget(2), makePolicy(), makeNamespace(nil), makeNode("n1"), makePod(1), makePod(2), makePod(3))
	if err := b.take(settled); err != nil {
		t.Fatal(err)
	}
	first := read(t, b.turn.engine.tape)
	if err := b.take(settled); err != nil {
		t.Fatal(err)
	}
	second := read(t, b.turn.engine.tape)
	if !bytes.HasPrefix(second, first) || len(second) == len(first) {
		t.Errorf("%d bytes were read, then %d: want the first and more", len(first), len(second))
	}
}

func TestAFollowerHasNoTrace(t *testing.T) {
	t.Parallel()
	answer := httptest.NewRecorder()
	newTape(1, func() int { return 0 }).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, tapePath, nil))
	if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), string(core.NotLeader)) {
		t.Errorf("answer %d %q, want NotLeader", answer.Code, answer.Body)
	}
}

func TestAFullTapeSaysSoAndStops(t *testing.T) {
	t.Parallel()
	const limit = 4 << 10
	tape := newTape(limit, func() int { return 0 })
	tape.begin(start, "v1", engine.Config{})
	noise := rand.New(rand.NewPCG(1, 2))
	line := func() engine.Record {
		var name strings.Builder
		for range 100 { // does not compress
			name.WriteByte(byte('a' + noise.IntN(26)))
		}
		return engine.Record{At: start, Event: &engine.Event{NodeGone: core.NodeID(name.String())}}
	}
	const calls = 4000
	for range calls {
		tape.keep(line())
	}
	records, err := engine.DecodeTrace(read(t, tape))
	if err != nil {
		t.Fatal(err)
	}
	// The writer holds back what it may still compress: 64 KiB are more than it does.
	if n := tape.kept.size; n > limit+64<<10 || len(records) < 3 || len(records) >= calls {
		t.Errorf("%d bytes and %d records are kept, limit %d bytes", n, len(records), limit)
	}
	if last := records[len(records)-1]; !strings.Contains(last.End, "4096 bytes") {
		t.Errorf("last record %+v, want the end and why", last)
	}
	if again := read(t, tape); !bytes.Contains(again, []byte(`"end"`)) {
		t.Error("the end is gone when it is read again")
	}
}

func TestATapeEndsWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	sets := 0
	tape := newTape(1<<20, func() int { return sets })
	tape.begin(start, "v1", engine.Config{})
	tape.keep(engine.Record{At: start, Export: true})
	sets++
	tape.keep(engine.Record{At: start, Export: true})
	tape.keep(engine.Record{At: start, Export: true})
	records, err := engine.DecodeTrace(read(t, tape))
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 3 || !strings.Contains(records[2].End, "clock") {
		t.Errorf("records %+v, want the beginning, one call and the end", records)
	}
}

// TestWallTimeLiesAsFarApartAsMonotonicTime compares what a clock tells as this process
// sees it with what another would read.
func TestWallTimeLiesAsFarApartAsMonotonicTime(t *testing.T) {
	t.Parallel()
	clock := newSteady()
	first := clock.Now()
	for range 10000 {
		at := clock.Now()
		if here, there := at.Sub(first), at.Round(0).Sub(first.Round(0)); here != there {
			t.Fatalf("%v here, %v from the wall clock", here, there)
		}
	}
}

func TestASteadyClockFollowsAClockThatIsSet(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wall time.Duration // after a second
		want time.Duration
		sets int
	}{
		"two readings apart": {wall: time.Second + 90*time.Nanosecond, want: time.Second},
		"set forward":        {wall: time.Hour, want: time.Hour, sets: 1},
		"set back":           {wall: -time.Minute, want: -time.Minute, sets: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wall, gone := start, time.Duration(0)
			clock := &steady{wall: func() time.Time { return wall }, gone: func() time.Duration { return gone }, base: start}
			wall, gone = start.Add(tc.wall), time.Second
			if got := clock.Now().Sub(start); got != tc.want || clock.set() != tc.sets {
				t.Errorf("tells %v and was set %d times, want %v and %d", got, clock.set(), tc.want, tc.sets)
			}
			wall, gone = wall.Add(time.Minute), gone+time.Minute
			if got := clock.Now().Sub(start); got != tc.want+time.Minute || clock.set() != tc.sets {
				t.Errorf("a minute on it tells %v and was set %d times, want %v and %d", got, clock.set(), tc.want+time.Minute, tc.sets)
			}
		})
	}
}

func TestATraceIsServedUntilTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &tapeServer{tape: newTape(1, func() int { return 0 }), address: "127.0.0.1:0"}
	if err := s.Start(ctx); err != nil {
		t.Errorf("after the end: %v", err)
	}
	if s.NeedLeaderElection() {
		t.Error("a follower must answer too, that it has none")
	}
}
