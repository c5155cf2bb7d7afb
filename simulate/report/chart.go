package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// The picture of one panel, in the units of its view box.
const (
	chartWidth, chartHeight = 960, 190
	plotLeft, plotRight     = 64, 944
	plotTop, plotBottom     = 10, 164
)

// panel is one picture: one thing counted, a curve for each policy.
type panel struct {
	Title  string
	Curves []curve
	Y      []tick
	X      []tick
	Bounds []mark
}

// curve is what one policy does in a panel.
type curve struct {
	Policy string
	Class  string
	Points string
	Last   string
	Most   string
}

type tick struct {
	At   float64
	Text string
}

// mark is a line across all panels at a time.
type mark struct {
	At, Y float64
	Text  string
}

// panels draws the curves of a result on one axis of time.
func panels(r Result) []panel {
	end := lastTime(r)
	type key struct {
		kind Kind
		name string
	}
	var order []key
	for _, p := range r.Policies {
		for _, s := range p.Series {
			if k := (key{s.Kind, s.Name}); !slices.Contains(order, k) {
				order = append(order, k)
			}
		}
	}
	slices.SortStableFunc(order, func(a, b key) int { return cmp.Compare(a.kind, b.kind) })
	var out []panel
	for _, k := range order {
		pn := panel{Title: title(k.kind, k.name), X: timeTicks(end), Bounds: bounds(r, end)}
		top := most(r, k.kind, k.name)
		pn.Y = valueTicks(&top)
		for i, p := range r.Policies {
			for _, s := range p.Series {
				if s.Kind == k.kind && s.Name == k.name {
					pn.Curves = append(pn.Curves, draw(p.Name, s, i, end, top))
				}
			}
		}
		out = append(out, pn)
	}
	return out
}

func title(kind Kind, name string) string {
	text := map[Kind]string{
		Ready: "Pods ready", Remaining: "Budget remaining", Throttled: "Answers of 429 so far", InFlight: "Pulls in flight",
	}[kind]
	if name != "" {
		text += ": " + name
	}
	return text
}

// lastTime is where the axis ends: when the slowest policy was done, or the
// horizon where one was not.
func lastTime(r Result) float64 {
	end := 0.0
	for _, p := range r.Policies {
		for _, t := range []*float64{p.MakespanSeconds, p.LastPullStartSeconds, p.Bound.Seconds, p.Bound.WithReserveSeconds} {
			if t != nil {
				end = max(end, *t)
			}
		}
		if p.MakespanSeconds == nil {
			end = max(end, r.HorizonSeconds)
		}
	}
	if end == 0 {
		end = r.HorizonSeconds
	}
	return max(end*1.03, 1e-3)
}

func most(r Result, kind Kind, name string) float64 {
	top := 0.0
	for _, p := range r.Policies {
		for _, s := range p.Series {
			if s.Kind != kind || s.Name != name {
				continue
			}
			for _, pt := range s.Points {
				top = max(top, pt.Value)
			}
		}
	}
	return top
}

// bounds marks the bound of each policy once: those of policies that met the same
// demand are one line.
func bounds(r Result, end float64) []mark {
	var marks []mark
	for _, p := range r.Policies {
		for _, b := range []struct {
			at   *float64
			text string
		}{{p.Bound.Seconds, "bound"}, {p.Bound.WithReserveSeconds, "with reserve"}} {
			if b.at == nil || *b.at <= 0 {
				continue
			}
			m := mark{At: across(*b.at, end), Y: plotTop + 12 + 14*float64(len(marks)%8), Text: b.text + " " + Span(b.at)}
			if !slices.ContainsFunc(marks, func(o mark) bool { return math.Abs(o.At-m.At) < 1 }) {
				marks = append(marks, m)
			}
		}
	}
	return marks
}

func across(seconds, end float64) float64 {
	return plotLeft + (plotRight-plotLeft)*min(max(seconds/end, 0), 1)
}

func up(value, top float64) float64 {
	return plotBottom - (plotBottom-plotTop)*min(max(value/top, 0), 1)
}

// draw makes the steps of a curve. Of the many changes within one unit of the
// picture the first, the extremes and the last are drawn.
func draw(policy string, s Series, index int, end, top float64) curve {
	c := curve{Policy: policy, Class: fmt.Sprintf("c%d", index%8), Last: "-", Most: "-"}
	var line strings.Builder
	x, y := math.NaN(), math.NaN()
	put := func(nx, ny float64) {
		if nx != x || ny != y {
			fmt.Fprintf(&line, "%.1f,%.1f ", nx, ny)
		}
		x, y = nx, ny
	}
	peak, last := 0.0, 0.0
	for column := range columns(s.Points, end) {
		for i, pt := range column {
			nx, ny := across(pt.Seconds, end), up(pt.Value, top)
			if i == 0 && !math.IsNaN(y) {
				put(nx, y)
			}
			put(nx, ny)
			peak, last = max(peak, pt.Value), pt.Value
		}
	}
	if len(s.Points) > 0 {
		put(across(end, end), y)
		c.Last, c.Most = Grouped(int64(math.Round(last))), Grouped(int64(math.Round(peak)))
	}
	c.Points = strings.TrimSpace(line.String())
	return c
}

// columns yields points that fall into the same unit of the picture, at most
// four of each: the first, the least, the largest and the last.
func columns(points []Point, end float64) func(func([]Point) bool) {
	return func(yield func([]Point) bool) {
		for len(points) > 0 && points[0].Seconds <= end {
			column := math.Floor(across(points[0].Seconds, end))
			n := 1
			for n < len(points) && points[n].Seconds <= end && math.Floor(across(points[n].Seconds, end)) == column {
				n++
			}
			if !yield(fewer(points[:n])) {
				return
			}
			points = points[n:]
		}
	}
}

func fewer(points []Point) []Point {
	if len(points) <= 4 {
		return points
	}
	byValue := func(a, b Point) int { return cmp.Compare(a.Value, b.Value) }
	kept := []Point{points[0], slices.MinFunc(points, byValue), slices.MaxFunc(points, byValue), points[len(points)-1]}
	slices.SortStableFunc(kept, func(a, b Point) int { return cmp.Compare(a.Seconds, b.Seconds) })
	return kept
}

// timeTicks are at most ten round times.
func timeTicks(end float64) []tick {
	steps := []float64{0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000}
	step := steps[len(steps)-1]
	for _, s := range steps {
		if end/s <= 10 {
			step = s
			break
		}
	}
	for end/step > 10 {
		step *= 2
	}
	var ticks []tick
	for i := 0; float64(i)*step <= end; i++ {
		t := float64(i) * step
		ticks = append(ticks, tick{across(t, end), short(t, step)})
	}
	return ticks
}

// short prints a time of the axis without the units that are zero.
func short(t, step float64) string {
	if step < 1 {
		return fmt.Sprintf("%gs", math.Round(t*1000)/1000)
	}
	d := time.Duration(t * float64(time.Second)).Round(time.Second)
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	text := d.String()
	if text == "0s" {
		return "0"
	}
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// valueTicks are about four round values from 0, and raises top to the last.
func valueTicks(top *float64) []tick {
	if *top <= 0 {
		*top = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(*top/4)))
	for _, m := range []float64{1, 2, 2.5, 5, 10} {
		if *top/(step*m) <= 4 {
			step *= m
			break
		}
	}
	step = max(step, 1)
	n := math.Ceil(*top / step)
	*top = n * step
	var ticks []tick
	for i := 0.0; i <= n; i++ {
		ticks = append(ticks, tick{up(i*step, *top), Grouped(int64(math.Round(i * step)))})
	}
	return ticks
}
