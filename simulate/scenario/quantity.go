package scenario

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// Size is a number of bytes.
type Size int64

// Bandwidth is a number of bits per second; 0 is unlimited.
type Bandwidth int64

// BytesPerSecond is the bandwidth in bytes; 0 is unlimited.
func (b Bandwidth) BytesPerSecond() float64 { return float64(b) / 8 }

// Rate is Units every Every; no units are unlimited.
type Rate struct {
	Units int64
	Every time.Duration
}

// PerSecond is the rate as a number; 0 is unlimited.
func (r Rate) PerSecond() float64 {
	if r.Units == 0 {
		return 0
	}
	return float64(r.Units) / r.Every.Seconds()
}

// Class is a class of demand by its name.
type Class string

// Core is the class of the decision code; what is not known is a rollout.
func (c Class) Core() core.Class {
	parsed, err := core.ParseClass(string(c))
	if err != nil {
		return core.ClassRollout
	}
	return parsed
}

// Names is a list of names; a single one may stand for itself.
type Names []string

// Value is what a goal compares with.
type Value struct {
	// Number, of seconds where it was written as a duration.
	Number float64
	// Duration says that it was.
	Duration bool
}

// Portion is a number of pods or a percentage of replicas.
type Portion struct {
	Number  int
	Percent bool
}

// maxPercent bounds percentages: a Deployment may surge by several times its
// replicas.
const maxPercent = 10_000

// Of is the portion of a number of replicas, rounded down.
func (p Portion) Of(replicas int) int {
	if !p.Percent {
		return p.Number
	}
	return replicas * p.Number / 100
}

// OfUp is the portion of a number of replicas, rounded up.
func (p Portion) OfUp(replicas int) int {
	if !p.Percent {
		return p.Number
	}
	return (replicas*p.Number + 99) / 100
}

// Distribution is what a time is drawn from: one of its fields. Without any it is
// constantly zero.
type Distribution struct {
	// Constant is the same time for all.
	Constant *time.Duration `json:"constant,omitempty"`
	// LogNormal is given by its median and the time that 99 of 100 draws stay below.
	LogNormal *LogNormal `json:"lognormal,omitempty"`
	// Uniform draws between two times.
	Uniform *Uniform `json:"uniform,omitempty"`
	// Exponential is given by its mean.
	Exponential *Exponential `json:"exponential,omitempty"`
}

// LogNormal is a distribution with a long tail.
type LogNormal struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
}

// Uniform is a distribution between two times.
type Uniform struct {
	Min time.Duration `json:"min"`
	Max time.Duration `json:"max"`
}

// Exponential is the distribution of what has no memory.
type Exponential struct {
	Mean time.Duration `json:"mean"`
}

// unit is a word behind a number and what it stands for.
type unit struct {
	name   string
	factor float64
}

// sizeUnits and bandwidthUnits are in the order in which messages name them; "B"
// is for sizes that were measured to the byte.
var (
	sizeUnits = []unit{
		{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
	}
	bandwidthUnits = []unit{{"Kbps", 1e3}, {"Mbps", 1e6}, {"Gbps", 1e9}, {"MBps", 8e6}, {"bps", 1}}
)

// UnmarshalText reads a size such as 30Mi.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := parseUnits(string(text), sizeUnits)
	*s = Size(n)
	return err
}

// MarshalText is the inverse of UnmarshalText, in the largest unit that is exact.
func (s Size) MarshalText() ([]byte, error) { return []byte(formatUnits(int64(s), sizeUnits)), nil }

// UnmarshalText reads a bandwidth such as 12.5Gbps.
func (b *Bandwidth) UnmarshalText(text []byte) error {
	n, err := parseUnits(string(text), bandwidthUnits)
	*b = Bandwidth(n)
	return err
}

// MarshalText is the inverse of UnmarshalText, in the largest unit that is exact.
func (b Bandwidth) MarshalText() ([]byte, error) {
	return []byte(formatUnits(int64(b), bandwidthUnits)), nil
}

// UnmarshalText reads a rate such as 10/s, 600/m or 100/6h.
func (r *Rate) UnmarshalText(text []byte) error {
	written := string(text)
	if written == "0" {
		return nil
	}
	number, per, found := strings.Cut(written, "/")
	if !found {
		return fmt.Errorf("%q has no unit: write a number and a time, such as 10/s or 100/6h", written)
	}
	every, err := time.ParseDuration(per)
	if err != nil {
		every, err = time.ParseDuration("1" + per)
	}
	if err != nil || every <= 0 {
		return fmt.Errorf("%q is no time above zero: write s, m, h or a duration such as 6h", per)
	}
	units, scale, err := decimal(number)
	if err != nil {
		return err
	}
	if every > math.MaxInt64/time.Duration(scale) {
		return fmt.Errorf("%q is too slow to count", written)
	}
	*r = Rate{Units: units, Every: every * time.Duration(scale)}
	return nil
}

// decimal reads a number of at most nine digits before and after the point as
// units/scale.
func decimal(text string) (units, scale int64, err error) {
	whole, fraction, _ := strings.Cut(text, ".")
	fraction = strings.TrimRight(fraction, "0")
	units, err = strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil || units < 0 || len(whole) > 9 || len(fraction) > 9 || strings.HasPrefix(whole, "+") {
		return 0, 0, fmt.Errorf("%q is no number from 0 to 999999999", text)
	}
	scale = 1
	for range fraction {
		scale *= 10
	}
	return units, scale, nil
}

// MarshalText is the inverse of UnmarshalText.
func (r Rate) MarshalText() ([]byte, error) {
	if r.Units == 0 {
		return []byte("0"), nil
	}
	if r.Every == time.Second {
		return []byte(strconv.FormatInt(r.Units, 10) + "/s"), nil
	}
	return []byte(strconv.FormatInt(r.Units, 10) + "/" + r.Every.String()), nil
}

// UnmarshalText reads a class by name.
func (c *Class) UnmarshalText(text []byte) error {
	*c = Class(text)
	_, err := core.ParseClass(string(text))
	return err
}

// UnmarshalText reads a number such as 3 or a percentage such as 25%.
func (p *Portion) UnmarshalText(text []byte) error {
	digits, percent := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 || percent && n > maxPercent {
		return fmt.Errorf("%q is neither a number of pods nor a percentage such as 25%%", text)
	}
	*p = Portion{Number: int(n), Percent: percent}
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (p Portion) MarshalText() ([]byte, error) {
	text := strconv.Itoa(p.Number)
	if p.Percent {
		text += "%"
	}
	return []byte(text), nil
}

// UnmarshalText reads a number or a duration, which stands for its seconds.
func (v *Value) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseFloat(string(text), 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
		*v = Value{Number: n}
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a number nor a duration such as 25m", text)
	}
	*v = Value{Number: d.Seconds(), Duration: true}
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (v Value) MarshalText() ([]byte, error) {
	text := strconv.FormatFloat(v.Number, 'f', -1, 64)
	if v.Duration {
		text += "s"
	}
	return []byte(text), nil
}

func parseNumber(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || strings.ContainsAny(text, "xX_") {
		return 0, fmt.Errorf("%q is no number", text)
	}
	if n < 0 {
		return 0, fmt.Errorf("%q is negative", text)
	}
	return n, nil
}

// parseUnits reads a number with one of the units; zero needs none.
func parseUnits(text string, units []unit) (int64, error) {
	if text == "0" {
		return 0, nil
	}
	for _, u := range units {
		number, found := strings.CutSuffix(text, u.name)
		if !found {
			continue
		}
		n, err := parseNumber(strings.TrimSpace(number))
		if err != nil {
			return 0, err
		}
		whole := math.Round(n * u.factor)
		if whole >= math.MaxInt64 {
			return 0, fmt.Errorf("%q is too much to count", text)
		}
		return int64(whole), nil
	}
	return 0, fmt.Errorf("%q has no unit: write a number and one of %s", text, unitNames(units))
}

func unitNames(units []unit) string {
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.name
	}
	return strings.Join(names, ", ")
}

// formatUnits writes a number in the unit that leaves the shortest whole number.
func formatUnits(n int64, units []unit) string {
	if n == 0 {
		return "0"
	}
	best := unit{factor: 0}
	for _, u := range units {
		if n%int64(u.factor) == 0 && u.factor > best.factor {
			best = u
		}
	}
	return strconv.FormatInt(n/int64(best.factor), 10) + best.name
}
