package model

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/scenario"
)

// counting is limits that refuse nothing, of pulls, manifests and requests.
func counting() []scenario.Limiter {
	var out []scenario.Limiter
	for _, counts := range []scenario.Counting{scenario.CountPull, scenario.CountManifestGET, scenario.CountRequest} {
		l := bucket(1_000_000, 1_000_000)
		l.Counts = counts
		out = append(out, l)
	}
	return out
}

// charged are the units that each limiter of the first registry charged.
func charged(t *testing.T, s *scenario.Spec) []int64 {
	t.Helper()
	w := newWorld(s, 0, nil)
	w.begin()
	w.check = newChecker(1)
	w.run()
	w.check.end(w)
	if w.check.err != nil {
		t.Fatal(w.check.err)
	}
	var out []int64
	for _, l := range w.registries[0].limiters {
		out = append(out, l.charged)
	}
	if o := w.outcome(); o.Unfinished != 0 {
		t.Errorf("%d pods are not ready", o.Unfinished)
	}
	return out
}

// TestWhatAPullAsksFor counts pulls, manifest GETs and requests: containerd asks
// HEAD twice and gets manifests, config and layers that it lacks; CRI-O gets
// manifests where containerd asks HEAD, and gets the first again for an image that
// is there.
func TestWhatAPullAsksFor(t *testing.T) {
	t.Parallel()
	layers := []scenario.Layer{{Digest: "a", Size: 1}, {Digest: "b", Size: 1}, {Digest: "c", Size: 1}}
	tests := map[string]struct {
		edit func(s *scenario.Spec)
		want []int64
	}{
		"multi-arch":  {func(*scenario.Spec) {}, []int64{1, 2, 2 + 2 + 1 + 3}},
		"single-arch": {func(s *scenario.Spec) { s.Images[0].MultiArch = false }, []int64{1, 1, 2 + 1 + 1 + 3}},
		"two pods at once": {func(s *scenario.Spec) {
			rtt := time.Second
			s.Registries[0].RTT.Constant = &rtt
			s.Workloads[0].Replicas = 2
		}, []int64{1, 2, 8 + 2}},
		"there and not asked": {func(s *scenario.Spec) {
			s.NodePools[0].Warm = []string{"app"}
		}, []int64{0, 0, 0}},
		"there and asked always": {func(s *scenario.Spec) {
			s.NodePools[0].Warm = []string{"app"}
			s.Workloads[0].ImagePullPolicy = scenario.Always
		}, []int64{0, 0, 2}},
		"an image of layers that are there": {func(s *scenario.Spec) {
			s.Images = append(s.Images, scenario.Image{Name: "old", Registry: "hub", Layers: layers[:2]})
			s.NodePools[0].Warm = []string{"old"}
		}, []int64{1, 2, 2 + 2 + 1 + 1}},
		"two images that share layers": {func(s *scenario.Spec) {
			s.Images = append(s.Images, scenario.Image{Name: "tool", Registry: "hub", Layers: layers[1:]})
			s.Workloads[0].Images = []string{"app", "tool"}
		}, []int64{2, 3, 8 + 4}},
		"CRI-O, multi-arch":  {crio, []int64{1, 2, 1 + 2 + 1 + 3}},
		"CRI-O, single-arch": {func(s *scenario.Spec) { crio(s); s.Images[0].MultiArch = false }, []int64{1, 1, 1 + 1 + 1 + 3}},
		"CRI-O, there and asked always": {func(s *scenario.Spec) {
			crio(s)
			s.NodePools[0].Warm = []string{"app"}
			s.Workloads[0].ImagePullPolicy = scenario.Always
		}, []int64{1, 1, 2}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(func(s *scenario.Spec) {
				s.Registries[0].Limiters = counting()
				s.Images[0].Layers = layers
				tc.edit(s)
			})
			if diff := cmp.Diff(tc.want, charged(t, s)); diff != "" {
				t.Errorf("pulls, manifests, requests (-want +got):\n%s", diff)
			}
		})
	}
}

func crio(s *scenario.Spec) { s.NodePools[0].Runtime.Type = scenario.CRIO }

// TestAHalfSpentPullIsNotSpentAgain: of 2 manifests an hour one is spent by others
// of the node's pulls, and what came before the refusal stays in the content store.
func TestAHalfSpentPullIsNotSpentAgain(t *testing.T) {
	t.Parallel()
	s := spec(func(s *scenario.Spec) {
		apart(3, scenario.Limiter{Type: scenario.RollingLog, Per: scenario.PerEgressIP, Counts: scenario.CountManifestGET, Limit: 3, Window: time.Hour})(s)
	})
	o := play(t, s, nil)
	// 3 at once are a pull and a half; the other three an hour later finish all
	if o.UnitsCharged != 6 || o.Pulls != 3 || o.Unfinished != 0 || o.ReadyAt[2] > 70*time.Minute {
		t.Errorf("%d manifests for %d pulls by %v, want 6 for 3 soon after an hour", o.UnitsCharged, o.Pulls, o.ReadyAt)
	}
}

// TestTwoPullsOfANodeShareALayer that both lack: one downloads it, the other waits.
func TestTwoPullsOfANodeShareALayer(t *testing.T) {
	t.Parallel()
	s := spec(func(s *scenario.Spec) {
		s.Registries[0].Limiters = counting()
		s.NodePools[0].Kubelet.SerializeImagePulls = false
		s.NodePools[0].NIC = 8e6 // 1 MB/s
		s.NodePools[0].Runtime.Unpack = 8e6
		s.Images[0].Layers = []scenario.Layer{{Digest: "base", Size: 2e6}, {Digest: "app", Size: 1e6}}
		s.Images = append(s.Images, scenario.Image{Name: "tool", Registry: "hub", Layers: []scenario.Layer{{Digest: "base", Size: 2e6}, {Digest: "tool", Size: 1e6}}})
		s.Workloads = append(s.Workloads, scenario.Workload{Name: "tool", Kind: scenario.Deployment, Image: "tool", Replicas: 1, Cold: true})
	})
	if got, want := charged(t, s), []int64{2, 3, 4 + 3 + 2 + 3}; !cmp.Equal(want, got) {
		t.Errorf("pulls, manifests, requests are %v, want %v: base once", got, want)
	}
	o := play(t, s, nil)
	// the three downloads share the card: app and tool are there after 3 s, base after
	// 4 s; base is unpacked by 6 s, app and tool a second later side by side
	if diff := cmp.Diff([]time.Duration{7 * time.Second, 7 * time.Second}, o.ReadyAt); diff != "" {
		t.Errorf("ready (-want +got):\n%s", diff)
	}
}

// TestTwoPullsThatWaitForEachOthersLayers have them in opposite orders.
func TestTwoPullsThatWaitForEachOthersLayers(t *testing.T) {
	t.Parallel()
	o := play(t, spec(func(s *scenario.Spec) {
		s.NodePools[0].Kubelet.SerializeImagePulls = false
		s.NodePools[0].NIC = 8e6
		s.NodePools[0].Runtime.MaxConcurrentDownloads = 1
		s.Images[0].Layers = []scenario.Layer{{Digest: "a", Size: 1e6}, {Digest: "b", Size: 1e6}}
		s.Images = append(s.Images, scenario.Image{Name: "tool", Registry: "hub", Layers: []scenario.Layer{{Digest: "b", Size: 1e6}, {Digest: "a", Size: 1e6}}})
		s.Workloads = append(s.Workloads, scenario.Workload{Name: "tool", Kind: scenario.Deployment, Image: "tool", Replicas: 1, Cold: true})
	}), nil)
	if diff := cmp.Diff([]time.Duration{2 * time.Second, 2 * time.Second}, o.ReadyAt); diff != "" {
		t.Errorf("ready (-want +got):\n%s", diff)
	}
}

// TestConcurrency is a registry that serves two pulls at a time, each of 8 s, and
// one that serves so many requests.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	rtt := time.Second
	tests := map[string]scenario.Counting{"pulls": scenario.CountPull, "requests": scenario.CountRequest}
	for name, counts := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			most, now := 0, 0
			o := play(t, spec(func(s *scenario.Spec) {
				apart(6, scenario.Limiter{Type: scenario.Concurrency, Per: scenario.PerRegistry, Counts: counts, Limit: 2})(s)
				s.Registries[0].RTT.Constant = &rtt
			}), &watcher{observe: func(w *World, e Event) {
				switch e.Kind {
				case PullFinished:
					now++
				case PodReady:
					now--
				}
				most = max(most, now)
			}})
			if o.Unfinished != 0 || o.Pulls != 6 || o.Throttled == 0 {
				t.Errorf("%d pulls, %d unfinished, %d refusals; want 6, none, some", o.Pulls, o.Unfinished, o.Throttled)
			}
			at := map[time.Duration]int{}
			for _, d := range o.ReadyAt {
				if at[d]++; at[d] > 2 {
					t.Errorf("more than two pods are ready at %v", d)
				}
			}
		})
	}
}
