package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Span prints seconds in their two largest units: 0.42s, 12.3s, 3m20s, 4h05m,
// 2d03h. What never came is "never".
func Span(seconds *float64) string {
	if seconds == nil {
		return "never"
	}
	s := *seconds
	switch {
	case s == 0:
		return "0s"
	case s < 9.995:
		return strconv.FormatFloat(s, 'f', 2, 64) + "s"
	case s < 59.95:
		return strconv.FormatFloat(s, 'f', 1, 64) + "s"
	}
	d := time.Duration(s * float64(time.Second)).Round(time.Second)
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// Grouped prints a count with commas between thousands.
func Grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var out strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(d)
	}
	return sign + out.String()
}

// Figure prints a value of a metric: times as Span, the rest as numbers.
func (m Metric) Figure(v *float64) string {
	switch {
	case m.Seconds():
		return Span(v)
	case v == nil:
		return "-"
	case *v == float64(int64(*v)):
		return Grouped(int64(*v))
	}
	return strconv.FormatFloat(*v, 'f', 3, 64)
}

// Ratio prints a ratio to the bound.
func Ratio(r *float64) string {
	if r == nil {
		return "-"
	}
	return strconv.FormatFloat(*r, 'f', 3, 64)
}

// Told prints what a metric was: the figure of replication 0 and the range over
// all where there is one.
func (p Policy) Told(name string) string {
	m, err := MetricOf(name)
	if err != nil {
		return err.Error()
	}
	text := m.Figure(m.Of(p))
	s, ok := p.Spread[name]
	if !ok {
		return text
	}
	least, most := m.Figure(s.Min), m.Figure(s.Max)
	if least == most {
		return text
	}
	return text + " [" + least + "-" + most + "]"
}

// Sentence prints a goal as it was asked.
func (g Goal) Sentence() string {
	m, _ := MetricOf(g.Metric)
	return g.Metric + " " + g.Op + " " + m.Figure(&g.Value)
}

// Outcome prints whether a goal was met, and what was there instead.
func (g Goal) Outcome(replications int) string {
	m, _ := MetricOf(g.Metric)
	text := m.Figure(g.Actual)
	switch {
	case g.Met:
		return "met: " + text
	case g.MissedIn > 0 && replications > 1:
		return fmt.Sprintf("MISSED in %d of %d: %s in replication 0", g.MissedIn, replications, text)
	}
	return "MISSED: " + text
}
