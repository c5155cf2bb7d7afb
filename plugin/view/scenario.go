package view

import "io"

// Defaulted is the answer of `simulate --explain`: what is in force without being
// written anywhere.
type Defaulted struct {
	// Scenario is the file's name; empty: no file was named, and these are the
	// defaults of any.
	Scenario string `json:"scenario,omitempty"`
	// Fields are those of the scenario.
	Fields []DefaultedField `json:"fields"`
	// Policy is the table of what a PacePolicy and a PullBudget say by default.
	Policy []DefaultedField `json:"policy"`
}

// DefaultedField is one default.
type DefaultedField struct {
	Field  string `json:"field"`
	Value  string `json:"value"`
	Source string `json:"source,omitempty"`
}

// Names implements `-o name`.
func (d Defaulted) Names() []string {
	names := make([]string, len(d.Fields))
	for i, f := range d.Fields {
		names[i] = f.Field
	}
	return names
}

// DefaultedTable shows both tables.
func DefaultedTable(w io.Writer, d Defaulted, st Style) error {
	p := page{style: st}
	if d.Scenario == "" {
		p.line("What a scenario leaves out is this:")
	} else {
		p.line("%s leaves out %s; in force is this:", d.Scenario, noun(len(d.Fields), "field"))
	}
	p.gap()
	t := table{heads: []string{"FIELD", "DEFAULT", "FROM"}}
	for _, f := range d.Fields {
		t.row(f.Field, f.Value, f.Source)
	}
	p.table(t)
	p.gap()
	p.line("What a PacePolicy and a PullBudget leave out, here and in a cluster:")
	p.gap()
	t = table{heads: []string{"FIELD", "DEFAULT"}}
	for _, f := range d.Policy {
		t.row(f.Field, f.Value)
	}
	p.table(t)
	return p.flush(w)
}

// Stories is the answer of `simulate --list`.
type Stories struct {
	Items []Story `json:"items"`
}

// Story is a scenario that is built in.
type Story struct {
	Name  string `json:"name"`
	Story string `json:"story"`
}

// Names implements `-o name`.
func (s Stories) Names() []string {
	names := make([]string, len(s.Items))
	for i, item := range s.Items {
		names[i] = item.Name
	}
	return names
}

// StoriesTable lists them.
func StoriesTable(w io.Writer, s Stories, st Style) error {
	p := page{style: st}
	t := table{heads: []string{"NAME", "WHAT HAPPENS"}}
	for _, item := range s.Items {
		t.row(item.Name, item.Story)
	}
	p.table(t)
	if len(s.Items) > 0 {
		p.gap()
		p.next("%s", st.command("simulate", s.Items[0].Name))
	}
	return p.flush(w)
}
