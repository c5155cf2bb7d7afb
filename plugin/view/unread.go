package view

import (
	"fmt"
	"io"
)

// Unread is what can be told of registries that nobody reads.
type Unread struct {
	Registries []UnreadRegistry `json:"registries"`
	Unknown    []string         `json:"unknown,omitempty"`
}

// UnreadRegistry is one registry that images of pods come from.
type UnreadRegistry struct {
	Registry string `json:"registry"`
	Images   int    `json:"images"`
	Pods     int    `json:"pods"`
	Nodes    int    `json:"nodes"`
}

// Names implements `-o name`.
func (u Unread) Names() []string {
	names := make([]string, 0, len(u.Registries))
	for _, r := range u.Registries {
		names = append(names, r.Registry)
	}
	return names
}

// UnreadTable lists the registries, and what cannot be known without Pace.
func UnreadTable(program string) func(io.Writer, Unread, Style) error {
	return func(w io.Writer, u Unread, st Style) error {
		p := page{style: st}
		p.line("%s", painted{"UNKNOWN  Pace is not installed: nobody reads what these registries allow.", warn})
		t := table{heads: []string{"REGISTRY", ">IMAGES", ">PODS", ">NODES", "LIMIT", "LEFT"}}
		for _, r := range u.Registries {
			t.row(r.Registry, fmt.Sprint(r.Images), fmt.Sprint(r.Pods), fmt.Sprint(r.Nodes), "-", "-")
		}
		p.table(t)
		for _, text := range u.Unknown {
			p.field("unknown", "%s", painted{text, warn})
		}
		p.next("%s", program+" install --dry-run")
		return p.flush(w)
	}
}
