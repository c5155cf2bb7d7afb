package view

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The states of a rollout that is watched.
const (
	Progressing = "progressing"
	HeldState   = "held"
	PausedState = "paused"
	Done        = "done"
	Failed      = "failed"
)

// Rollout is what is known of a rollout at one time.
type Rollout struct {
	Namespace string        `json:"namespace"`
	Workload  string        `json:"workload"`
	From      string        `json:"fromRevision,omitempty"`
	To        string        `json:"toRevision,omitempty"`
	Images    []ImageChange `json:"images,omitempty"`
	State     string        `json:"state"`
	// Replicas is how many pods are wanted, Ready how many serve, Least how many
	// the strategy keeps serving.
	Replicas int32    `json:"replicas"`
	Ready    int32    `json:"ready"`
	Least    int32    `json:"leastReady"`
	New      Progress `json:"new"`
	OldReady int32    `json:"oldReady"`
	// Reason and Message are those of the largest held group.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Until is the latest time at which the held pods are let go.
	Until time.Time `json:"until,omitzero"`
	// Next is when more units are expected.
	Next     Window    `json:"next,omitzero"`
	Accounts []Account `json:"accounts,omitempty"`
	// Steps is where an Argo Rollout is among its steps.
	Steps   *Steps        `json:"steps,omitempty"`
	Errors  Failures      `json:"failures"`
	Started time.Time     `json:"started"`
	At      time.Time     `json:"at"`
	HeldMax time.Duration `json:"-"`
	// Log are the last changes, oldest first.
	Log []string `json:"-"`
}

// ImageChange is a container whose image changes.
type ImageChange struct {
	Container string `json:"container"`
	From      string `json:"from"`
	To        string `json:"to"`
}

// Progress counts pods of the new revision.
type Progress struct {
	Ready   int32 `json:"ready"`
	Pulling int32 `json:"pulling"`
	Held    int32 `json:"held"`
	ToCome  int32 `json:"toCome"`
}

// Failures counts pods whose image pull failed, by what their status says now.
type Failures struct {
	Throttled int `json:"throttled"`
	Pull      int `json:"pull"`
	// Words are the kubelet's of one of them.
	Words string `json:"words,omitempty"`
}

// same reports whether as many fail: what a kubelet says changes from try to try.
func (f Failures) same(next Failures) bool {
	return f.Throttled == next.Throttled && f.Pull == next.Pull
}

// Names implements `-o name`.
func (r Rollout) Names() []string { return []string{r.Workload} }

// Same reports whether a reader of lines would learn nothing new from next.
func (r Rollout) Same(next Rollout) bool {
	return r.State == next.State && r.New == next.New && r.OldReady == next.OldReady &&
		r.Reason == next.Reason && r.Errors.same(next.Errors) && r.Replicas == next.Replicas && r.Steps.same(next.Steps)
}

// RolloutLine writes one line of key=value pairs after a time of day.
func RolloutLine(w io.Writer, r Rollout, st Style) error {
	var l line
	l.add("state", r.State)
	l.add("new", fmt.Sprintf("%d/%d", r.New.Ready, r.Replicas))
	if r.State != Done {
		l.add("pulling", fmt.Sprint(r.New.Pulling))
		l.add("held", fmt.Sprint(r.New.Held))
		l.add("to_come", fmt.Sprint(r.New.ToCome))
		l.add("old", fmt.Sprint(r.OldReady))
	}
	if r.Steps != nil && r.Steps.Name != "" {
		l.add("step", r.Steps.mark())
	}
	if r.Reason != "" {
		l.add("reason", r.Reason)
		for _, a := range r.Accounts {
			if a.Free != nil {
				l.add("free", fmt.Sprint(*a.Free))
				break
			}
		}
	}
	if !r.Next.IsZero() && (r.New.Held > 0 || r.Steps.Held()) {
		l.add("next", strings.ReplaceAll(st.span(r.Next), " - ", ".."))
	}
	l.add("own_429", fmt.Sprint(r.Errors.Throttled))
	l.add("pull_errors", fmt.Sprint(r.Errors.Pull))
	if r.Errors.Words != "" {
		l.add("kubelet", r.Errors.Words)
	}
	if r.State == Done {
		l.add("held_max", span(r.HeldMax))
		l.add("took", span(r.At.Sub(r.Started)))
	}
	if r.State == Failed || r.State == PausedState {
		l.add("message", r.Message)
	}
	_, err := fmt.Fprintf(w, "%s%s\n", r.At.In(st.zone()).Format("15:04:05"), l.String())
	return err
}

// line is a sequence of key=value pairs; a value with a space or a quote in it
// is quoted.
type line struct{ strings.Builder }

func (l *line) add(key, value string) {
	value = Clean(value)
	if value == "" || strings.ContainsAny(value, " \"=") {
		value = strconv.Quote(value)
	}
	l.WriteString(" " + key + "=" + value)
}

// RolloutScreen draws the live screen.
func RolloutScreen(w io.Writer, r Rollout, st Style) error {
	p := page{style: st}
	p.line("%s  %s%s  %s  +%s", painted{r.Workload, bold}, r.Namespace, r.title(), st.clock(r.At), span(r.At.Sub(r.Started)))
	p.field("state", "%s", r.verdict())
	p.field("serving", "%d of %d ready     (your strategy allows %d)", r.Ready, r.Replicas, r.Least)
	p.field("new", "%s %d ready   %d pulling   %d held   %d to come", r.bar(st), r.New.Ready, r.New.Pulling, r.New.Held, r.New.ToCome)
	p.field("old", "%d ready", r.OldReady)
	p.steps(r.Steps)
	for _, a := range r.Accounts {
		p.budget(a)
	}
	if r.New.Held > 0 {
		p.field("held", "%s: %s", painted{dash(r.Reason), warn}, dash(r.Message))
		p.field("next", "%s, at the latest %s", st.span(r.Next), st.clock(r.Until))
	}
	p.field("429", "own %d   pulls failed %d", r.Errors.Throttled, r.Errors.Pull)
	if r.Errors.Words != "" {
		p.field("kubelet", "%s", painted{r.Errors.Words, bad})
	}
	for _, entry := range r.Log {
		p.field("", "%s", painted{entry, faint})
	}
	return p.flush(w)
}

func (p *page) budget(a Account) {
	switch {
	case a.Unlimited:
		p.field("budget", "%s   no limit known", a.Name)
	case a.Free == nil:
		p.field("budget", "%s   not known", a.Name)
	default:
		p.field("budget", "%s   %d free (read %s ago)", a.Name, *a.Free, p.style.age(a.ReadAt))
	}
}

func (r Rollout) title() string {
	var text strings.Builder
	if r.To != "" {
		text.WriteString("  rev " + dash(r.From) + " -> " + r.To)
	}
	for _, change := range r.Images {
		text.WriteString("  " + change.Container + " " + tail(change.From) + " -> " + tail(change.To))
	}
	return text.String()
}

// tail is the tag or the start of the digest of an image.
func tail(image string) string {
	if _, digest, ok := strings.Cut(image, "@sha256:"); ok {
		return digest[:min(8, len(digest))]
	}
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[i+1:]
	}
	return "latest"
}

func (r Rollout) verdict() painted {
	switch r.State {
	case Done:
		return painted{"done in " + span(r.At.Sub(r.Started)), good}
	case HeldState:
		return painted{"held: " + dash(r.Reason), warn}
	case PausedState:
		return painted{"paused: " + r.Message, warn}
	case Failed:
		return painted{"failed: " + r.Message, bad}
	}
	return painted{"going ahead", good}
}

// bar draws the new revision: # ready, + pulling, - held, . to come.
func (r Rollout) bar(st Style) string {
	width := 50
	if st.Width > 0 {
		width = min(max(st.Width-70, 10), 50)
	}
	total := max(r.New.Ready+r.New.Pulling+r.New.Held+r.New.ToCome, 1)
	parts := []struct {
		n    int32
		mark string
	}{{r.New.Ready, "#"}, {r.New.Pulling, "+"}, {r.New.Held, "-"}, {r.New.ToCome, "."}}
	var bar strings.Builder
	done, drawn := int32(0), 0
	for _, part := range parts {
		done += part.n
		end := int(done) * width / int(total)
		bar.WriteString(strings.Repeat(part.mark, end-drawn))
		drawn = end
	}
	return "[" + bar.String() + strings.Repeat(" ", width-drawn) + "]"
}

// Keys names the keys of the live screen.
func Keys(w io.Writer, st Style) error {
	p := page{style: st}
	p.field("keys", "e explain   u undo   r release (asks why)   q stop watching")
	return p.flush(w)
}

// Cut shortens a drawn line to width columns, colours not counted; 0 is no limit.
func Cut(text string, width int) string {
	if width <= 0 {
		return text
	}
	columns, inEscape := 0, false
	for i, r := range text {
		switch {
		case inEscape:
			inEscape = r != 'm'
		case r == '\x1b':
			inEscape = true
		case columns == width:
			return text[:i] + "\x1b[0m"
		default:
			columns++
		}
	}
	return text
}

// Priced is what a rollout is said to cost before it starts.
type Priced struct {
	Cost    Cost
	Outcome string
	Late    bool
}

// PriceLine says it for a person.
func PriceLine(w io.Writer, m Priced, st Style) error {
	p := page{style: st}
	p.field("price", "%s. %s", m.Cost.sentence(st), m.Outcome)
	for _, a := range m.Cost.Accounts {
		p.account(a)
	}
	for _, u := range m.Cost.Unknown {
		p.field("unknown", "%s", u)
	}
	p.gap()
	return p.flush(w)
}

// PriceFields says it in key=value pairs.
func PriceFields(w io.Writer, m Priced, st Style) error {
	var l line
	l.add("state", map[bool]string{false: "starting", true: "refused"}[m.Late])
	l.add("price", strings.ReplaceAll(m.Cost.Total().String(), " - ", ".."))
	for _, a := range m.Cost.Accounts {
		if a.Free != nil {
			l.add("free", fmt.Sprint(*a.Free))
			break
		}
	}
	if !m.Cost.Finish.IsZero() {
		l.add("done", strings.ReplaceAll(st.span(m.Cost.Finish), " - ", ".."))
	}
	l.add("message", m.Outcome)
	_, err := fmt.Fprintf(w, "%s%s\n", st.Now.In(st.zone()).Format("15:04:05"), l.String())
	return err
}
