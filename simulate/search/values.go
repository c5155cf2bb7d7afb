package search

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// maxValues bounds one axis of a grid, and maxPoints the whole.
const (
	maxValues = 1000
	maxPoints = 10_000
)

// ranged is FROM..TO [log|lin] N, both ends with the same unit or only the second
// with one.
var ranged = regexp.MustCompile(`^\s*([0-9]+(?:\.[0-9]+)?)([A-Za-z%]+|/[0-9]*[a-z]+)?\.\.([0-9]+(?:\.[0-9]+)?)([A-Za-z%]+|/[0-9]*[a-z]+)?(?:\s+(log|lin)\s+([0-9]+))?\s*$`)

// Values reads what a parameter takes one after the other: "a,b,c", or "50..5000
// log 20" for twenty values at equal ratios, "0..100 lin 5" for five at equal
// distances. Whole ends make whole values.
func Values(text string) ([]string, error) {
	if !strings.Contains(text, "..") {
		return listed(text)
	}
	r, err := parseRange(text)
	if err != nil {
		return nil, err
	}
	if r.n == 0 {
		return nil, fmt.Errorf("range %q says not how many values: want %s log 20 or %s lin 20", text, text, text)
	}
	var out []string
	for i := range r.n {
		part := float64(i) / float64(max(r.n-1, 1))
		v := r.from + (r.to-r.from)*part
		if r.log {
			v = r.from * math.Pow(r.to/r.from, part)
		}
		if s := r.print(v); len(out) == 0 || out[len(out)-1] != s {
			out = append(out, s)
		}
	}
	return out, nil
}

func listed(text string) ([]string, error) {
	parts := strings.Split(text, ",")
	for i := range parts {
		if parts[i] = strings.TrimSpace(parts[i]); parts[i] == "" {
			return nil, fmt.Errorf("values %q have an empty one", text)
		}
	}
	if len(parts) > maxValues {
		return nil, fmt.Errorf("%d values are given: %d at most", len(parts), maxValues)
	}
	return parts, nil
}

// span is a parsed range.
type span struct {
	from, to float64
	unit     string
	whole    bool
	log      bool
	n        int
}

func parseRange(text string) (span, error) {
	m := ranged.FindStringSubmatch(text)
	if m == nil {
		return span{}, fmt.Errorf("range %q is not like 50..5000 log 20", text)
	}
	from, err1 := strconv.ParseFloat(m[1], 64)
	to, err2 := strconv.ParseFloat(m[3], 64)
	r := span{from: from, to: to, unit: m[4], log: m[5] == "log"}
	switch {
	case err1 != nil || err2 != nil:
		return r, fmt.Errorf("range %q has an end that is no number", text)
	case m[2] != "" && m[2] != m[4]:
		return r, fmt.Errorf("range %q has ends of different units", text)
	case to < from:
		return r, fmt.Errorf("range %q goes down", text)
	case r.log && from == 0:
		return r, fmt.Errorf("range %q begins at 0, which has no ratio to anything: use lin", text)
	}
	if m[6] != "" {
		n, err := strconv.Atoi(m[6])
		if err != nil || n < 1 || n > maxValues {
			return r, fmt.Errorf("range %q wants %s values: 1 to %d are possible", text, m[6], maxValues)
		}
		r.n = n
	}
	r.whole = from == math.Trunc(from) && to == math.Trunc(to) && !strings.Contains(r.unit, "/") && r.unit != "%"
	return r, nil
}

// print is a value of the range as a scenario has it: whole, or to four digits.
func (r span) print(v float64) string {
	if r.whole {
		return strconv.FormatFloat(math.Round(v), 'f', -1, 64) + r.unit
	}
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return strconv.FormatFloat(v, 'f', -1, 64) + r.unit
}

// Grid is every combination of the values of some axes, the last changing first.
func Grid(axes [][]string) ([][]string, error) {
	total := 1
	for _, values := range axes {
		if total *= len(values); total > maxPoints {
			return nil, fmt.Errorf("the grid has more than %d points", maxPoints)
		}
	}
	points := make([][]string, total)
	for i := range points {
		points[i] = make([]string, len(axes))
		rest := i
		for axis := len(axes) - 1; axis >= 0; axis-- {
			points[i][axis] = axes[axis][rest%len(axes[axis])]
			rest /= len(axes[axis])
		}
	}
	return points, nil
}
