package view

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Replay is the answer of `simulate replay` about what a controller decided: whether
// it is decided so again.
type Replay struct {
	File string `json:"file"`
	// Recorded is the version that decided, Replayed the one that decided again.
	Recorded string `json:"recorded"`
	Replayed string `json:"replayed"`
	// Calls, Starts and Decisions count what the trace holds, or what it holds up to
	// the first difference. A start takes in all that is in the cluster.
	Calls     int       `json:"calls"`
	Starts    int       `json:"starts"`
	Decisions int       `json:"decisions"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	// Ended says why the controller kept nothing more, empty: it still did.
	Ended string `json:"ended,omitempty"`
	// Limits are what the accounts stated, and by what rule their readings say that they
	// are counted.
	Limits []ReplayLimit `json:"limits,omitempty"`
	// Difference is the first decision that is made otherwise.
	Difference *ReplayDifference `json:"difference,omitempty"`
}

// ReplayLimit is what the readings of an account tell of its limit.
type ReplayLimit struct {
	Account string `json:"account"`
	// Limit units in Window were stated last, in so many readings.
	Limit         int64   `json:"limit"`
	WindowSeconds float64 `json:"windowSeconds"`
	Readings      int     `json:"readings"`
	// Rules are those by which it may be counted, the likeliest first.
	Rules []ReplayRule `json:"rules,omitempty"`
}

// ReplayRule is a type of limiter, as scenarios name it, and how likely it is.
type ReplayRule struct {
	Type  string  `json:"type"`
	Share float64 `json:"share"`
}

// ReplayDifference is a decision that is made otherwise.
type ReplayDifference struct {
	// Decision counts from 1. Byte is the first that differs.
	Decision int       `json:"decision"`
	At       time.Time `json:"at"`
	Byte     int       `json:"byte"`
	Recorded string    `json:"recorded"`
	Replayed string    `json:"replayed"`
}

// Names implements `-o name`.
func (r Replay) Names() []string { return []string{r.File} }

// ReplayPage shows the verdict first, and where two decisions part.
func ReplayPage(w io.Writer, r Replay, st Style) error {
	p := page{style: st}
	what := fmt.Sprintf("%s of %s, made again by %s", noun(r.Decisions, "decision"), r.Recorded, r.Replayed)
	switch {
	case r.Decisions == 0:
		p.field("nothing", "%s", painted{"the trace holds no decision to compare", warn})
	case r.Difference == nil:
		p.field("same", "%s: %s", what, painted{"byte for byte", good})
	default:
		p.field("differs", "%s", painted{fmt.Sprintf("decision %d, made at %s, from byte %d on", r.Difference.Decision, r.Difference.At.In(st.zone()).Format(time.RFC3339Nano), r.Difference.Byte), bad})
		p.field("recorded", "%s", excerpt(r.Difference.Recorded, r.Difference.Byte))
		p.field("replayed", "%s", excerpt(r.Difference.Replayed, r.Difference.Byte))
	}
	p.field("trace", "%s, %s - %s: %s, %s", r.File, st.clock(r.From), st.clock(r.To), noun(r.Calls, "call"), noun(r.Starts, "start"))
	for _, l := range r.Limits {
		p.field("limit", "%s: %d per %s in %s%s", l.Account, l.Limit, span(time.Duration(l.WindowSeconds*float64(time.Second))), noun(l.Readings, "reading"), l.counted())
	}
	if r.Ended != "" {
		p.field("ended", "%s; what came after is not in it", r.Ended)
	}
	if r.Recorded != r.Replayed {
		p.field("versions", "%s", painted{"they differ: another version may decide otherwise and be right", warn})
	}
	return p.flush(w)
}

// likely is the least share of a rule that is worth a word.
const likely = 0.01

// counted says by what rule a limit is counted.
func (l ReplayLimit) counted() string {
	var rules []string
	for _, r := range l.Rules {
		if r.Share >= likely {
			rules = append(rules, fmt.Sprintf("%s %.0f %%", r.Type, 100*r.Share))
		}
	}
	if len(rules) == 0 {
		return ": too few to tell how it is counted"
	}
	return ", counted as " + strings.Join(rules, ", or ")
}

// Around a difference that much of a decision is shown.
const (
	excerptBefore = 60
	excerptAfter  = 120
)

// excerpt is what is around a byte of a text.
func excerpt(text string, at int) string {
	from, to := max(at-excerptBefore, 0), min(at+excerptAfter, len(text))
	if from >= to {
		return "(ends before)"
	}
	out := text[from:to]
	if from > 0 {
		out = "..." + out
	}
	if to < len(text) {
		out += "..."
	}
	return out
}
