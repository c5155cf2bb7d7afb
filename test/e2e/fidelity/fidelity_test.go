//go:build linux

package fidelity

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate/scenario"
	"github.com/pullpace/pace/simulate/trace"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/registry"
)

var start = time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func TestGapsAreFromAHeadToTheNextGetOfItsManifest(t *testing.T) {
	t.Parallel()
	entry := func(at int, kind registry.Kind, repo string) registry.Entry {
		return registry.Entry{Time: start.Add(ms(at)), Kind: kind, Repo: repo}
	}
	got := gaps([]registry.Entry{
		entry(0, registry.ManifestHEAD, "a"), entry(5, registry.ManifestHEAD, "b"), entry(7, registry.ManifestHEAD, "a"),
		entry(10, registry.ManifestGET, "a"), entry(12, registry.Blob, "a"), entry(20, registry.ManifestGET, "b"), entry(30, registry.ManifestGET, "a"),
	})
	if diff := cmp.Diff([]time.Duration{ms(10), ms(15), ms(23)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// measured is a run of one pod: 300 ms to the pull, 200 ms of pulling, 100 ms until
// ready, with 20 ms between HEAD and GET.
func measured(t *testing.T) times {
	t.Helper()
	at := func(n int) time.Time { return start.Add(ms(n)) }
	got, err := measure(trace.Run{Pods: []trace.Pod{{Name: "a", Created: at(0), Ready: at(600),
		Pulls: []trace.Pull{{Image: "a", Began: at(300), Pulled: at(500), Took: ms(180)}}}}},
		[]registry.Entry{{Time: at(310), Kind: registry.ManifestHEAD, Repo: "a"}, {Time: at(330), Kind: registry.ManifestGET, Repo: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTimesAreMeasured(t *testing.T) {
	t.Parallel()
	got := measured(t)
	want := map[string]time.Duration{"sandbox": ms(300), "rtt": ms(20), "took": ms(180), "startup": ms(100)}
	for name, samples := range map[string][]time.Duration{"sandbox": got.sandbox, "rtt": got.rtt, "took": got.took, "startup": got.startup} {
		if d := spreadOf(samples); d.median != want[name] || d.most <= d.median || d.least != want[name] {
			t.Errorf("%s: %s, want a median of %s and some width", name, spreadOf(samples), want[name])
		}
	}
	if _, err := measure(trace.Run{Pods: []trace.Pod{{Name: "a", Created: start}}}, nil); err == nil {
		t.Error("a pod that never pulled is no measurement")
	}
}

// The 99th percentile is that of the lognormal distribution with a median of 100 ms of
// which nine of ten are below 200 ms: 100 ms x 2^(2.3263/1.2816), whatever the slowest was.
func TestLongTail(t *testing.T) {
	t.Parallel()
	var samples []time.Duration
	for range 20 {
		samples = append(samples, ms(100), ms(100), ms(150))
	}
	for range 6 {
		samples = append(samples, ms(199))
	}
	samples = append(samples, ms(5000))
	d := spreadOf(samples)
	if d.median != ms(100) || d.ninth != ms(200) || d.most != ms(5001) {
		t.Fatalf("%s, nine of ten below %s", d, d.ninth)
	}
	if got, want := d.longTail(), "{lognormal: {p50: 100ms, p99: 352ms}}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTheScenarioOfAStageIsOne(t *testing.T) {
	t.Parallel()
	server, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	host, err := server.AddHost(registry.HostConfig{Name: "paced.hub.test"})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage.Stage{Name: "paced", Host: host, Options: stage.Options{Limit: stage.Limit, Window: stage.Window}}
	m := &machine{wave: measured(t), crowd: times{sandbox: []time.Duration{ms(800), ms(2400), ms(5800)}}, size: 6400000}
	for policy, sandbox := range map[string]string{"none": "{uniform: {min: 800ms, max: 4s}}", "pace": "{lognormal: {p50: 250ms"} {
		text := m.scenario(s, policy)
		sc, err := scenario.Decode([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		n := 0
		for _, e := range sc.Spec.Timeline {
			n += e.Scale.Replicas
		}
		if n != pulls || !strings.Contains(text, "sandbox: "+sandbox) {
			t.Errorf("%s: %d pods, want %d and %q in\n%s", policy, n, pulls, sandbox, text)
		}
		// 6.4 MB in the 100 ms that 180 ms leave after 4 requests of 20 ms.
		if unpack := int64(sc.Spec.NodePools[0].Runtime.Unpack); unpack != 8*64000000 {
			t.Errorf("unpack %d bits a second, want those of 64 MB", unpack)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	of := func(metric string, was, predicted, least, most float64) view.PredictionRow {
		return view.PredictionRow{Metric: metric, Actual: &was, Predicted: &predicted, Min: &least, Max: &most, Within: was >= least && was <= most}
	}
	for name, tc := range map[string]struct {
		row  view.PredictionRow
		want string
	}{
		"exact":                        {of("unitsCharged", 24, 24, 24, 24), ""},
		"one unit more":                {of("unitsCharged", 25, 24, 24, 24), "unitsCharged"},
		"more in one replication":      {of("pulls", 24, 24, 24, 25), "pulls"},
		"429s as in some":              {of("throttled", 120, 100, 80, 120), ""},
		"429s as in none":              {of("throttled", 121, 100, 80, 120), "not what any replication came to"},
		"two seconds in the middle":    {of("podReadySeconds.p50", 10, 12, 0, 0), ""},
		"more than two seconds":        {of("podReadySeconds.p50", 10, 12.1, 0, 0), "want 2.00 at most"},
		"a tenth, of a long time":      {of("podReadySeconds.p50", 50, 54.9, 0, 0), ""},
		"a quarter at the end":         {of("podReadySeconds.p95", 40, 30, 0, 0), ""},
		"more than a quarter":          {of("podReadySeconds.p95", 40, 29, 0, 0), "want 10.00 at most"},
		"what nobody told":             {view.PredictionRow{Metric: "throttled"}, "not known"},
		"the last pod is not judged":   {of("podReadySeconds.max", 40, 10, 0, 0), ""},
		"a pod that was never ready":   {of("unfinishedPods", 1, 0, 0, 0), "unfinishedPods"},
		"attempts, which say the same": {of("throttledAttempts", 24, 30, 0, 0), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := judge(view.Prediction{Rows: []view.PredictionRow{tc.row}}, nil)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if times := errors.Is(err, errTimes); times != strings.Contains(tc.want, "at most") {
				t.Errorf("of times: %v, for error %v", times, err)
			}
		})
	}
}

// A machine that changed while it was measured excuses nothing: what is right passes,
// what is wrong fails, and of times that are off it says why nobody can tell.
func TestAMachineThatChangedIsNotJudged(t *testing.T) {
	t.Parallel()
	of := func(v float64) *float64 { return &v }
	changed := errors.New("the machine changed")
	for name, tc := range map[string]struct {
		median float64
		pulls  float64
		want   []string
	}{
		"all is right":      {10.5, 24, nil},
		"times are off":     {15, 24, []string{"podReadySeconds.p50", "not judged", "the machine changed"}},
		"a count is":        {10.5, 23, []string{"pulls: predicted 23.00", "not judged"}},
		"both are":          {15, 23, []string{"pulls", "podReadySeconds.p50", "not judged"}},
		"times by a little": {12, 24, nil},
	} {
		err := judge(view.Prediction{Rows: []view.PredictionRow{
			{Metric: "pulls", Actual: of(24), Predicted: of(tc.pulls), Min: of(tc.pulls), Max: of(tc.pulls)},
			{Metric: "podReadySeconds.p50", Actual: of(10), Predicted: of(tc.median), Min: of(9), Max: of(16)},
		}}, changed)
		if (err == nil) != (tc.want == nil) {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q in it", name, err, want)
			}
		}
	}
}

func TestAMachineChangesWithWhatItsPodsTake(t *testing.T) {
	t.Parallel()
	of := func(sandbox ...int) times {
		t := times{rtt: []time.Duration{ms(5)}, took: []time.Duration{ms(100)}, startup: []time.Duration{ms(100)}}
		for _, n := range sandbox {
			t.sandbox = append(t.sandbox, ms(n))
		}
		return t
	}
	for name, tc := range map[string]struct {
		before, after machine
		want          bool
	}{
		"half a second":           {machine{wave: of(400)}, machine{wave: of(900)}, false},
		"more":                    {machine{wave: of(400)}, machine{wave: of(901)}, true},
		"faster":                  {machine{wave: of(901)}, machine{wave: of(400)}, true},
		"one pod in three":        {machine{wave: of(400, 410, 420)}, machine{wave: of(400, 410, 9000)}, false},
		"a crowd, whose is asked": {machine{wave: of(400), crowd: of(2000)}, machine{wave: of(2000), crowd: of(2100)}, false},
	} {
		if err := tc.before.changed(&tc.after); (err != nil) != tc.want {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}
