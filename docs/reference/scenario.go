package reference

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// Scenario is the page of the scenario file.
func Scenario(schema apiextensionsv1.JSONSchemaProps) string {
	var b strings.Builder
	b.WriteString(generated + `# Scenario

The file that ` + "`pace simulate`" + ` runs, as strict YAML: an unknown field, a missing unit or a name that leads nowhere is an
error, and all errors are named at once with their lines. The same as a JSON schema, for editors: [scenario.schema.json](scenario.schema.json).
How to write and read one: [Simulate](../simulate.md).

- Sizes have one of the units Ki, Mi, Gi, kB, MB, GB, B; bandwidths bps, Kbps, Mbps, Gbps, MBps; durations are as in Go (90s, 25m, 6h); rates
  are a number and a time (10/s, 100/6h).
- A rate or bandwidth of 0 is unlimited, everywhere. A limit of 0 allows none.
- Times of ` + "`timeline` and `faults`" + ` count from the start of the run.
- Before time zero the replicas of each workload are Running and Ready, their images on their nodes, the DaemonSets' images on all; nothing was charged.
- ` + "`policies[].pace.policy`" + ` is the spec of a PacePolicy and ` + "`policies[].pace.budgets`" + ` holds specs of PullBudgets by the names of registries, both
  as [a cluster takes them](api.md) and checked by the same code; a budget's ` + "`registry`" + ` may be left out.

## metadata

| field | type | meaning |
| --- | --- | --- |
`)
	fields(&b, "metadata", schema.Properties["metadata"])
	b.WriteString("\n## spec\n\n| field | type | meaning |\n| --- | --- | --- |\n")
	spec := schema.Properties["spec"]
	prune(spec.Properties["policies"].Items.Schema)
	fields(&b, "spec", spec)
	b.WriteString("\n## Metrics that goals may name\n\nThey are the figures of a policy in the result.\n\n| metric | counts |\n| --- | --- |\n")
	for _, m := range report.Metrics() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", m.Name, cell(m.Unit))
	}
	return b.String()
}

// prune keeps what the page of the API says out of this one.
func prune(policy *apiextensionsv1.JSONSchemaProps) {
	pace := policy.Properties["pace"]
	for _, part := range []string{"policy", "budgets"} {
		short := pace.Properties[part]
		short.Properties, short.AdditionalProperties = nil, nil
		pace.Properties[part] = short
	}
}

// schemas makes a schema of types, their comments and their defaults.
type schemas struct {
	source   Source
	defaults map[string][]scenario.Default
	policy   apiextensionsv1.JSONSchemaProps
	budget   apiextensionsv1.JSONSchemaProps
}

// ScenarioSchema is the schema of a scenario file. What policies and budgets are
// comes from their CRDs.
func ScenarioSchema(source Source, crds []*apiextensionsv1.CustomResourceDefinition) (apiextensionsv1.JSONSchemaProps, error) {
	s := schemas{source: source, defaults: map[string][]scenario.Default{}}
	for _, d := range scenario.Defaults() {
		s.defaults[d.Field] = append(s.defaults[d.Field], d)
	}
	for _, crd := range crds {
		spec := closed(crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"])
		switch crd.Spec.Names.Kind {
		case "PacePolicy":
			s.policy = spec
		case "PullBudget":
			s.budget = spec
			s.budget.Required = nil
		}
	}
	out, err := s.of("", reflect.TypeFor[scenario.Scenario]())
	if err != nil {
		return out, fmt.Errorf("making the schema of scenarios: %w", err)
	}
	out.Schema = "https://json-schema.org/draft/2020-12/schema"
	out.Title = "Scenario of pace simulate"
	out.Properties["kind"] = word(scenario.Kind)
	out.Properties["apiVersion"] = word(v1alpha1.GroupVersion().String())
	return out, nil
}

// closed is a schema that knows no further fields, and without what only an API
// server understands.
func closed(s apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
	s.XValidations, s.XListType, s.XListMapKeys, s.XMapType = nil, nil, nil, nil
	if s.Items != nil && s.Items.Schema != nil {
		item := closed(*s.Items.Schema)
		s.Items = &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &item}
	}
	if len(s.Properties) == 0 {
		return s
	}
	properties := map[string]apiextensionsv1.JSONSchemaProps{}
	for name, p := range s.Properties {
		properties[name] = closed(p)
	}
	s.Properties = properties
	s.AdditionalProperties = &apiextensionsv1.JSONSchemaPropsOrBool{Allows: false}
	return s
}

// of is the schema of a type at a place of the file.
func (s schemas) of(path string, t reflect.Type) (apiextensionsv1.JSONSchemaProps, error) {
	if known, ok := s.quantity(t); ok {
		return known, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(path, t.Elem())
	case reflect.Slice:
		item, err := s.of(path+"[]", t.Elem())
		return apiextensionsv1.JSONSchemaProps{Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &item}}, err
	case reflect.Bool:
		return apiextensionsv1.JSONSchemaProps{Type: "boolean"}, nil
	case reflect.Float64:
		return apiextensionsv1.JSONSchemaProps{Type: "number"}, nil
	case reflect.String:
		return words(s.source.Constants(t.Name())...), nil
	case reflect.Struct:
		return s.structure(path, t)
	case reflect.Map:
		item, err := s.of(path+"[]", t.Elem())
		return apiextensionsv1.JSONSchemaProps{Type: "object", AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Allows: true, Schema: &item}}, err
	}
	if t.ConvertibleTo(reflect.TypeFor[int64]()) {
		return apiextensionsv1.JSONSchemaProps{Type: "integer"}, nil
	}
	return apiextensionsv1.JSONSchemaProps{}, fmt.Errorf("%s is of type %s, which a schema cannot say", path, t)
}

// quantity is the schema of what reads itself, and of what other schemas say.
func (s schemas) quantity(t reflect.Type) (apiextensionsv1.JSONSchemaProps, bool) {
	const number = `^([0-9]+(\.[0-9]+)?(e[0-9]+)? ?`
	switch t {
	case reflect.TypeFor[time.Duration]():
		return text("duration", `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`), true
	case reflect.TypeFor[scenario.Size]():
		return text("size", number+`(Ki|Mi|Gi|kB|MB|GB|B))$`), true
	case reflect.TypeFor[scenario.Bandwidth]():
		return text("bandwidth", number+`(bps|Kbps|Mbps|Gbps|MBps))$`), true
	case reflect.TypeFor[scenario.Rate]():
		return text("rate", `^[0-9]+(\.[0-9]+)?/.+$`), true
	case reflect.TypeFor[scenario.Value](), reflect.TypeFor[scenario.Portion]():
		return apiextensionsv1.JSONSchemaProps{Title: "number or text", AnyOf: []apiextensionsv1.JSONSchemaProps{{Type: "number"}, {Type: "string"}}}, true
	case reflect.TypeFor[scenario.Names]():
		list := apiextensionsv1.JSONSchemaProps{Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &apiextensionsv1.JSONSchemaProps{Type: "string"}}}
		return apiextensionsv1.JSONSchemaProps{Title: "name or list of names", AnyOf: []apiextensionsv1.JSONSchemaProps{{Type: "string"}, list}}, true
	case reflect.TypeFor[scenario.Class]():
		names := []string{"pre-pull"}
		for _, c := range core.Classes() {
			names = append(names, c.String())
		}
		return words(names...), true
	case reflect.TypeFor[v1alpha1.PacePolicySpec]():
		return s.policy, true
	case reflect.TypeFor[v1alpha1.PullBudgetSpec]():
		return s.budget, true
	}
	return apiextensionsv1.JSONSchemaProps{}, t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// text is a quantity with a unit; zero needs none.
func text(title, pattern string) apiextensionsv1.JSONSchemaProps {
	zero := apiextensionsv1.JSONSchemaProps{Enum: []apiextensionsv1.JSON{{Raw: []byte("0")}, {Raw: []byte(`"0"`)}}}
	return apiextensionsv1.JSONSchemaProps{Title: title, AnyOf: []apiextensionsv1.JSONSchemaProps{{Type: "string", Pattern: pattern}, zero}}
}

// words is text, of a closed list if there is one. A word of digits may stand
// without quotes.
func words(list ...string) apiextensionsv1.JSONSchemaProps {
	out := apiextensionsv1.JSONSchemaProps{Type: "string"}
	for _, w := range list {
		quoted, _ := json.Marshal(w)
		out.Enum = append(out.Enum, apiextensionsv1.JSON{Raw: quoted})
		if strings.Trim(w, "0123456789") == "" {
			out.Type = ""
			out.Enum = append(out.Enum, apiextensionsv1.JSON{Raw: []byte(w)})
		}
	}
	return out
}

func word(w string) apiextensionsv1.JSONSchemaProps { return words(w) }

func (s schemas) structure(path string, t reflect.Type) (apiextensionsv1.JSONSchemaProps, error) {
	out := apiextensionsv1.JSONSchemaProps{
		Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{},
		AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Allows: false},
	}
	var alternatives []string
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		full := strings.TrimPrefix(strings.TrimPrefix(path+"."+name, "."), "spec.")
		property, err := s.of(full, f.Type)
		if err != nil {
			return out, err
		}
		property.Description = s.source.Comment(t.Name(), f.Name)
		if property.Description == "" {
			property.Description = s.source.Comment(f.Type.Name(), "")
		}
		if err := s.addDefault(&property, full); err != nil {
			return out, err
		}
		out.Properties[name] = property
		if options == "" {
			out.Required = append(out.Required, name)
		}
		if f.Type.Kind() == reflect.Pointer {
			alternatives = append(alternatives, name)
		}
	}
	if len(alternatives) > 1 {
		for _, name := range alternatives {
			out.OneOf = append(out.OneOf, apiextensionsv1.JSONSchemaProps{Required: []string{name}})
		}
	}
	return out, nil
}

// addDefault says what a field is when it is left out, and where that comes from.
func (s schemas) addDefault(property *apiextensionsv1.JSONSchemaProps, field string) error {
	for _, d := range s.defaults[field] {
		when := ""
		if d.If != "" {
			when = " if " + d.If
		}
		property.Description += fmt.Sprintf(" Default%s: %s (%s).", when, d.Value, d.Source)
		if d.If != "" {
			continue
		}
		value, err := yaml.YAMLToJSON([]byte(d.Value))
		if err != nil {
			return fmt.Errorf("reading the default of %s: %w", field, err)
		}
		property.Default = &apiextensionsv1.JSON{Raw: slices.Clone(value)}
	}
	return nil
}
