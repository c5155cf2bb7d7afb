package reference_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/docs/reference"
	"github.com/pullpace/pace/simulate/scenario"
)

func scenarioSchema(t *testing.T) apiextensionsv1.JSONSchemaProps {
	t.Helper()
	source, err := reference.ReadSource("../../simulate/scenario")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := reference.ScenarioSchema(source, crds(t))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func asJSON(t *testing.T, schema apiextensionsv1.JSONSchemaProps) string {
	t.Helper()
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// validator is the API server's, of the schema as it is published.
func validator(t *testing.T) validation.SchemaValidator {
	t.Helper()
	var published apiextensionsv1.JSONSchemaProps
	if err := json.Unmarshal([]byte(asJSON(t, scenarioSchema(t))), &published); err != nil {
		t.Fatal(err)
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(&published, &internal, nil); err != nil {
		t.Fatal(err)
	}
	v, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func stories(t *testing.T) map[string]map[string]any {
	t.Helper()
	all, err := scenario.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, s := range all {
		var object map[string]any
		if err := yaml.Unmarshal(s.YAML, &object); err != nil {
			t.Fatal(err)
		}
		out[s.Name] = object
	}
	return out
}

func TestStoriesKeepToTheSchema(t *testing.T) {
	t.Parallel()
	v := validator(t)
	for name, story := range stories(t) {
		for _, err := range v.Validate(story).Errors {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSchemaKnowsNoOtherFields puts a field that nobody knows into every mapping
// of every story: the schema and the decoder must both refuse each.
func TestSchemaKnowsNoOtherFields(t *testing.T) {
	t.Parallel()
	v := validator(t)
	tried := 0
	for name, story := range stories(t) {
		walk("", story, func(path string, mapping map[string]any) {
			if strings.HasSuffix(path, ".budgets") {
				return
			}
			tried++
			mapping["surprise"] = 1
			defer delete(mapping, "surprise")
			if v.Validate(story).IsValid() {
				t.Errorf("%s: the schema lets %s have any field", name, path)
			}
			text, err := yaml.Marshal(story)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := scenario.Decode(text); err == nil || !strings.Contains(err.Error(), "surprise: is no field") {
				t.Errorf("%s: the decoder lets %s have any field: %v", name, path, err)
			}
		})
	}
	if tried < 200 {
		t.Errorf("%d mappings were tried, want all of all stories", tried)
	}
}

// TestSchemaRefusesWhatHasNoUnit spot-checks what types say beyond names.
func TestSchemaRefusesWhatHasNoUnit(t *testing.T) {
	t.Parallel()
	v := validator(t)
	for path, value := range map[string]any{
		"horizon": 90, "seed": "x", "replications": 1.5, "policies": map[string]any{}, "registries": []any{map[string]any{"name": "hub"}},
		"faults":    []any{map[string]any{"at": "1m", "outage": map[string]any{"registry": "hub", "mode": "Down"}}},
		"timeline":  []any{map[string]any{"at": "1m"}},
		"images":    []any{map[string]any{"name": "a", "registry": "hub", "layers": []any{map[string]any{"digest": "a", "size": 30}}}},
		"nodePools": []any{map[string]any{"name": "a", "nic": "10Gb"}},
		"workloads": []any{map[string]any{"name": "a", "class": "vip"}},
	} {
		story := stories(t)["game-day"]
		story["spec"].(map[string]any)[path] = value
		if v.Validate(story).IsValid() {
			t.Errorf("the schema takes %v for %s", value, path)
		}
	}
}

// walk calls f for every mapping.
func walk(path string, at any, f func(path string, mapping map[string]any)) {
	switch at := at.(type) {
	case map[string]any:
		f(path, at)
		for name, value := range at {
			walk(path+"."+name, value, f)
		}
	case []any:
		for i, value := range at {
			walk(path+"["+strconv.Itoa(i)+"]", value, f)
		}
	}
}
