package scenario_test

import (
	"reflect"
	"testing"

	"github.com/pullpace/pace/simulate/scenario"
)

func stories(t *testing.T) []scenario.Story {
	t.Helper()
	all, err := scenario.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func decoded(t *testing.T, data []byte) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStoriesAreToldAndHaveGoals(t *testing.T) {
	t.Parallel()
	all := stories(t)
	if len(all) < 10 {
		t.Fatalf("%d stories are built in, want the nine that operators know and a game day", len(all))
	}
	for _, story := range all {
		s := decoded(t, story.YAML)
		if len(s.Spec.Goals) == 0 || story.Story == "" {
			t.Errorf("%s has %d goals and the story %q, want both", story.Name, len(s.Spec.Goals), story.Story)
		}
	}
}

// TestStoriesUseEveryFaultAndEntry keeps a kind of event from being without an
// example that is run.
func TestStoriesUseEveryFaultAndEntry(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	modes := map[string]bool{}
	for _, story := range stories(t) {
		spec := decoded(t, story.YAML).Spec
		for _, e := range spec.Timeline {
			mark(used, e)
		}
		for _, f := range spec.Faults {
			mark(used, f)
			if f.Outage != nil {
				modes[string(f.Outage.Mode)] = true
			}
			if f.HeaderLies != nil {
				modes[string(f.HeaderLies.Mode)] = true
			}
		}
		for _, p := range spec.Policies {
			mark(used, p)
		}
	}
	for _, kind := range []reflect.Type{reflect.TypeFor[scenario.Entry](), reflect.TypeFor[scenario.Fault](), reflect.TypeFor[scenario.Policy]()} {
		for f := range kind.Fields() {
			if f.Type.Kind() == reflect.Pointer && !used[f.Name] {
				t.Errorf("no story has a %s", f.Name)
			}
		}
	}
	for _, mode := range []string{"Timeout", "Reset", "503", "HeadOnly429", "Slow", "Offset", "Stuck", "Missing"} {
		if !modes[mode] {
			t.Errorf("no story has the mode %s", mode)
		}
	}
}

// mark notes the pointers of a struct that are set.
func mark(used map[string]bool, of any) {
	v := reflect.ValueOf(of)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			used[v.Type().Field(i).Name] = true
		}
	}
}
