package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Edit is another value for a field of a file.
type Edit struct {
	// Path of the field, with or without spec., as registries[0].limiters[0].limit or,
	// by name, registries[hub].limiters[0].limit.
	Path string
	// Value as YAML, as 200, 6h or [a, b]. A number for a list of named things, as 3
	// for mirrors, cuts the list to so many or repeats its last under other names.
	Value string
}

// With reads a scenario with edits, as strictly as one that was written so. An edit
// that names something that a list does not have is an error.
func With(data []byte, edits ...Edit) (*Scenario, error) {
	root, err := parse(data)
	if err != nil {
		return nil, err
	}
	for _, e := range edits {
		if err := e.apply(root); err != nil {
			return nil, Errors{{Path: e.Path, Problem: err.Error()}}
		}
	}
	return decode(root)
}

// apply sets the value in the tree and makes the mappings that are not there.
func (e Edit) apply(root *yaml.Node) error {
	var value yaml.Node
	if err := yaml.Unmarshal([]byte(e.Value), &value); err != nil || len(value.Content) != 1 {
		return fmt.Errorf("%q is no YAML", e.Value)
	}
	node, err := find(root, e.Path)
	if err != nil {
		return err
	}
	if count, ok := countOf(node, value.Content[0]); ok {
		return resize(node, count)
	}
	// The line stays: errors are to be found where the file says something else.
	line := node.Line
	*node = *value.Content[0]
	relocate(node, line)
	return nil
}

// At is the value that a file has at a path, as a scalar; of a list, how many
// entries it has. It is empty where the file leaves the field to its default.
func At(data []byte, path string) (string, error) {
	root, err := parse(data)
	if err != nil {
		return "", err
	}
	node, err := find(root, path)
	switch {
	case err != nil:
		return "", Errors{{Path: path, Problem: err.Error()}}
	case node.Kind == yaml.SequenceNode:
		return strconv.Itoa(len(node.Content)), nil
	case node.Kind != yaml.ScalarNode || isNull(node):
		return "", nil
	}
	return node.Value, nil
}

// find walks down a path.
func find(root *yaml.Node, path string) (*yaml.Node, error) {
	steps, err := split(path)
	if err != nil {
		return nil, err
	}
	if steps[0] != "spec" && steps[0] != "metadata" {
		steps = slices.Insert(steps, 0, "spec")
	}
	node := root
	for _, step := range steps {
		if node, err = descend(node, step); err != nil {
			return nil, err
		}
	}
	return node, nil
}

// maxCopies bounds what a number makes of a list.
const maxCopies = 10_000

// countOf is how long a list of named things is to be.
func countOf(list, value *yaml.Node) (int, bool) {
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 || value.Tag != "!!int" {
		return 0, false
	}
	for _, c := range list.Content {
		if nameOf(c) == nil {
			return 0, false
		}
	}
	count, err := strconv.Atoi(value.Value)
	return count, err == nil
}

// resize cuts a list or repeats its last entry.
func resize(list *yaml.Node, count int) error {
	if count < 0 || count > maxCopies {
		return fmt.Errorf("wants %d entries, 0 to %d can be had", count, maxCopies)
	}
	last := list.Content[len(list.Content)-1]
	list.Content = list.Content[:min(count, len(list.Content))]
	for n := len(list.Content) + 1; n <= count; n++ {
		entry := copied(last)
		name := nameOf(entry)
		name.Value += "-" + strconv.Itoa(n)
		list.Content = append(list.Content, entry)
	}
	return nil
}

// nameOf is what an entry of a list is called; nil: it has no name.
func nameOf(n *yaml.Node) *yaml.Node {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			return n.Content[i+1]
		}
	}
	return nil
}

// relocate puts a value and all that is in it on a line.
func relocate(n *yaml.Node, line int) {
	n.Line = line
	for _, c := range n.Content {
		relocate(c, line)
	}
}

// split is a path as names of fields and, in brackets, places.
func split(path string) ([]string, error) {
	var steps []string
	for _, part := range strings.Split(path, ".") {
		field, rest, indexed := strings.Cut(part, "[")
		if field == "" || strings.Contains(field, "]") {
			return nil, fmt.Errorf("%q is no path such as registries[0].limiters[0].limit", path)
		}
		steps = append(steps, field)
		for indexed {
			place, after, closed := strings.Cut(rest, "]")
			if !closed || place == "" || after != "" && !strings.HasPrefix(after, "[") {
				return nil, fmt.Errorf("%q is no path such as registries[0].limiters[0].limit", path)
			}
			steps = append(steps, "["+place)
			rest, indexed = strings.CutPrefix(after, "[")
		}
	}
	return steps, nil
}

// descend is one step down; the field of a mapping is made where it is not there.
func descend(n *yaml.Node, step string) (*yaml.Node, error) {
	if n.Kind == yaml.AliasNode {
		*n = *copied(n.Alias)
	}
	if place, ok := strings.CutPrefix(step, "["); ok {
		return item(n, place)
	}
	if isNull(n) {
		*n = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line}
	}
	if n.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("has a %s where %s is looked for", kindOf(n), step)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == step {
			return n.Content[i+1], nil
		}
	}
	key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: step, Line: n.Line}
	made := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line}
	n.Content = append(n.Content, key, made)
	return made, nil
}

// item is the entry of a list at a place or of a name; budgets are a mapping by
// name.
func item(n *yaml.Node, place string) (*yaml.Node, error) {
	i, err := strconv.Atoi(place)
	if n.Kind == yaml.MappingNode || isNull(n) && err != nil {
		return descend(n, place)
	}
	if err == nil && i >= 0 && i < len(n.Content) && n.Kind == yaml.SequenceNode {
		return n.Content[i], nil
	}
	for _, c := range n.Content {
		if name := nameOf(c); name != nil && name.Value == place {
			return c, nil
		}
	}
	return nil, fmt.Errorf("has no [%s] in a list of %d", place, len(n.Content))
}

// copied is a tree that shares nothing, so that an edit changes one place of those
// that an alias stands for.
func copied(n *yaml.Node) *yaml.Node {
	out := *n
	out.Anchor = ""
	out.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out.Content[i] = copied(c)
	}
	return &out
}
