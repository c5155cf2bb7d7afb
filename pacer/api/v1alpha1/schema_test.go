package v1alpha1_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/manifests"
	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// compiled is a CRD as the API server compiles it.
type compiled struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

func crdFiles() []string {
	return []string{"crd/pullpace.dev_pullbudgets.yaml", "crd/pullpace.dev_pacepolicies.yaml"}
}

// internalCRD reads a definition as the API server does.
func internalCRD(t *testing.T, file string) apiextensions.CustomResourceDefinition {
	t.Helper()
	text, err := manifests.Files().ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &v1); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	var internal apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, &internal, nil); err != nil {
		t.Fatal(err)
	}
	return internal
}

func compile(t *testing.T) map[string]compiled {
	t.Helper()
	kinds := map[string]compiled{}
	for _, file := range crdFiles() {
		internal := internalCRD(t, file)
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
		kinds[internal.Spec.Names.Kind] = compiled{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}
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
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, c.structural, obj)...)
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
		"fixed with a third number":       {"PullBudget", `{registry: docker.io, limit: {source: Fixed, pulls: 1, window: 1m, rate: "1"}}`, "needs either pulls and window"},
		"a window that is no duration":    {"PullBudget", `{registry: docker.io, limit: {source: Fixed, pulls: 1, window: soon}}`, "limit.window"},
		"a window of days":                {"PullBudget", `{registry: docker.io, limit: {source: Fixed, pulls: 1, window: 1d}}`, "limit.window"},
		"a window that is too long":       {"PullBudget", `{registry: docker.io, limit: {source: Fixed, pulls: 1, window: 99999999999h}}`, "limit.window"},
		"a negative window":               {"PullBudget", `{registry: docker.io, limit: {source: Fixed, pulls: 1, window: -1h}}`, "limit.window"},
		"a rate that is no number":        {"PullBudget", `{registry: docker.io, limit: {source: Fixed, rate: "1e1.5", burst: 1}}`, "limit.rate"},
		"a negative rate":                 {"PullBudget", `{registry: docker.io, limit: {source: Fixed, rate: "-1", burst: 1}}`, "limit.rate"},
		"an interval that is no duration": {"PullBudget", `{registry: docker.io, probe: {interval: often}}`, "probe.interval"},
		"an interval of milliseconds":     {"PullBudget", `{registry: docker.io, probe: {interval: 10ms}}`, "probe.interval"},
		"a realm that is a URL":           {"PullBudget", `{registry: docker.io, probe: {tokenRealmHosts: ["https://auth"]}}`, "tokenRealmHosts"},
		"an endpoint with a password":     {"PullBudget", `{registry: docker.io, probe: {endpoint: "https://me:secret@host"}}`, "spec.probe.endpoint"},
		"a base that is no duration":      {"PullBudget", `{registry: docker.io, breaker: {base: soon}}`, "breaker.base"},
		"a base above the most":           {"PullBudget", `{registry: docker.io, breaker: {base: 2m, max: 1m}}`, "breaker.base"},
		"more than all of what remains":   {"PullBudget", `{registry: docker.io, share: {fractionOfRemaining: "7"}}`, "fractionOfRemaining"},
		"a share that is no number":       {"PullBudget", `{registry: docker.io, share: {fractionOfRemaining: "1e1.5"}}`, "fractionOfRemaining"},
		"a negative guard":                {"PullBudget", `{registry: docker.io, share: {guard: -1}}`, "guard"},
		"a host with an empty label":      {"PullBudget", `{registry: registry..example}`, "spec.registry"},
		"a mirror that is a URL":          {"PullBudget", `{registry: docker.io, mirrors: ["https://mirror/v2"]}`, "spec.mirrors"},
		"an upstream that is a path":      {"PullBudget", `{registry: docker.io, upstreamOf: ["harbor/hub"]}`, "spec.upstreamOf"},
		"a group that forges an account":  {"PullBudget", `{registry: docker.io, egress: {name: "a/b@c"}}`, "spec.egress.name"},
		"a Secret in another namespace":   {"PullBudget", `{registry: docker.io, identity: Credentials, credentials: {secretName: "../kube-system/token"}}`, "secretName"},
		"an empty pull secret":            {"PullBudget", `{registry: docker.io, match: {pullSecretNames: [""]}}`, "pullSecretNames"},
		"a limit of nothing":              {"PullBudget", `{registry: docker.io, limit: {source: Fixed, pulls: 0, window: 1h}}`, "pulls"},
		"a reserve of everything":         {"PullBudget", `{registry: docker.io, reserve: {percent: 100}}`, "spec.reserve.percent"},
		"a name for groups of one node":   {"PullBudget", `{registry: docker.io, egress: {perNode: true, name: nat}}`, "perNode makes a group of each node"},
		"an unknown mode":                 {"PacePolicy", `{mode: Maybe}`, "spec.mode"},
		"an unknown class":                {"PacePolicy", `{defaultClass: urgent}`, "spec.defaultClass"},
		"a hold for ever":                 {"PacePolicy", `{maxHold: 8760h}`, "maxHold must be between"},
		"a hold that is no duration":      {"PacePolicy", `{maxHold: soon}`, "maxHold"},
		"a node hold of no duration":      {"PacePolicy", `{nodes: {maxHold: soon}}`, "nodes.maxHold"},
		"a node hold of days":             {"PacePolicy", `{nodes: {maxHold: 48h}}`, "nodes.maxHold"},
		"a sample of no duration":         {"PacePolicy", `{pauseOn: {window: soon}}`, "pauseOn.window"},
		"a rate in words":                 {"PacePolicy", `{pauseOn: {failureRate: lots}}`, "pauseOn.failureRate"},
		"a rate above all":                {"PacePolicy", `{pauseOn: {failureRate: 101}}`, "pauseOn.failureRate"},
		"a rate beyond 32 bits":           {"PacePolicy", `{pauseOn: {resumeBelow: 99999999999}}`, "pauseOn.resumeBelow"},
		"a wave beyond 32 bits":           {"PacePolicy", `{waves: {size: 99999999999}}`, "spec.waves.size"},
		"a namespace weighed twice":       {"PacePolicy", `{weights: [{namespace: shop, weight: 1}, {namespace: shop, weight: 2}]}`, "Duplicate"},
		"a class without a PriorityClass": {"PacePolicy", `{classes: [{priorityClass: "", class: ci}]}`, "priorityClass"},
		"a wave of racks":                 {"PacePolicy", `{waves: {by: Rack}}`, "spec.waves.by"},
		"a weight of nothing":             {"PacePolicy", `{weights: [{namespace: shop, weight: 0}]}`, "weight"},
		"a sample of no pods":             {"PacePolicy", `{pauseOn: {minPods: 0}}`, "minPods"},
		"something else for delete-first": {"PacePolicy", `{deleteFirst: Hope}`, "spec.deleteFirst"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manifest := fmt.Sprintf("apiVersion: pullpace.dev/v1alpha1\nkind: %s\nmetadata: {name: x}\nspec: %s\n", tc.kind, tc.spec)
			errs := kinds[tc.kind].check(t, manifest)
			if len(errs) == 0 {
				t.Error("the API server accepts it")
			} else if !strings.Contains(errs.ToAggregate().Error(), tc.want) {
				t.Errorf("the API server says %v, want it to say %q", errs, tc.want)
			}
			if errs, err := decodeAndValidate(tc.kind, manifest); err == nil && len(errs) == 0 {
				t.Error("what did not come through an API server is accepted")
			}
		})
	}
}

// decodeAndValidate does what the controller does with an object; err says that
// it could not be read.
func decodeAndValidate(kind, manifest string) (field.ErrorList, error) {
	if kind == "PacePolicy" {
		var p v1alpha1.PacePolicy
		err := yaml.UnmarshalStrict([]byte(manifest), &p)
		return p.Spec.Validate(), err
	}
	var b v1alpha1.PullBudget
	err := yaml.UnmarshalStrict([]byte(manifest), &b)
	return b.Spec.Validate(), err
}

// One object that is stored and cannot be decoded would end the watch of all of
// its kind.
func TestWhatIsAcceptedCanBeRead(t *testing.T) {
	t.Parallel()
	kinds := compile(t)
	values := []string{`"1m"`, `"1d"`, `"soon"`, `""`, `"-1m"`, `"0s"`, `"1h1m1.5s"`, `"1e1.5"`, `"0.5"`, `"1"`, `"1Ki"`, `"20%"`, `" 1"`, "0", "1", "-1", "0.5",
		"2147483648", "9223372036854775808", "99999999999999999999999", "true", "[]", "{}", `"\u0000"`, `"99999999999999999999h"`}
	fields := map[string][]string{
		"PullBudget": {
			"limit: {source: Fixed, pulls: 1, window: %s}", "limit: {source: Fixed, pulls: %s, window: 1m}",
			"limit: {source: Fixed, rate: %s, burst: 1}", "limit: {source: Fixed, rate: 1, burst: %s}",
			"probe: {interval: %s}", "probe: {repository: %s}", "probe: {caBundle: %s}", "reserve: {percent: %s}", "share: {fractionOfRemaining: %s}",
			"share: {guard: %s}", "share: {maxPerWindow: %s}", "breaker: {failurePercent: %s}", "breaker: {base: %s}", "breaker: {max: %s}",
			"egress: {perNode: %s}", "egress: {name: %s}", "match: {namespaceSelector: %s}",
		},
		"PacePolicy": {
			"maxHold: %s", "maxGatedPerNamespace: %s", "waves: {size: %s}", "waves: {canary: %s}", "nodes: {hold: %s}", "nodes: {size: %s}",
			"nodes: {maxHold: %s}", "pauseOn: {failureRate: %s}", "pauseOn: {minPods: %s}", "pauseOn: {window: %s}", "pauseOn: {resumeBelow: %s}",
			"weights: [{namespace: shop, weight: %s}]", "defaultClass: %s", "podSelector: {matchLabels: %s}",
		},
	}
	accepted := 0
	for kind, shapes := range fields {
		for _, shape := range shapes {
			for _, value := range values {
				spec := fmt.Sprintf(shape, value)
				if kind == "PullBudget" {
					spec = "registry: docker.io, " + spec
				}
				manifest := fmt.Sprintf("apiVersion: pullpace.dev/v1alpha1\nkind: %s\nmetadata: {name: x}\nspec: {%s}\n", kind, spec)
				if len(kinds[kind].check(t, manifest)) > 0 {
					continue
				}
				accepted++
				if _, err := decodeAndValidate(kind, manifest); err != nil {
					t.Errorf("%s {%s} is accepted and cannot be read: %v", kind, spec, err)
				}
			}
		}
	}
	if accepted < len(fields["PullBudget"])+len(fields["PacePolicy"]) {
		t.Errorf("only %d objects were accepted: the test proves nothing", accepted)
	}
}

// Installing needs more than a schema that compiles: the API server bounds what
// the rules may cost.
func TestDefinitionsAreAccepted(t *testing.T) {
	t.Parallel()
	for _, file := range crdFiles() {
		crd := internalCRD(t, file)
		crd.Status.StoredVersions = []string{v1alpha1.Version}
		if errs := crdvalidation.ValidateCustomResourceDefinition(t.Context(), &crd); len(errs) > 0 {
			t.Errorf("%s is refused: %v", file, errs)
		}
	}
}
