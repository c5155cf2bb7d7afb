package enginetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestLimitersByHand holds the limiters to numbers worked out on paper: four
// units in 10 s, of which three are taken at 1 s and one at 8 s.
func TestLimitersByHand(t *testing.T) {
	t.Parallel()
	at := []time.Duration{0, time.Second, 8 * time.Second, 10 * time.Second, 11 * time.Second, 15 * time.Second, 18 * time.Second, 20 * time.Second, 40 * time.Second}
	tests := map[string]struct {
		phase time.Duration
		want  []int64
	}{
		"rolling": {0, []int64{4, 1, 0, 0, 3, 3, 4, 4, 4}},
		"fixed":   {0, []int64{4, 1, 0, 4, 4, 4, 4, 4, 4}},
		// The four of the first window weigh 4, 3.6, 2 and 0.8, rounded up.
		"sliding": {0, []int64{4, 1, 0, 0, 0, 2, 3, 4, 4}},
		// 0.4 a second: 1 left at 1 s, 2.8 after 8 s less the one, 3.6, 4 for good.
		"bucket": {0, []int64{4, 1, 2, 3, 4, 4, 4, 4, 4}},
	}
	for kind, tc := range tests {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l, err := newLimiter(kind, 4, 10*time.Second, tc.phase)
			if err != nil {
				t.Fatal(err)
			}
			for i, now := range at {
				switch now {
				case time.Second:
					l.charge(now)
					l.charge(now)
					l.charge(now)
				case 8 * time.Second:
					l.charge(now)
				}
				if got := l.remaining(now); got != tc.want[i] {
					t.Errorf("at %v: %d remain, want %d", now, got, tc.want[i])
				}
			}
		})
	}
}

func TestPhaseIsTheFirstEdge(t *testing.T) {
	t.Parallel()
	l, err := newLimiter("fixed", 4, 10*time.Second, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	l.charge(time.Second)
	for now, want := range map[time.Duration]int64{2 * time.Second: 3, 3*time.Second - 1: 3, 3 * time.Second: 4} {
		if got := l.remaining(now); got != want {
			t.Errorf("at %v: %d remain, want %d", now, got, want)
		}
	}
}

// random is a world of that seed in which every pull is gated and the headers are
// honest, so that nobody may be refused.
func random(seed uint64) (*World, string) {
	r := rand.New(rand.NewPCG(seed, 1))
	pick := func(spans ...time.Duration) time.Duration { return spans[r.IntN(len(spans))] }
	w := New()
	kind := []string{"rolling", "fixed", "bucket", "sliding"}[r.IntN(4)]
	window := pick(10*time.Second, time.Minute, 10*time.Minute, time.Hour, 6*time.Hour)
	limit, nodes := 6+r.IntN(40), 1+r.IntN(60) // a pod costs three at most
	lines := []string{
		fmt.Sprintf("limiter name=hub type=%s limit=%d window=%v phase=%v reserve=%d", kind, limit, window, window/time.Duration(1+r.IntN(4)), []int{0, 5, 20}[r.IntN(3)]),
		fmt.Sprintf("nodes count=%d", nodes),
		"image name=side account=hub pull=1s",
	}
	if kind != "bucket" && r.IntN(2) == 0 { // later than the lag nobody could bear
		lines[0] += fmt.Sprintf(" late=%v", min(3*time.Second, window/13))
	}
	horizon := 100*window + 12*time.Hour
	for g := range 1 + r.IntN(4) {
		lines = append(lines,
			fmt.Sprintf("image name=i%d account=hub manifests=%d pull=%v%s", g, 1+r.IntN(2), pick(time.Millisecond, min(3*time.Second, window/3), min(30*time.Second, window/3), window/3),
				[]string{"", " unshaped"}[r.IntN(2)]),
			fmt.Sprintf("group name=g%d pods=%d images=(i%d,side) namespace=n%d class=%s init=%v at=%v", g, 1+r.IntN(60), g, r.IntN(3),
				[]string{"serving", "rollout", "batch", "ci"}[r.IntN(4)], pick(0, time.Second, 5*time.Minute), pick(0, time.Second, window/2, 3*window)))
	}
	for range r.IntN(3) {
		lines = append(lines, fmt.Sprintf("crash at=%v for=%v", time.Duration(r.Int64N(int64(4*window))), pick(0, time.Second, time.Minute)))
	}
	for range r.IntN(3) {
		lines = append(lines, fmt.Sprintf("scale name=g0 by=%d at=%v", r.IntN(60)-30, 3*window+time.Duration(r.Int64N(int64(4*window)))))
	}
	w.play(lines, horizon)
	return w, strings.Join(lines, "\n")
}

// play carries out commands without a file.
func (w *World) play(lines []string, horizon time.Duration) {
	for _, line := range lines {
		fields := strings.Fields(line)
		a := args{pos: line}
		for _, f := range fields[1:] {
			key, value, _ := strings.Cut(f, "=")
			a.list = append(a.list, argument(key, strings.Split(strings.Trim(value, "()"), ",")))
		}
		if err := w.enter(fields[0], a); err != nil {
			panic(line + ": " + err.Error())
		}
	}
	w.run(horizon)
}

func TestNobodyIsRefusedInAnyWorld(t *testing.T) {
	t.Parallel()
	for seed := range uint64(25) {
		w, story := random(seed)
		if w.report.throttled > 0 || w.unfinished > 0 || len(w.report.wrongs) > 0 {
			t.Errorf("seed %d: %s%s", seed, w.summary(), story)
		}
	}
}
