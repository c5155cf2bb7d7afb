package v1alpha1_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/manifests"
)

// compiled is a CRD as the API server compiles it.
type compiled struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

func compile(t *testing.T) map[string]compiled {
	t.Helper()
	kinds := map[string]compiled{}
	for _, file := range []string{"crd/pullpace.dev_pullbudgets.yaml", "crd/pullpace.dev_pacepolicies.yaml"} {
		text, err := manifests.Files().ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v1 apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &v1); err != nil {
			t.Fatal(err)
		}
		var internal apiextensions.CustomResourceDefinition
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, &internal, nil); err != nil {
			t.Fatal(err)
		}
		props := internal.Spec.Validation
		if props == nil {
			props = internal.Spec.Versions[0].Schema
		}
		structural, err := schema.NewStructural(props.OpenAPIV3Schema)
		if err != nil {
			t.Fatal(err)
		}
		validator, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
		if err != nil {
			t.Fatal(err)
		}
		kinds[v1.Spec.Names.Kind] = compiled{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}
	}
	return kinds
}

// check is what the API server does to an object on creation: defaults, schema,
// rules.
func (c compiled) check(t *testing.T, manifest string) field.ErrorList {
	t.Helper()
	var obj map[string]any
	text, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	// Whole numbers as integers, as the API server reads them.
	if err := json.Unmarshal(text, &obj); err != nil {
		t.Fatal(err)
	}
	defaulting.Default(obj, c.structural)
	errs := validation.ValidateCustomResource(nil, obj, c.validator)
	if len(errs) > 0 {
		return errs
	}
	errs, _ = c.rules.Validate(t.Context(), nil, c.structural, obj, nil, celconfig.RuntimeCELCostBudget)
	return errs
}

func TestSamplesAreAccepted(t *testing.T) {
	t.Parallel()
	kinds := compile(t)
	files, err := fs.Glob(manifests.Files(), "samples/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("samples %v, %v: want 6 at least", files, err)
	}
	for _, file := range files {
		text, err := manifests.Files().ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var meta struct{ Kind string }
		if err := yaml.Unmarshal(text, &meta); err != nil {
			t.Fatal(err)
		}
		if errs := kinds[meta.Kind].check(t, string(text)); len(errs) > 0 {
			t.Errorf("%s is refused: %v", file, errs)
		}
	}
}

func TestBadObjectsAreRefused(t *testing.T) {
	t.Parallel()
	kinds := compile(t)
	tests := map[string]struct {
		kind, spec string
		want       string // part of the error
	}{
		"no registry":                     {"PullBudget", `{}`, "spec.registry"},
		"a URL as registry":               {"PullBudget", `{registry: "https://docker.io"}`, "spec.registry"},
		"an unknown identity":             {"PullBudget", `{registry: docker.io, identity: Somebody}`, "spec.identity"},
		"credentials without a secret":    {"PullBudget", `{registry: docker.io, identity: Credentials}`, "needs spec.credentials.secretName"},
		"a secret without credentials":    {"PullBudget", `{registry: docker.io, credentials: {secretName: hub}}`, "only for identity Credentials"},
		"credentials for another host":    {"PullBudget", `{registry: docker.io, identity: Credentials, credentials: {secretName: hub}, probe: {endpoint: "https://evil.example"}}`, "carries no credentials"},
		"a plain http endpoint":           {"PullBudget", `{registry: docker.io, probe: {endpoint: "http://registry"}}`, "spec.probe.endpoint"},
		"fixed without numbers":           {"PullBudget", `{registry: docker.io, limit: {source: Fixed}}`, "needs either pulls and window"},
		"fixed with both":                 {"PullBudget", `{registry: docker.io, limit: {source: Fixed, pulls: 1, window: 1m, rate: "1", burst: 1}}`, "needs either pulls and window"},
		"numbers for an observed limit":   {"PullBudget", `{registry: docker.io, limit: {pulls: 100, window: 1h}}`, "only for limit.source Fixed"},
		"a limit of nothing":              {"PullBudget", `{registry: docker.io, limit: {source: Fixed, pulls: 0, window: 1h}}`, "pulls"},
		"a reserve of everything":         {"PullBudget", `{registry: docker.io, reserve: {percent: 100}}`, "spec.reserve.percent"},
		"a name for groups of one node":   {"PullBudget", `{registry: docker.io, egress: {perNode: true, name: nat}}`, "perNode makes a group of each node"},
		"an unknown mode":                 {"PacePolicy", `{mode: Maybe}`, "spec.mode"},
		"an unknown class":                {"PacePolicy", `{defaultClass: urgent}`, "spec.defaultClass"},
		"a hold for ever":                 {"PacePolicy", `{maxHold: 8760h}`, "maxHold must be between"},
		"a wave of racks":                 {"PacePolicy", `{waves: {by: Rack}}`, "spec.waves.by"},
		"a weight of nothing":             {"PacePolicy", `{weights: [{namespace: shop, weight: 0}]}`, "weight"},
		"a sample of no pods":             {"PacePolicy", `{pauseOn: {minPods: 0}}`, "minPods"},
		"something else for delete-first": {"PacePolicy", `{deleteFirst: Hope}`, "spec.deleteFirst"},
	}
	for name, tc := range tests {
		manifest := fmt.Sprintf("apiVersion: pullpace.dev/v1alpha1\nkind: %s\nmetadata: {name: x}\nspec: %s\n", tc.kind, tc.spec)
		errs := kinds[tc.kind].check(t, manifest)
		if len(errs) == 0 {
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(errs.ToAggregate().Error(), tc.want) {
			t.Errorf("%s: %v, want it to say %q", name, errs, tc.want)
		}
	}
}
