package report

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ptr(v float64) *float64 { return &v }

// raw is a run of n pods that take 1 s, 2 s, ... and are created at zero; the last
// lost ones of them are never ready.
func raw(n, lost int) Raw {
	r := Raw{FirstPull: Never, LastPull: Never, Unfinished: lost}
	for i := range n - lost {
		took := time.Duration(i+1) * time.Second
		r.Took, r.ReadyAt = append(r.Took, took), append(r.ReadyAt, took)
	}
	return r
}

// TestQuantilesAreByNearestRank: of the values 1 to n the quantile q is ceil(q*n),
// and null once it reaches one that never came.
func TestQuantilesAreByNearestRank(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		n, lost        int
		want           Quantiles
		makespan, half *float64
		unfinished     int64
	}{
		"one pod":           {1, 0, Quantiles{ptr(1), ptr(1), ptr(1), ptr(1), ptr(1), ptr(1)}, ptr(1), ptr(1), 0},
		"twenty":            {20, 0, Quantiles{ptr(10), ptr(18), ptr(19), ptr(20), ptr(20), ptr(10.5)}, ptr(20), ptr(10), 0},
		"a hundred":         {100, 0, Quantiles{ptr(50), ptr(90), ptr(95), ptr(99), ptr(100), ptr(50.5)}, ptr(100), ptr(50), 0},
		"odd":               {7, 0, Quantiles{ptr(4), ptr(7), ptr(7), ptr(7), ptr(7), ptr(4)}, ptr(7), ptr(4), 0},
		"one of them never": {100, 1, Quantiles{ptr(50), ptr(90), ptr(95), ptr(99), nil, nil}, nil, ptr(50), 1},
		"p95 is reached":    {100, 6, Quantiles{P50: ptr(50), P90: ptr(90)}, nil, ptr(50), 6},
		"half never":        {4, 3, Quantiles{}, nil, nil, 3},
		"no pods":           {0, 0, Quantiles{ptr(0), ptr(0), ptr(0), ptr(0), ptr(0), ptr(0)}, ptr(0), ptr(0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := NewPolicy("p", raw(tc.n, tc.lost), Bound{})
			if diff := cmp.Diff(tc.want, p.PodReadySeconds); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if diff := cmp.Diff([]*float64{tc.makespan, tc.half}, []*float64{p.MakespanSeconds, p.HalfReadySeconds}); diff != "" {
				t.Errorf("makespan, half (-want +got)\n%s", diff)
			}
			if p.UnfinishedPods != tc.unfinished {
				t.Errorf("unfinished %d, want %d", p.UnfinishedPods, tc.unfinished)
			}
		})
	}
}

// TestRankIsExact compares with integers: ceil(q*n) for q in per cent.
func TestRankIsExact(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 5000; n++ {
		for _, percent := range []int{50, 90, 95, 99, 100} {
			want := (percent*n + 99) / 100
			if got := rank(n, float64(percent)/100) + 1; got != want {
				t.Fatalf("rank of %d %% of %d is %d, want %d", percent, n, got, want)
			}
		}
	}
}

func TestRatioIsNullWithoutABoundOrAPull(t *testing.T) {
	t.Parallel()
	pulled := Raw{FirstPull: time.Second, LastPull: 10 * time.Second}
	if p := NewPolicy("p", pulled, Bound{Seconds: ptr(8)}); p.RatioToBound == nil || *p.RatioToBound != 1.25 {
		t.Errorf("10 s over a bound of 8 s is %v, want 1.25", p.RatioToBound)
	}
	if p := NewPolicy("p", pulled, Bound{Seconds: ptr(0)}); p.RatioToBound != nil {
		t.Errorf("the ratio to no bound is %v, want null", *p.RatioToBound)
	}
	if p := NewPolicy("p", pulled, Bound{}); p.RatioToBound != nil {
		t.Errorf("the ratio to a bound that is never is %v, want null", *p.RatioToBound)
	}
	none := NewPolicy("p", Raw{FirstPull: Never, LastPull: Never}, Bound{Seconds: ptr(8)})
	if none.RatioToBound != nil || none.LastPullStartSeconds != nil || none.FirstPullStartSeconds != nil {
		t.Errorf("without a pull these are to be null: %+v", none)
	}
}

// TestJSONNames holds the names that scripts read, and that what is not known is
// null and not left out.
func TestJSONNames(t *testing.T) {
	t.Parallel()
	p := NewPolicy("pace", raw(1, 1), Bound{Seconds: ptr(0), WithReserveSeconds: ptr(0), LimitedBy: "none"})
	text, err := json.Marshal(Result{Scenario: "s", Policies: []Policy{p}, Goals: []Goal{{Policy: "pace"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"scenario":"s","seed":0,"replications":0,"policies":[{"name":"pace","makespanSeconds":null,"firstPullStartSeconds":null,"lastPullStartSeconds":null,` +
		`"podReadySeconds":{"p50":null,"p90":null,"p95":null,"p99":null,"max":null,"mean":null},"halfReadySeconds":null,` +
		`"pulls":0,"unitsCharged":0,"throttled":0,"throttledAttempts":0,"foreignThrottled":0,"unfinishedPods":1,` +
		`"heldNeverCharged":0,"idleNodeHours":0,"bound":{"seconds":0,"withReserveSeconds":0,"limitedBy":"none"},"ratioToBound":null,"events":0}],` +
		`"goals":[{"policy":"pace","metric":"","op":"","value":0,"actual":null,"met":false}],"wallSeconds":0,"eventsPerSecond":0,"logSHA256":""}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestMetricsAreTheFieldsOfAPolicy reads every metric from the JSON by its name:
// each number of a policy is a metric and each metric is a number there.
func TestMetricsAreTheFieldsOfAPolicy(t *testing.T) {
	t.Parallel()
	r := raw(100, 0)
	r.FirstPull, r.LastPull, r.IdleNode = time.Second, 9*time.Second, time.Hour
	r.Pulls, r.UnitsCharged, r.Throttled, r.ThrottledAttempts, r.ForeignThrottled, r.HeldNeverCharged, r.Events = 11, 12, 13, 14, 15, 16, 17
	p := NewPolicy("p", r, Bound{Seconds: ptr(18), WithReserveSeconds: ptr(19), LimitedBy: "x"})
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{}
	numbers("", tree, want)
	got := map[string]float64{}
	for _, m := range Metrics() {
		if v := m.Of(p); v != nil {
			got[m.Name] = *v
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-json +metrics)\n%s", diff)
	}
}

func numbers(path string, tree map[string]any, into map[string]float64) {
	for name, v := range tree {
		switch v := v.(type) {
		case float64:
			into[path+name] = v
		case map[string]any:
			numbers(path+name+".", v, into)
		}
	}
}

func TestGoals(t *testing.T) {
	t.Parallel()
	of := func(throttled ...int64) []Policy {
		var list []Policy
		for _, n := range throttled {
			list = append(list, Policy{Throttled: n})
		}
		return list
	}
	for name, tc := range map[string]struct {
		goal Goal
		runs []Policy
		want Goal
	}{
		"met":                  {Goal{Metric: "throttled", Op: "==", Value: 0}, of(0), Goal{Actual: ptr(0), Met: true}},
		"missed":               {Goal{Metric: "throttled", Op: "<", Value: 3}, of(3), Goal{Actual: ptr(3), MissedIn: 1}},
		"at the edge":          {Goal{Metric: "throttled", Op: "<=", Value: 3}, of(3), Goal{Actual: ptr(3), Met: true}},
		"above":                {Goal{Metric: "throttled", Op: ">", Value: 3}, of(4), Goal{Actual: ptr(4), Met: true}},
		"at least":             {Goal{Metric: "throttled", Op: ">=", Value: 4}, of(4), Goal{Actual: ptr(4), Met: true}},
		"not":                  {Goal{Metric: "throttled", Op: "!=", Value: 4}, of(4), Goal{Actual: ptr(4), MissedIn: 1}},
		"in one replication":   {Goal{Metric: "throttled", Op: "==", Value: 0}, of(0, 0, 2), Goal{Actual: ptr(0), MissedIn: 1}},
		"in every replication": {Goal{Metric: "throttled", Op: "==", Value: 0}, of(0, 0, 0), Goal{Actual: ptr(0), Met: true}},
		"on null":              {Goal{Metric: "makespanSeconds", Op: ">=", Value: 0}, []Policy{{}}, Goal{MissedIn: 1}},
		"on null, not equal":   {Goal{Metric: "podReadySeconds.p95", Op: "!=", Value: 1}, []Policy{{}}, Goal{MissedIn: 1}},
		"without a run":        {Goal{Metric: "throttled", Op: "==", Value: 0}, nil, Goal{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.want.Metric, tc.want.Op, tc.want.Value = tc.goal.Metric, tc.goal.Op, tc.goal.Value
			got, err := tc.goal.Check(tc.runs)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	for _, wrong := range []Goal{{Metric: "own429", Op: "=="}, {Metric: "throttled", Op: "="}} {
		if _, err := wrong.Check(of(0)); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
}

// TestSpread: over 1 to 4 and one that never came, the median is 3, the least 1
// and the largest null.
func TestSpread(t *testing.T) {
	t.Parallel()
	var runs []Policy
	for _, v := range []*float64{ptr(4), nil, ptr(1), ptr(3), ptr(2)} {
		runs = append(runs, Policy{Name: "p", MakespanSeconds: v})
	}
	over := Over(runs)
	if diff := cmp.Diff(Spread{P50: ptr(3), Min: ptr(1)}, over.Spread["makespanSeconds"]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if over.MakespanSeconds == nil || *over.MakespanSeconds != 4 {
		t.Errorf("the makespan is %v, want that of replication 0", over.MakespanSeconds)
	}
	if one := Over(runs[:1]); one.Spread != nil {
		t.Errorf("one run has a spread: %v", one.Spread)
	}
	var all []string
	for _, m := range Metrics() {
		all = append(all, m.Name)
	}
	slices.Sort(all)
	if diff := cmp.Diff(all, slices.Sorted(maps.Keys(over.Spread))); diff != "" {
		t.Errorf("(-metrics +spread)\n%s", diff)
	}
}

// TestNeverIsNoTime keeps the mark of what never came apart from any time.
func TestNeverIsNoTime(t *testing.T) {
	t.Parallel()
	if Seconds(Never) != nil || Seconds(Never-1) == nil || Never != math.MaxInt64 {
		t.Error("only Never is null")
	}
}
