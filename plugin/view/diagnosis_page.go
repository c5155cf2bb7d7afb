package view

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// DiagnosisPage shows a diagnosis: that of a cluster, or the narrower one of an
// object.
func DiagnosisPage(w io.Writer, d Diagnosis, st Style) error {
	p := page{style: st}
	p.line("%s  %s", d.verdict(), painted{d.Summary, bold})
	if d.Scope == "cluster" {
		p.diagnosedCluster(d)
	}
	p.seen(d)
	p.gap()
	for _, f := range d.Findings {
		p.finding(f)
	}
	p.pulls(d.Pulling)
	if len(d.Held) > 0 {
		p.line("now   %-18s %s", "held by Pace", strings.TrimPrefix(of(d.Held), ": "))
	}
	p.checks(d)
	p.replay(d)
	p.diagnosisNext(d)
	return p.flush(w)
}

func (d Diagnosis) verdict() painted {
	switch d.Verdict {
	case "RateLimited":
		return painted{"RATE LIMITED", bad}
	case "WasRateLimited":
		return painted{"WAS RATE LIMITED", warn}
	case "NotRateLimiting":
		return painted{"NOT RATE LIMITING", bad}
	case "Warnings":
		return painted{"WARNINGS", warn}
	case "Healthy":
		return painted{"HEALTHY", good}
	}
	return painted{"UNKNOWN", warn}
}

// diagnosedCluster says what the cluster is made of.
func (p *page) diagnosedCluster(d Diagnosis) {
	c := d.Cluster
	parts := nonEmpty(c.Name, c.Version, noun(c.Nodes, "node")+of(c.Architectures), runtimes(c.Runtimes), "controller "+c.Controller)
	p.line("%s", strings.Join(parts, "   "))
}

func nonEmpty(words ...string) []string {
	var out []string
	for _, w := range words {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// of lists counts behind what they are of.
func of(list []Counted) string {
	var parts []string
	for _, c := range list {
		parts = append(parts, fmt.Sprintf("%d %s", c.Count, c.Name))
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func runtimes(list []RuntimeCost) string {
	var parts []string
	for _, r := range list {
		parts = append(parts, fmt.Sprintf("%s (%d)", strings.Replace(r.Runtime, "://", " ", 1), r.Nodes))
	}
	return strings.Join(parts, ", ")
}

// seen says what the diagnosis rests on, and how far back.
func (p *page) seen(d Diagnosis) {
	text := "Read-only: wrote nothing, pulled nothing, asked no registry, spent no budget. Saw statuses now"
	for _, e := range d.Evidence {
		if e.Part != "events" {
			continue
		}
		switch {
		case e.Count == 0 && e.Unread == "":
			text += "; there are no events of pulls"
		case e.Count > 0:
			text += " and events of the last " + p.style.age(e.Oldest) + " (older are gone)"
		}
	}
	p.line("%s.", painted{text, faint})
	for _, e := range d.Evidence {
		switch {
		case e.Unread != "" && e.Count > 0:
			p.line("%s", painted{"Not all of " + e.Part + ": " + e.Unread, faint})
		case e.Unread != "":
			p.line("%s", painted{"Not read: " + e.Part + ": " + e.Unread, faint})
		}
	}
}

// finding shows one finding with its facts.
func (p *page) finding(f Finding) {
	paint := warn
	if f.Severity == "FAIL" {
		paint = bad
	}
	p.line("%s  %-18s %s", painted{f.Severity, paint}, f.Check, f.Text)
	if f.Class != "" {
		p.fact("class", strings.Join(nonEmpty(f.Class, f.Limiter), ", "))
	}
	if extent := f.extent(p.style); extent != "" {
		p.fact("reaches", extent)
	}
	for _, fact := range f.Facts {
		p.fact(fact.Name, fact.Text)
	}
	if f.Class != "" && len(f.Objects) > 0 {
		p.fact("workloads", strings.Join(f.Objects, ", "))
	}
	p.fact("fix", f.Fix)
}

func (p *page) fact(name, text string) {
	if text != "" {
		p.line("      %-18s %s", name, text)
	}
}

// extent is how far a finding reaches, and from when to when.
func (f Finding) extent(st Style) string {
	var parts []string
	for _, n := range []struct {
		count int
		one   string
	}{{f.Pods, "pod"}, {f.Nodes, "node"}, {f.Workloads, "workload"}, {f.Namespaces, "namespace"}} {
		if n.count > 0 {
			parts = append(parts, noun(n.count, n.one))
		}
	}
	text := strings.Join(parts, ", ")
	if !f.From.IsZero() {
		text += fmt.Sprintf("; seen %s - %s", st.clock(f.From), st.clock(f.To))
	}
	if !f.Now {
		text += ", over"
	}
	return strings.TrimPrefix(text, "; ")
}

// pulls says what pulls now, and why.
func (p *page) pulls(now Pulling) {
	if now.Pods == 0 {
		return
	}
	var why []string
	for i, c := range now.Causes {
		if i == 3 {
			why = append(why, fmt.Sprintf("and %d more", len(now.Causes)-i))
			break
		}
		why = append(why, c.Text)
	}
	p.line("now   %-18s %s on %s: %s", "pulling", noun(now.Pods, "pod"), noun(now.Nodes, "node"), strings.Join(why, "; "))
}

// checks lists what was looked for and not found, and what cannot be known.
func (p *page) checks(d Diagnosis) {
	if len(d.Clear) > 0 {
		p.line("%s    %s", painted{"ok", good}, strings.Join(d.Clear, "  "))
	}
	for _, u := range d.Unknown {
		p.line("%s  %-18s %s", painted{"skip", faint}, u.Check, u.Why)
	}
}

// replay shows what the simulator made of it.
func (p *page) replay(d Diagnosis) {
	if d.Replay == nil && len(d.Fixes) == 0 {
		return
	}
	p.gap()
	r := d.Replay
	if r == nil || r.Not != "" || r.AsItIs == nil {
		p.line("%s", painted{"Cheapest first" + notReplayed(r), bold})
		for _, f := range d.Fixes {
			p.line("  %d  %s", f.Number, f.Title)
		}
		return
	}
	p.line("%s", painted{fmt.Sprintf("Cheapest first (%s on %s replayed by the simulator, %s at %d in %s, seed %d)",
		noun(r.Pods, "pod"), noun(r.Nodes, "node"), r.Registry, r.Limit, span(time.Duration(r.WindowSeconds*float64(time.Second))), r.Seed), bold})
	t := table{heads: []string{"", "", ">429s", ">HALF READY", ">ALL READY"}}
	t.row("", "as it is", fmt.Sprint(r.AsItIs.Throttled), r.AsItIs.half(), r.AsItIs.all())
	for _, f := range d.Fixes {
		if f.Replay == nil {
			t.row(fmt.Sprint(f.Number), f.Title, "-", "-", "-")
			continue
		}
		t.row(fmt.Sprint(f.Number), f.Title, fmt.Sprint(f.Replay.Throttled), f.Replay.half(), f.Replay.all())
	}
	p.table(t)
	if d.noSooner() {
		p.line("Pacing alone does not finish sooner here; it stops the 429s and lets what is urgent go first.")
	}
	for _, a := range r.Assumed {
		p.line("%s", painted{"assumed: " + a, faint})
	}
}

// noSooner reports whether pacing alone takes as long as being left alone.
func (d Diagnosis) noSooner() bool {
	for _, f := range d.Fixes {
		if f.Kind != "Pace" || f.Replay == nil {
			continue
		}
		paced, left := f.Replay.AllReadySeconds, d.Replay.AsItIs.AllReadySeconds
		return left != nil && (paced == nil || *paced >= *left) || left == nil && paced == nil
	}
	return false
}

func notReplayed(r *DiagnosisReplay) string {
	if r == nil || r.Not == "" {
		return ""
	}
	return " (not replayed: " + r.Not + ")"
}

func (r Replayed) half() string { return r.after(r.HalfReadySeconds) }
func (r Replayed) all() string  { return r.after(r.AllReadySeconds) }

// after is a time from the start; where it was not reached, how long was looked.
func (r Replayed) after(seconds *float64) string {
	if seconds == nil {
		return "over " + span(time.Duration(r.HorizonSeconds*float64(time.Second)))
	}
	return "+" + span(time.Duration(*seconds*float64(time.Second)))
}

// diagnosisNext names the command to go on with.
func (p *page) diagnosisNext(d Diagnosis) {
	var args []string
	if d.Scope != "cluster" {
		args = append(args, d.Scope)
		if d.Namespace != "" {
			args = append(args, "-n", d.Namespace)
		}
	}
	switch {
	case len(d.Fixes) > 0:
		p.next("%s", p.style.command(append(append([]string{"doctor"}, args...), "--fix", fmt.Sprint(d.Fixes[0].Number), "--dry-run")...))
	case d.Verdict == "NotRateLimiting":
		p.next("%s, when that is done", p.style.command(append([]string{"doctor"}, args...)...))
	case d.Cluster.Controller == "absent":
		p.next("%s", p.style.command("install", "--shadow", "--dry-run"))
	default:
		p.next("%s", p.style.command("budget"))
	}
}

// Names implements `-o name`.
func (f Fix) Names() []string { return []string{fmt.Sprintf("%d/%s", f.Number, f.Kind)} }

// FixPage prints the change of a fix, to be reviewed and applied by a person.
func FixPage(w io.Writer, f Fix, st Style) error {
	p := page{style: st}
	p.line("# %s. Nothing was changed; review it, then apply it yourself.", f.Title)
	for _, line := range strings.Split(strings.TrimRight(f.Change, "\n"), "\n") {
		p.text.WriteString(strings.Map(safeRune, line) + "\n") // a command that is cut is another one
	}
	return p.flush(w)
}
