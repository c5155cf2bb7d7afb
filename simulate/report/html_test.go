package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// hostile is a name that means harm to a page, and to whoever takes it apart.
const hostile = `</title><script>alert(1)</script><img src=x onerror=alert(2)>"'{{.}}` + "\x00"

// sample is a scale-up of 250 pods against 100 pulls in six hours: pods come with
// the refills, unpaced a little later and with many answers of 429.
func sample() Result {
	r := Result{Scenario: "black-friday", ScenarioSHA256: strings.Repeat("5c", 32), Version: "v0.3.0", Seed: 42, Replications: 1, HorizonSeconds: 86400,
		LogSHA256: strings.Repeat("7be1", 16)}
	bound := Bound{Seconds: ptr(43200), WithReserveSeconds: ptr(43200), LimitedBy: "registries[hub].limiters[0]"}
	for i, name := range []string{"none", "parallel-10", "pace"} {
		raw := Raw{FirstPull: 0, Pulls: 250, UnitsCharged: 250, Events: 1000, Throttled: []int64{73931, 2900, 0}[i]}
		for n := range 250 {
			at := time.Duration(n/100)*6*time.Hour + time.Duration((n%100)*(4-i))*time.Second + 30*time.Second
			raw.Took, raw.ReadyAt, raw.LastPull = append(raw.Took, at), append(raw.ReadyAt, at), at
		}
		p := NewPolicy(name, raw, bound)
		p.Notes = []string{"as in a sample"}
		p.Clusters = []Cluster{
			{Name: "east", Pulls: 150, UnitsCharged: 150, Throttled: raw.Throttled, LastPullStartSeconds: ptr(43200)},
			{Name: "west", Pulls: 100, UnitsCharged: 100, LastPullStartSeconds: ptr(21600)},
		}
		p.Steps = []Step{
			{Workload: "web", Image: "web-v2", Does: GateStep, StartedSeconds: 600, WaitedSeconds: ptr(0.05), WentOnSeconds: ptr(600.05), Opens: 20, Asked: 1, Went: "Budget"},
			{Workload: "web", Image: "web-v2", Step: 1, Does: "setWeight 10", StartedSeconds: 600.05, WaitedSeconds: ptr(30), WentOnSeconds: ptr(630.05)},
			{Workload: "web", Image: "web-v2", Step: 2, Does: GateStep, StartedSeconds: 630.05, Opens: 200, Asked: 4000, Held: "WaitingForBudget"},
		}
		p.Series = curves(raw)
		r.Policies = append(r.Policies, p)
	}
	for _, g := range []Goal{{Policy: "pace", Metric: "throttled", Op: "==", Value: 0}, {Policy: "pace", Metric: "podReadySeconds.p95", Op: "<=", Value: 1500}} {
		checked, err := g.Check(r.Policies[2:])
		if err != nil {
			panic(err)
		}
		r.Goals = append(r.Goals, checked)
	}
	return r
}

func curves(raw Raw) []Series {
	left, ready := Series{Kind: Remaining, Name: "registries[hub].limiters[0]"}, Series{Kind: Ready}
	refused, flight := Series{Kind: Throttled}, Series{Kind: InFlight}
	for i := range 500 {
		t := float64(i) * 86400 / 500
		done := 0
		for _, at := range raw.ReadyAt {
			if at.Seconds() <= t {
				done++
			}
		}
		used := done % 100
		left.Points = append(left.Points, Point{t, float64(100 - used)})
		ready.Points = append(ready.Points, Point{t, float64(done)})
		refused.Points = append(refused.Points, Point{t, math.Round(float64(raw.Throttled) * float64(min(done, 250)) / 250)})
		flight.Points = append(flight.Points, Point{t, float64(min(30, used))})
	}
	return []Series{left, ready, refused, flight}
}

func drawn(t *testing.T, r Result) string {
	t.Helper()
	var out bytes.Buffer
	if err := HTML(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestPage holds the whole page of the sample, which is also what to look at.
func TestPage(t *testing.T) {
	t.Parallel()
	got := drawn(t, sample())
	const file = "testdata/page.html"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestPageSaysEverything: verdict, figures, bound and what binds, and what is
// needed to run it again.
func TestPageSaysEverything(t *testing.T) {
	t.Parallel()
	page := drawn(t, sample())
	for _, want := range []string{
		"1 of 2 goals missed", "black-friday", "seed 42", "v0.3.0", "73,931", "12h00m", "registries[hub].limiters[0]",
		"podReadySeconds.p95 &lt;= 25m00s", "MISSED: 12h", strings.Repeat("5c", 32), strings.Repeat("7be1", 16),
		"<td class=\"text\">east</td><td>73,931</td>", "<td class=\"text\">west</td><td>0</td><td class=\"num\">6h00m</td>",
		"Pods ready", "Budget remaining", "Answers of 429", "Pulls in flight", "bound 12h00m",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestPageOnlyShowsWhatScenariosSay: a name stays text, whatever is in it.
func TestPageOnlyShowsWhatScenariosSay(t *testing.T) {
	t.Parallel()
	r := sample()
	plain := drawn(t, r)
	r.Scenario, r.Version, r.ScenarioSHA256, r.LogSHA256 = hostile, hostile, hostile, hostile
	for i := range r.Policies {
		r.Policies[i].Name, r.Policies[i].Bound.LimitedBy, r.Policies[i].Notes = hostile, hostile, []string{hostile}
		r.Policies[i].Steps[0].Workload, r.Policies[i].Steps[0].Image, r.Policies[i].Steps[0].Held = hostile, hostile, hostile
		r.Policies[i].Clusters[0].Name, r.Policies[i].Clusters[1].Name = hostile, hostile
		for j := range r.Policies[i].Series {
			r.Policies[i].Series[j].Name = hostile
		}
	}
	for i := range r.Goals {
		r.Goals[i].Policy, r.Goals[i].Metric, r.Goals[i].Op = hostile, hostile, hostile
	}
	page := drawn(t, r)
	if diff := cmp.Diff(shape(t, plain), shape(t, page)); diff != "" {
		t.Errorf("names change the page's elements and attributes (-plain +hostile)\n%s", diff)
	}
	if strings.Contains(page, "\x00") {
		t.Error("the page has a NUL")
	}
}

// shape lists the elements of a page with the names of their attributes.
func shape(t *testing.T, page string) []string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!DOCTYPE html>")))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var out []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			text := e.Name.Local
			for _, a := range e.Attr {
				text += " " + a.Name.Local
			}
			out = append(out, text)
		}
	}
}

// TestPageIsSelfContained: nothing is loaded from anywhere, and the page forbids it.
func TestPageIsSelfContained(t *testing.T) {
	t.Parallel()
	page := drawn(t, sample())
	for _, never := range []string{"http:", "https:", "//", "<script", "@import", "url(", "src="} {
		if strings.Contains(strings.ReplaceAll(page, `href="data:,"`, ""), never) {
			t.Errorf("the page holds %q", never)
		}
	}
	if !strings.Contains(page, "default-src 'none'") {
		t.Error("the page's policy allows content from elsewhere")
	}
}

// TestCurvesStayInsideTheirAxes: whatever the figures, no point is outside, time
// goes on, and the picture stays small.
func TestCurvesStayInsideTheirAxes(t *testing.T) {
	t.Parallel()
	long := Series{Kind: Ready}
	for i := range 200_000 {
		long.Points = append(long.Points, Point{float64(i), float64((i * 7919) % 1000)})
	}
	for name, s := range map[string]Series{
		"many points":     long,
		"one point":       {Kind: Ready, Points: []Point{{0, 5}}},
		"nothing":         {Kind: Ready},
		"zero all along":  {Kind: Ready, Points: []Point{{0, 0}, {10, 0}}},
		"after the end":   {Kind: Ready, Points: []Point{{0, 1}, {1e9, 2}}},
		"below zero":      {Kind: Ready, Points: []Point{{0, -5}, {10, 3}}},
		"a small number":  {Kind: Ready, Points: []Point{{0, 1}, {0.5, 2}, {1, 1}}},
		"a large number":  {Kind: Ready, Points: []Point{{0, 1e12}, {10, 2e12}}},
		"starts late":     {Kind: Ready, Points: []Point{{100, 1}, {200, 2}}},
		"all at one time": {Kind: Ready, Points: []Point{{5, 1}, {5, 9}, {5, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last := 200_000.0
			r := Result{HorizonSeconds: 200_000, Policies: []Policy{{Name: "p", MakespanSeconds: &last, Series: []Series{s}}}}
			for _, pn := range panels(r) {
				points := strings.Fields(pn.Curves[0].Points)
				if len(points) > 8*(plotRight-plotLeft) {
					t.Errorf("%d points are drawn, want a few for each unit", len(points))
				}
				before := 0.0
				for _, pt := range points {
					var x, y float64
					if _, err := fmt.Sscanf(pt, "%f,%f", &x, &y); err != nil {
						t.Fatal(err)
					}
					if x < plotLeft || x > plotRight || y < plotTop || y > plotBottom {
						t.Fatalf("point %s is outside of the axes", pt)
					}
					if x < before {
						t.Fatalf("point %s is before the last", pt)
					}
					before = x
				}
			}
		})
	}
}

// TestThinningKeepsPeaks: a spike of one point among many is drawn.
func TestThinningKeepsPeaks(t *testing.T) {
	t.Parallel()
	s := Series{Kind: InFlight}
	for i := range 100_000 {
		s.Points = append(s.Points, Point{float64(i), 1})
	}
	s.Points[54_321].Value = 100
	end := 100_000.0
	r := Result{Policies: []Policy{{Name: "p", MakespanSeconds: &end, Series: []Series{s}}}}
	c := panels(r)[0].Curves[0]
	if !strings.Contains(c.Points, fmt.Sprintf(",%.1f", up(100, 100))) || c.Most != "100" || c.Last != "1" {
		t.Errorf("the spike is lost: most %s, last %s", c.Most, c.Last)
	}
}

func TestTicks(t *testing.T) {
	t.Parallel()
	for end, want := range map[float64]string{
		99:      "0 10s 20s 30s 40s 50s 1m 1m10s 1m20s 1m30s",
		1200:    "0 2m 4m 6m 8m 10m 12m 14m 16m 18m 20m",
		43200:   "0 2h 4h 6h 8h 10h 12h",
		108000:  "0 3h 6h 9h 12h 15h 18h 21h 1d 27h 30h",
		2592000: "0 5d 10d 15d 20d 25d 30d",
		0.004:   "0s 0.001s 0.002s 0.003s 0.004s",
	} {
		var got []string
		for _, tk := range timeTicks(end) {
			got = append(got, tk.Text)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("axis to %v s (-want +got)\n%s", end, diff)
		}
	}
	for top, want := range map[float64]string{0: "0 1", 3: "0 1 2 3", 100: "0 25 50 75 100", 250: "0 100 200 300", 73931: "0 20,000 40,000 60,000 80,000"} {
		var got []string
		for _, tk := range valueTicks(&top) {
			got = append(got, tk.Text)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("axis up to %v (-want +got)\n%s", top, diff)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]*float64{
		"never": nil, "0s": ptr(0), "0.42s": ptr(0.42), "9.99s": ptr(9.99), "10.0s": ptr(9.999), "12.3s": ptr(12.34), "1m00s": ptr(59.96),
		"3m20s": ptr(200), "59m59s": ptr(3599.4), "1h00m": ptr(3599.6), "12h00m": ptr(43200), "1d06h": ptr(108000),
	} {
		if got := Span(s); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for want, n := range map[string]int64{"0": 0, "999": 999, "1,000": 1000, "-12,345": -12345, "1,234,567": 1234567} {
		if got := Grouped(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
