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
	// Value as YAML, as 200, 6h or [a, b].
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
	steps, err := split(e.Path)
	if err != nil {
		return err
	}
	if steps[0] != "spec" && steps[0] != "metadata" {
		steps = slices.Insert(steps, 0, "spec")
	}
	node := root
	for _, step := range steps {
		if node, err = descend(node, step); err != nil {
			return err
		}
	}
	// The line stays: errors are to be found where the file says something else.
	line := node.Line
	*node = *value.Content[0]
	relocate(node, line)
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
		if field == "" {
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
	if n.Kind == yaml.MappingNode {
		return descend(n, place)
	}
	if i, err := strconv.Atoi(place); err == nil && i >= 0 && i < len(n.Content) && n.Kind == yaml.SequenceNode {
		return n.Content[i], nil
	}
	for _, c := range n.Content {
		for i := 0; c.Kind == yaml.MappingNode && i+1 < len(c.Content); i += 2 {
			if c.Content[i].Value == "name" && c.Content[i+1].Value == place {
				return c, nil
			}
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
