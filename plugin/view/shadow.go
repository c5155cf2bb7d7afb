package view

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Shadow is the answer of `status --shadow`: what Pace would have done.
type Shadow struct {
	// Policies are those that counted, Watching those of them that are in mode Shadow
	// still.
	Policies []string `json:"policies"`
	Watching []string `json:"watching"`
	// Since is from when it counts: whole hours.
	Since time.Time `json:"since,omitzero"`
	// Pods of Rollouts would have been held, Nodes never yet.
	Pods     int64 `json:"pods"`
	Rollouts int64 `json:"rollouts"`
	Nodes    int64 `json:"nodes"`
	// LongestSeconds is the longest hold, LongestWorkload whose it was.
	LongestSeconds  int64  `json:"longestSeconds"`
	LongestWorkload string `json:"longestWorkload,omitempty"`
	// Saved of Throttled answers of 429 met pods that would still have been held.
	Throttled int64 `json:"throttled"`
	Saved     int64 `json:"saved"`
	// HeldForNothing are pods whose pulls were not charged, Paged those that would
	// have been held for 15 minutes.
	HeldForNothing int64 `json:"heldForNothing"`
	Paged          int64 `json:"paged"`
	// Holds are what would be held now, Workloads those with most pods since the
	// beginning.
	Holds     []ShadowHold     `json:"holds"`
	Workloads []ShadowWorkload `json:"workloads"`
	// Namespaces counts those that are opted in.
	Namespaces int `json:"namespaces"`
}

// ShadowHold is pods of a workload that would be held now.
type ShadowHold struct {
	Policy    string    `json:"policy"`
	Namespace string    `json:"namespace"`
	Workload  string    `json:"workload"`
	Pods      int64     `json:"pods"`
	Reason    string    `json:"reason"`
	Message   string    `json:"message"`
	Since     time.Time `json:"since"`
	Expected  Window    `json:"expected,omitzero"`
}

// ShadowWorkload is how many pods of a workload would have been held.
type ShadowWorkload struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Pods      int64  `json:"pods"`
}

// Names implements `-o name`.
func (s Shadow) Names() []string {
	var names []string
	for _, policy := range s.Policies {
		names = append(names, "pacepolicy.pullpace.dev/"+policy)
	}
	return names
}

// ShadowPage shows what would have been, and the command that makes it so.
func ShadowPage(w io.Writer, s Shadow, st Style) error {
	p := page{style: st}
	if len(s.Policies) == 0 {
		p.line("%s", painted{"Nothing was watched: no PacePolicy is in mode Shadow, and none counted before.", warn})
		p.next("%s", st.command("status"))
		return p.flush(w)
	}
	row := func(name, format string, args ...any) { p.line("%-18s "+format, append([]any{name}, args...)...) }
	row("would have held", "%s in %s, %s%s; nothing in kube-system", painted{noun(s.Pods, "pod"), bold}, noun(s.Rollouts, "rollout"), noun(s.Nodes, "node"), s.longest())
	row("would have saved", "%d of %s", s.Saved, answers(s.Throttled))
	row("held for nothing", "%s%s", noun(s.HeldForNothing, "pod"), nothing(s.HeldForNothing))
	row("would have paged", "%s", paged(s.Paged))
	row("counted", "since %s (%s ago), %s; %s opted in", st.clock(s.Since), st.age(s.Since), strings.Join(s.Policies, ", "), noun(s.Namespaces, "namespace"))
	p.shadowTables(s)
	p.shadowNext(s)
	return p.flush(w)
}

func (p *page) shadowTables(s Shadow) {
	if len(s.Holds) > 0 {
		p.gap()
		t := table{heads: []string{"NAMESPACE", "WORKLOAD", ">WOULD HOLD NOW", "REASON", ">FOR", "LET GO ABOUT", "WHY"}}
		for _, h := range s.Holds {
			t.row(h.Namespace, h.Workload, fmt.Sprint(h.Pods), painted{dash(h.Reason), warn}, p.style.age(h.Since), p.style.span(h.Expected), dash(h.Message))
		}
		p.table(t)
	}
	if p.style.Wide && len(s.Workloads) > 0 {
		p.gap()
		t := table{heads: []string{"NAMESPACE", "WORKLOAD", ">WOULD HAVE HELD"}}
		for _, workload := range s.Workloads {
			t.row(workload.Namespace, workload.Workload, fmt.Sprint(workload.Pods))
		}
		p.table(t)
	}
}

func (p *page) shadowNext(s Shadow) {
	switch {
	case s.Namespaces == 0:
		p.next("kubectl label namespace NAME pullpace.dev/pace=enabled")
	case len(s.Watching) == 0:
		p.next("%s", p.style.command("status"))
	}
	for _, policy := range s.Watching {
		p.field("to enforce", `kubectl patch pacepolicy %s --type merge -p '{"spec":{"mode":"Enforce"}}'`, policy)
	}
}

func (s Shadow) longest() string {
	if s.LongestSeconds == 0 {
		return ""
	}
	return fmt.Sprintf("; longest %s (%s)", span(time.Duration(s.LongestSeconds)*time.Second), dash(s.LongestWorkload))
}

func answers(n int64) string {
	if n == 1 {
		return "1 answer of 429"
	}
	return fmt.Sprintf("%d answers of 429", n)
}

func nothing(n int64) string {
	if n == 0 {
		return ""
	}
	return " (a pull that was not charged: image present, or a mirror)"
}

func paged(n int64) string {
	if n == 0 {
		return "nobody"
	}
	return fmt.Sprintf("KubePodNotReady %dx (held for 15 min)", n)
}
