package view

import (
	"fmt"
	"strings"
	"time"
)

// Style is what a view must know of the place that it is shown in. The zero value
// is plain text for a reader of unlimited width, in UTC.
type Style struct {
	// Program is how the reader calls the plugin: "kubectl pace" or "pace".
	Program string
	// Color allows terminal colours.
	Color bool
	// Wide asks for the columns of `-o wide`.
	Wide bool
	// Width is the number of columns; 0 is unlimited.
	Width int
	// Now dates ages.
	Now time.Time
	// Location is where the reader's clock is; nil is UTC.
	Location *time.Location
}

// paint is a colour with a meaning.
type paint string

const (
	good  paint = "32"
	warn  paint = "33"
	bad   paint = "31"
	faint paint = "2"
	bold  paint = "1"
)

// painted is text that a terminal may show in colour.
type painted struct {
	text  string
	paint paint
}

func (s Style) render(p painted) string {
	text := Clean(p.text)
	if !s.Color || p.paint == "" || text == "" {
		return text
	}
	return "\x1b[" + string(p.paint) + "m" + text + "\x1b[0m"
}

// zone is the reader's.
func (s Style) zone() *time.Location {
	if s.Location == nil {
		return time.UTC
	}
	return s.Location
}

// clock prints a time of day, with the date when it is another day.
func (s Style) clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	t, now := t.In(s.zone()), s.Now.In(s.zone())
	if t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		return t.Format("Jan 2 15:04")
	}
	return t.Format("15:04:05")
}

// span prints a range of time; "not known" when it is empty.
func (s Style) span(w Window) string {
	switch {
	case w.IsZero():
		return "not known"
	case w.To.IsZero():
		return "from " + s.clock(w.From)
	case w.From.Equal(w.To):
		return s.clock(w.To)
	default:
		return s.clock(w.From) + " - " + s.clock(w.To)
	}
}

// age prints how long ago t was.
func (s Style) age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(max(s.Now.Sub(t), 0))
}

// span prints a duration in its two largest units: 12s, 3m20s, 4h5m, 2d3h.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return two(d, time.Minute, "m", time.Second, "s")
	case d < 24*time.Hour:
		return two(d, time.Hour, "h", time.Minute, "m")
	default:
		return two(d, 24*time.Hour, "d", time.Hour, "h")
	}
}

func two(d, large time.Duration, l string, small time.Duration, s string) string {
	text := fmt.Sprintf("%d%s", d/large, l)
	if rest := (d % large) / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, s)
	}
	return text
}

// Window is a range of time in which something is expected. Both ends zero: not
// known.
type Window struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// IsZero reports whether nothing is expected.
func (w Window) IsZero() bool { return w.From.IsZero() && w.To.IsZero() }

// Units is a count of units of an account that may not be known exactly.
type Units struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// String prints one number where it is known and a range where it is not.
func (u Units) String() string {
	if u.Min == u.Max {
		return fmt.Sprint(u.Min)
	}
	return fmt.Sprintf("%d - %d", u.Min, u.Max)
}

// noun prints a count with its noun: "1 pod", "2 pods".
func noun[N int | int32 | int64](n N, one string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// program is the name in next commands.
func (s Style) program() string {
	if s.Program == "" {
		return "kubectl pace"
	}
	return s.Program
}

// command prints a command of this plugin as the reader would type it.
func (s Style) command(args ...string) string {
	return s.program() + " " + strings.Join(args, " ")
}
