package plugin

import (
	"bytes"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// going is a rollout that does not end by itself, with one held pod.
func going(t *testing.T) *harness {
	t.Helper()
	pod := heldPod("api-1", "api")
	h := newHarness(t, asKim(), append(with(func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }), pod, budget(0))...)
	h.env.Terminal = true
	return h
}

// typing makes keys come one by one.
func (h *harness) typing(text string) {
	keys := make(chan byte)
	done := make(chan struct{})
	h.env.Keys = func() (<-chan byte, func(), error) {
		go func() {
			for _, key := range []byte(text) {
				select {
				case keys <- key:
				case <-done:
					return
				}
			}
		}()
		return keys, func() { close(done) }, nil
	}
}

func TestLiveScreen(t *testing.T) {
	t.Parallel()
	h := going(t)
	h.typing("q")
	h.wants(h.run("rollout", "deploy/api", "--follow"), ExitOK, "deploy/api", "e explain   u undo", "stopped watching; the rollout goes on")
	for _, line := range strings.SplitAfter(h.out.String(), "\n") {
		if line != "" && !strings.HasSuffix(line, "\r\n") {
			t.Errorf("a line without carriage return, in raw mode: %q", line)
		}
	}
}

func TestLiveKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ keys, want string }{
		"explain":          {"eq", "HELD 20m"},
		"undo":             {"uq", "there is no earlier revision"},
		"release":          {"rcalm customers\rq", "release asked for: calm customers"},
		"release, typo":    {"rxy\x7f\x7fwhy\rq", "release asked for: why"},
		"release given up": {"r\x1bq", "no reason was given"},
		"ctrl-c":           {"\x03", "stopped watching"},
		"other keys":       {"xyzq", "stopped watching"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := going(t)
			h.typing(tc.keys)
			h.wants(h.run("rollout", "deploy/api", "--follow"), ExitOK, tc.want)
		})
	}
}

func TestLiveReleaseKeepsTheReason(t *testing.T) {
	t.Parallel()
	h := going(t)
	h.typing("rcalm customers\rq")
	h.wants(h.run("rollout", "deploy/api", "--follow"), ExitOK)
	wantOrder(t, read(h, deployment("api")), v1alpha1.AnnotationOverride, v1alpha1.Order{By: "kim", Reason: "calm customers", At: now})
}

// TestLiveGivesUp: the clock passes --max-wait while nothing moves.
func TestLiveGivesUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{}, with(func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 })...)
	clock := now
	h.env.Now = func() time.Time { clock = clock.Add(time.Minute); return clock }
	ticks := make(chan time.Time)
	done := make(chan struct{})
	h.env.Tick = func(time.Duration) (<-chan time.Time, func()) {
		go func() {
			for {
				select {
				case ticks <- now:
				case <-done:
					return
				}
			}
		}()
		return ticks, func() { close(done) }
	}
	h.wants(h.run("rollout", "deploy/api", "--follow", "--max-wait", "10m"), ExitPaused, "not done after --max-wait 10m0s")
	if lines := bytes.Count(h.out.Bytes(), []byte("\n")); lines != 1 {
		t.Errorf("%d lines, want one for the only state:\n%s", lines, h.out.String())
	}
}

func TestNoColor(t *testing.T) {
	t.Parallel()
	h := going(t)
	for name, vars := range map[string]map[string]string{"colour": {}, "NO_COLOR": {"NO_COLOR": "1"}, "dumb": {"TERM": "dumb"}} {
		h.env.Vars = vars
		h.wants(h.run("status"), ExitOK)
		if got, want := strings.Contains(h.out.String(), "\x1b["), name == "colour"; got != want {
			t.Errorf("%s: colours %t, want %t", name, got, want)
		}
	}
}
