package trace

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/report"
)

var start = time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// sample is a run of four pods: two are ready after 1 s and 20 s, the one that was
// refused twice among them, one never, and one was deleted before.
func sample() Run {
	return Run{
		Begin:  Begin{At: start, Until: at(60), Version: "v1", Cluster: "v1.37.2", Policy: "none"},
		Nodes:  []Node{{Name: "n1", Zone: "a", Runtime: "containerd://2.1"}, {Name: "n2", Created: at(30)}},
		Images: []Image{{Name: "hub.test/app:1", Bytes: 64 << 10}},
		Pods: []Pod{
			{Namespace: "shop", Name: "a", Workload: "Deployment/app", Images: []string{"hub.test/app:1"}, Node: "n1", Created: at(10), Scheduled: at(10.1), Ready: at(11),
				Pulls: []Pull{{Image: "hub.test/app:1", Began: at(10.2), Pulled: at(10.8), Took: 600 * time.Millisecond}}},
			{Namespace: "shop", Name: "b", Held: true, Released: at(11), Node: "n2", Created: at(11), Scheduled: at(11.5), Ready: at(31),
				Pulls: []Pull{{Image: "hub.test/app:1", Began: at(12), Pulled: at(30), Throttled: 2}}},
			{Namespace: "shop", Name: "c", Created: at(12), Pulls: []Pull{{Image: "hub.test/app:1", Began: at(12), Failed: 1, Throttled: 1}}},
			{Namespace: "shop", Name: "d", Created: at(13), Gone: at(20)},
		},
		Registry: []Registry{{Host: "hub.test", Units: 2, Throttled: 15}},
		Scenario: "kind: Scenario\n",
	}
}

func TestATraceIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	text := Encode(sample())
	got, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !Is(text) || Is([]byte(`{"at":"2026-03-02T14:00:00Z","decide":true}`)) {
		t.Error("a run is not told from what an engine was told")
	}
}

func TestFiguresOfARun(t *testing.T) {
	t.Parallel()
	p, told := sample().Actual()
	// Of three pods that count the second is the median; the third never came.
	twenty := 20.0
	if p.PodReadySeconds.P50 == nil || *p.PodReadySeconds.P50 != twenty || p.PodReadySeconds.Max != nil {
		t.Errorf("ready %+v, want the median at 20 s and no last", p.PodReadySeconds)
	}
	if p.Pulls != 2 || p.ThrottledAttempts != 3 || p.UnfinishedPods != 1 || p.UnitsCharged != 2 || p.Throttled != 15 || !told {
		t.Errorf("figures %+v", p)
	}
}

func TestWhatOnlyARegistryTellsIsNotKnownWithoutOne(t *testing.T) {
	t.Parallel()
	run := sample()
	run.Registry = nil
	rows, err := run.Compare(report.Policy{UnitsCharged: 7, Pulls: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		_, known := row.Error()
		switch row.Metric {
		case "unitsCharged", "throttled":
			if known || row.Within() {
				t.Errorf("%s is known: %+v", row.Metric, row)
			}
		case "pulls":
			if off, _ := row.Error(); off != 1 {
				t.Errorf("pulls are off by %v, want 1", off)
			}
		}
	}
}

func TestARowIsWithinWhatReplicationsCameTo(t *testing.T) {
	t.Parallel()
	run := sample()
	two, four, twelve := 2.0, 4.0, 12.0
	predicted := report.Policy{Spread: map[string]report.Spread{
		"pulls": {P50: &four, Min: &two, Max: &twelve}, "throttledAttempts": {P50: &twelve, Min: &four, Max: &twelve},
	}}
	rows, err := run.Compare(predicted)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"pulls": true, "throttledAttempts": false} // 2 of 2 - 12, 3 of 4 - 12
	for _, row := range rows {
		if within, ok := want[row.Metric]; ok && row.Within() != within {
			t.Errorf("%s: within %v, want %v: %+v", row.Metric, row.Within(), within, row)
		}
	}
}

func TestWrongTracesAreRefused(t *testing.T) {
	t.Parallel()
	run := `{"run":{"at":"2026-03-02T14:00:00Z","until":"2026-03-02T14:01:00Z"}}` + "\n"
	for name, tc := range map[string]struct{ text, want string }{
		"empty":              {"", "empty"},
		"no run first":       {`{"node":{"name":"n1"}}`, "line 1: want the run first"},
		"a second run":       {run + run, "line 2: want the run first"},
		"two in a line":      {run + `{"node":{"name":"n1"},"image":{"name":"i"}}`, "line 2"},
		"two objects":        {run + `{"node":{"name":"n1"}}{}`, "more than one object"},
		"an unknown field":   {run + `{"node":{"name":"n1","cpu":3}}`, `"cpu"`},
		"a backward run":     {`{"run":{"at":"2026-03-02T14:00:00Z","until":"2026-03-02T13:00:00Z"}}`, "the run is from"},
		"ready, then made":   {run + `{"pod":{"namespace":"a","name":"b","created":"2026-03-02T14:00:02Z","ready":"2026-03-02T14:00:01Z"}}`, "pod a/b"},
		"before the run":     {run + `{"pod":{"namespace":"a","name":"b","created":"2026-03-02T13:59:00Z"}}`, "pod a/b"},
		"never made":         {run + `{"pod":{"namespace":"a","name":"b"}}`, "pod a/b"},
		"negative":           {run + `{"pod":{"namespace":"a","name":"b","created":"2026-03-02T14:00:02Z","pulls":[{"image":"i","throttled":-1}]}}`, "negative"},
		"a second scenario":  {run + `{"scenario":"a"}` + "\n" + `{"scenario":"b"}`, "line 3: a second scenario"},
		"a line without end": {run + `{"scenario":"` + strings.Repeat("a", maxLine) + `"}`, "bytes long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Decode([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(sample()))
	f.Add([]byte(`{"run":{"at":"2026-03-02T14:00:00Z","until":"2026-03-02T14:01:00Z"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		run, err := Decode(text)
		if err != nil {
			return
		}
		if _, err := run.Compare(report.Policy{}); err != nil {
			t.Fatal(err)
		}
		again, err := Decode(Encode(run))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if len(again.Pods) != len(run.Pods) || len(again.Nodes) != len(run.Nodes) {
			t.Fatal("something was lost")
		}
	})
}
