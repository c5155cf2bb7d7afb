package view

import (
	"io"
)

// Order is the answer of pause, resume and release: what a person asked for, and
// what was written.
type Order struct {
	Verb   string `json:"verb"`
	Reason string `json:"reason"`
	By     string `json:"by"`
	DryRun bool   `json:"dryRun,omitempty"`
	// Objects were written, Skipped needed nothing.
	Objects []Ordered `json:"objects"`
}

// Ordered is one object of an order.
type Ordered struct {
	Namespace string `json:"namespace,omitempty"`
	Object    string `json:"object"`
	// Change is what was done to it: "paused", "resumed", "released",
	// "unchanged".
	Change string `json:"change"`
	Note   string `json:"note,omitempty"`
}

// Names implements `-o name`.
func (o Order) Names() []string {
	names := make([]string, 0, len(o.Objects))
	for _, object := range o.Objects {
		names = append(names, object.Object)
	}
	return names
}

// OrderPage shows what was done.
func OrderPage(w io.Writer, o Order, st Style) error {
	p := page{style: st}
	if len(o.Objects) == 0 {
		p.line("Nothing is held: nothing to %s.", o.Verb)
	}
	suffix := ""
	if o.DryRun {
		suffix = " (dry run)"
	}
	for _, object := range o.Objects {
		where := ""
		if object.Namespace != "" {
			where = " in " + object.Namespace
		}
		p.line("%s%s %s%s", object.Object, where, object.Change, suffix)
		if object.Note != "" {
			p.field("", "%s", object.Note)
		}
	}
	if o.Verb == "release" && len(o.Objects) > 0 {
		p.next("%s", p.style.command("status", "-w"))
	} else {
		p.next("%s", p.style.command("status"))
	}
	return p.flush(w)
}
