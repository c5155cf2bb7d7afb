package enginetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// report is what happened so far.
type report struct {
	throttled, attempts int // answers of 429 to us, pulls that failed for one
	failed              int // attempts that failed
	pulls               []pullStart
	turned              []turned
	troubled            []string      // revisions and nodes that failures were put down to
	done                time.Duration // when the last pod needed no more pulls
	answers             map[answerKey]*answer
	wrongs              []wrong
	accounts            []engine.View
	// hopeless is when an account first was, hoping when none was any more.
	hopeless, hoping time.Duration
	despaired        bool
}

// pullStart is the first granted request of a cold pull.
type pullStart struct {
	at        time.Duration
	namespace string
}

// wrong is a rule that the engine broke, and when first.
type wrong struct {
	at   time.Duration
	text string
}

// answerKey is one kind of answer to one group.
type answerKey struct {
	group   core.GroupID
	reason  core.Reason
	account core.AccountID
	release bool
}

// answer is when it was given, how many pods it released in all or held at most.
type answer struct {
	first, last time.Duration
	pods        int
}

func (r *report) decided(now time.Duration, d engine.Decision) {
	if r.answers == nil {
		r.answers = map[answerKey]*answer{}
	}
	for _, rel := range d.Releases {
		r.answered(now, answerKey{rel.Group, rel.Reason, "", true}).pods += rel.Count
	}
	for _, h := range d.Holds {
		a := r.answered(now, answerKey{h.Group, h.Reason, h.Account, false})
		a.pods = max(a.pods, h.Count)
	}
	r.accounts = d.Accounts
	r.breakers(now, d)
	switch is := slices.ContainsFunc(d.Accounts, func(v engine.View) bool { return !v.Flow.Hopeless.IsZero() }); {
	case is && !r.despaired:
		r.despaired, r.hopeless, r.hoping = true, now, 0
	case !is && r.despaired && r.hoping == 0:
		r.hoping = now
	}
}

func (r *report) answered(now time.Duration, key answerKey) *answer {
	a := r.answers[key]
	if a == nil {
		a = &answer{first: now}
		r.answers[key] = a
	}
	a.last = now
	return a
}

// list prints the answers of one kind, to the second.
func (r *report) list(release bool) string {
	var out strings.Builder
	keys := slices.SortedFunc(maps.Keys(r.answers), func(a, b answerKey) int {
		return cmp.Or(cmp.Compare(r.answers[a].first, r.answers[b].first), cmp.Compare(a.group, b.group), cmp.Compare(a.reason, b.reason))
	})
	for _, k := range keys {
		if a := r.answers[k]; k.release == release {
			fmt.Fprintf(&out, "%s %s %d pods from %v to %v\n", k.group, k.reason, a.pods, a.first.Round(time.Second), a.last.Round(time.Second))
		}
	}
	return orNone(out.String())
}

// namespaces prints how many pulls each namespace started in each span.
func (r *report) namespaces(span time.Duration) string {
	counts := map[time.Duration]map[string]int{}
	for _, p := range r.pulls {
		at := p.at / span * span
		if counts[at] == nil {
			counts[at] = map[string]int{}
		}
		counts[at][p.namespace]++
	}
	var out strings.Builder
	for _, at := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&out, "%v:", at)
		for _, ns := range slices.Sorted(maps.Keys(counts[at])) {
			fmt.Fprintf(&out, " %s=%d", ns, counts[at][ns])
		}
		out.WriteString("\n")
	}
	return orNone(out.String())
}

// wrongList prints the rules that were broken.
func (r *report) wrongList() string {
	var out strings.Builder
	for _, x := range r.wrongs {
		fmt.Fprintf(&out, "%v: %s\n", x.at, x.text)
	}
	return out.String()
}

func orNone(s string) string {
	if s == "" {
		return "none\n"
	}
	return s
}

// last is when the last cold pull started.
func (r *report) last() time.Duration {
	if len(r.pulls) == 0 {
		return 0
	}
	return r.pulls[len(r.pulls)-1].at
}

// values are what an expectation may name; spans are in seconds.
func (w *World) values() map[string]float64 {
	v := map[string]float64{
		"throttled": float64(w.report.throttled), "attempts": float64(w.report.attempts), "pulls": float64(len(w.report.pulls)), "failed": float64(w.report.failed),
		"last": w.report.last().Seconds(), "done": w.report.done.Seconds(), "unfinished": float64(w.unfinished),
		"wrong": float64(len(w.report.wrongs)), "now": w.now.Seconds(),
		"hopeless": w.report.hopeless.Seconds(), "hoping": w.report.hoping.Seconds(),
	}
	for _, r := range w.accounts() {
		v["units"] += float64(r.units)
		v["foreignLost"] += float64(r.foreignLost)
		v["heads"] += float64(r.heads)
		v["bound"] = max(v["bound"], w.bound(r, 0).Seconds())
		v["reserveBound"] = max(v["reserveBound"], w.bound(r, w.reserve(r)).Seconds())
	}
	return v
}

// summary is one line of what was reached.
func (w *World) summary() string {
	v := w.values()
	return fmt.Sprintf("%sunfinished=%d throttled=%d units=%v last=%v done=%v bound=%v reserve-bound=%v foreign-lost=%v\n", w.report.wrongList(),
		w.unfinished, w.report.throttled, v["units"], w.report.last().Round(time.Second), w.report.done.Round(time.Second),
		seconds(v["bound"]), seconds(v["reserveBound"]), v["foreignLost"])
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}
