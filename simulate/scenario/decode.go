package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// maxBytes bounds a file, maxNodes what its aliases may unfold it to.
const (
	maxBytes = 2 << 20
	maxNodes = 1 << 19
)

// Decode reads a scenario, fills its defaults and checks it. The error lists
// everything that is wrong, as Errors.
func Decode(data []byte) (*Scenario, error) {
	root, err := parse(data)
	if err != nil {
		return nil, err
	}
	return decode(root)
}

// parse reads the only document of a file.
func parse(data []byte) (*yaml.Node, error) {
	if len(data) > maxBytes {
		return nil, Errors{{Problem: fmt.Sprintf("is %d bytes long, a scenario has %d at most", len(data), maxBytes)}}
	}
	var document, further yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, Errors{{Problem: "is empty"}}
	case err != nil:
		return nil, Errors{syntax(err)}
	}
	switch err := decoder.Decode(&further); {
	case errors.Is(err, io.EOF):
		return document.Content[0], nil
	case err != nil:
		return nil, Errors{syntax(err)}
	}
	return nil, Errors{{Line: further.Line, Problem: "is a second document: a file holds one scenario"}}
}

// syntaxLine is how the parser says where it stopped.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func syntax(err error) Error {
	text := err.Error()
	found := syntaxLine.FindStringSubmatch(text)
	if found == nil {
		return Error{Problem: text}
	}
	line, _ := strconv.Atoi(found[1])
	return Error{Line: line, Problem: "is no YAML: " + strings.TrimPrefix(text, found[0])}
}

func decode(root *yaml.Node) (*Scenario, error) {
	d := newDecoder()
	s := &Scenario{}
	d.value("", root, reflect.ValueOf(s).Elem())
	if d.nodes > maxNodes || len(d.errs) > maxErrors {
		return nil, d.errs.sorted()
	}
	if s.Kind != Kind && !d.failed("kind") {
		d.fail("kind", "is %q, want %s", s.Kind, Kind)
	}
	if want := v1alpha1.GroupVersion().String(); s.APIVersion != want && !d.failed("apiVersion") {
		d.fail("apiVersion", "is %q, want %s", s.APIVersion, want)
	}
	d.implyEgress(&s.Spec)
	d.implyRegistries(&s.Spec)
	d.validate(s)
	s.defaulted = d.rows
	if err := d.errs.sorted(); err != nil {
		return nil, err
	}
	return s, nil
}

// DefaultEgress is the group of pools that name none.
const DefaultEgress = "default"

// implyEgress adds the group that pools without one are in.
func (d *decoder) implyEgress(s *Spec) {
	used := false
	for _, p := range s.NodePools {
		used = used || p.Egress == DefaultEgress
	}
	for _, m := range s.Mirrors {
		used = used || m.Egress == DefaultEgress
	}
	for _, e := range s.Egress {
		used = used && e.Name != DefaultEgress
	}
	if used && !d.failed("spec.egress") {
		s.Egress = append(s.Egress, Egress{Name: DefaultEgress, IPs: 1})
	}
}

// implyRegistries completes budgets by the host of the registry that they are
// filed under.
func (d *decoder) implyRegistries(s *Spec) {
	hosts := map[string]string{}
	for _, r := range s.Registries {
		hosts[r.Name] = r.Host
	}
	for _, p := range s.Policies {
		if p.Pace == nil {
			continue
		}
		for name, budget := range p.Pace.Budgets {
			if budget.Registry == "" {
				budget.Registry = hosts[name]
				p.Pace.Budgets[name] = budget
			}
		}
	}
}
