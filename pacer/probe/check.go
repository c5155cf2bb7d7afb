package probe

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	kjson "sigs.k8s.io/json"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// The most that an answer may say.
const (
	maxUnits  core.Units = 1 << 40
	maxSpan              = 400 * 24 * time.Hour
	maxSource            = 256
	maxFailed            = 512
)

// decode reads one JSON object of bounded size, with no field that is unknown or
// there twice.
func decode(text string, most int, into any) error {
	if len(text) > most {
		return fmt.Errorf("%d bytes, want %d at most", len(text), most)
	}
	strict, err := kjson.UnmarshalStrict([]byte(text), into)
	return errors.Join(append(strict, err)...)
}

// check refuses what no registry says.
func check(o quota.Observation) error {
	h := o.Header
	switch {
	case o.Status < 0 || o.Status > 599:
		return fmt.Errorf("status %d", o.Status)
	case h.Limit < 0 || h.Limit > maxUnits || h.Remaining > maxUnits || h.Remaining < -maxUnits:
		return fmt.Errorf("%d of %d units", h.Remaining, h.Limit)
	case len(h.Source) > maxSource || h.Source != printable(h.Source):
		return errors.New("a source that is none")
	}
	for _, span := range []time.Duration{h.Window, h.Reset, h.RetryAfter} {
		if span < 0 || span > maxSpan {
			return fmt.Errorf("a span of %s", span)
		}
	}
	return nil
}

// printable is a text of bounded length without what a terminal acts on.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), maxFailed)], "")
}
