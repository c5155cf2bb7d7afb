package scenario

import (
	"embed"
	"fmt"
)

// builtinFiles are the scenarios that every operator knows.
//
//go:embed builtin/*.yaml
var builtinFiles embed.FS

// Story is a scenario that is built in.
type Story struct {
	// Name is that of the scenario.
	Name string
	// Story says in a line what happens.
	Story string
	// YAML is the file, with comments.
	YAML []byte
}

// BuiltIn lists the scenarios that are built in, by name.
func BuiltIn() ([]Story, error) {
	entries, err := builtinFiles.ReadDir("builtin")
	if err != nil {
		return nil, fmt.Errorf("listing built-in scenarios: %w", err)
	}
	var out []Story
	for _, e := range entries {
		data, err := builtinFiles.ReadFile("builtin/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading a built-in scenario: %w", err)
		}
		s, err := Decode(data)
		if err != nil {
			return nil, fmt.Errorf("decoding %s: %w", e.Name(), err)
		}
		if s.Metadata.Name+".yaml" != e.Name() {
			return nil, fmt.Errorf("%s holds a scenario of the name %s", e.Name(), s.Metadata.Name)
		}
		out = append(out, Story{Name: s.Metadata.Name, Story: s.Metadata.Story, YAML: data})
	}
	return out, nil
}
