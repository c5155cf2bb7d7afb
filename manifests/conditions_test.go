package manifests_test

import (
	"testing"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"
)

// oldest is the oldest Kubernetes that the expressions must compile in.
var oldest = utilversion.MajorMinor(1, 31)

// conditions are the compiled match conditions of each webhook, by name.
func conditions(t *testing.T) map[string][]cel.Program {
	t.Helper()
	set, err := environment.MustBaseEnvSet(oldest).Extend(environment.VersionedOptions{
		IntroducedVersion: oldest,
		EnvOptions:        []cel.EnvOption{cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType), cel.Variable("request", cel.DynType)},
	})
	if err != nil {
		t.Fatal(err)
	}
	env := set.NewExpressionsEnv()
	out := map[string][]cel.Program{}
	for _, hook := range decode[admissionv1.MutatingWebhookConfiguration](t, "MutatingWebhookConfiguration")[0].Webhooks {
		for _, c := range hook.MatchConditions {
			ast, issues := env.Compile(c.Expression)
			if issues.Err() != nil {
				t.Fatalf("%s, condition %s: %v", hook.Name, c.Name, issues.Err())
			}
			if ast.OutputType() != cel.BoolType {
				t.Fatalf("%s, condition %s is of type %s, want bool", hook.Name, c.Name, ast.OutputType())
			}
			program, err := env.Program(ast)
			if err != nil {
				t.Fatalf("%s, condition %s: %v", hook.Name, c.Name, err)
			}
			out[hook.Name] = append(out[hook.Name], program)
		}
	}
	return out
}

// What the API server asks a webhook about is decided by expressions that nothing else
// compiles before they are installed. They are evaluated as it does it; an expression
// that fails would let everything pass, since the webhooks fail open.
func TestMatchConditions(t *testing.T) {
	t.Parallel()
	const create, update = `{operation: CREATE, namespace: shop}`, `{operation: UPDATE, namespace: shop}`
	tests := map[string]struct {
		hook                 string
		request, object, old string
		want                 bool
	}{
		"a pod":                                   {"pods", create, `{metadata: {}, spec: {}}`, `null`, true},
		"a pod with marks of others":              {"pods", create, `{metadata: {labels: {a: b}, annotations: {a: b}}, spec: {priorityClassName: high, nodeName: ""}}`, `null`, true},
		"a pod on a node":                         {"pods", create, `{metadata: {}, spec: {nodeName: n1}}`, `null`, false},
		"a mirror pod":                            {"pods", create, `{metadata: {annotations: {kubernetes.io/config.mirror: x}}, spec: {}}`, `null`, false},
		"a pod that the cluster needs":            {"pods", create, `{metadata: {}, spec: {priorityClassName: system-node-critical}}`, `null`, false},
		"a pod that Kueue manages":                {"pods", create, `{metadata: {labels: {kueue.x-k8s.io/managed: "true"}}, spec: {}}`, `null`, false},
		"a pod for a queue of Kueue":              {"pods", create, `{metadata: {labels: {kueue.x-k8s.io/queue-name: q}}, spec: {}}`, `null`, false},
		"our own pod":                             {"pods", `{operation: CREATE, namespace: pullpace-system}`, `{metadata: {}, spec: {}}`, `null`, false},
		"our own pod, said not to be a dry run":   {"pods", `{operation: CREATE, namespace: pullpace-system, dryRun: false}`, `{metadata: {}, spec: {}}`, `null`, false},
		"the dry-run pod that proves the gate":    {"pods", `{operation: CREATE, namespace: pullpace-system, dryRun: true}`, `{metadata: {}, spec: {}}`, `null`, true},
		"a Job with a deadline":                   {"jobs", create, `{metadata: {}, spec: {activeDeadlineSeconds: 60}}`, `null`, true},
		"a Job with a deadline, said to go":       {"jobs", create, `{metadata: {}, spec: {activeDeadlineSeconds: 60, suspend: false}}`, `null`, true},
		"a Job without one":                       {"jobs", create, `{metadata: {}, spec: {}}`, `null`, false},
		"a Job that somebody suspended":           {"jobs", create, `{metadata: {}, spec: {activeDeadlineSeconds: 60, suspend: true}}`, `null`, false},
		"a Job for a queue of Kueue":              {"jobs", create, `{metadata: {labels: {kueue.x-k8s.io/queue-name: q}}, spec: {activeDeadlineSeconds: 60}}`, `null`, false},
		"a new object without an order":           {"orders", create, `{metadata: {}}`, `null`, false},
		"a new object that is paused":             {"orders", create, `{metadata: {annotations: {pullpace.dev/paused: x}}}`, `null`, true},
		"an order is given":                       {"orders", update, `{metadata: {annotations: {pullpace.dev/override: x}}}`, `{metadata: {}}`, true},
		"an order is taken back":                  {"orders", update, `{metadata: {}}`, `{metadata: {annotations: {pullpace.dev/paused: x}}}`, true},
		"an order stays, other marks change":      {"orders", update, `{metadata: {annotations: {pullpace.dev/paused: x, a: b}}}`, `{metadata: {annotations: {pullpace.dev/paused: x}}}`, false},
		"a new workload":                          {"warnings", create, `{spec: {template: {}}}`, `null`, true},
		"a workload with another template":        {"warnings", update, `{spec: {template: {a: 1}}}`, `{spec: {template: {a: 2}}}`, true},
		"a workload of more pods":                 {"warnings", update, `{spec: {template: {}, replicas: 3}}`, `{spec: {template: {}, replicas: 2}}`, true},
		"a workload of fewer pods":                {"warnings", update, `{spec: {template: {}, replicas: 2}}`, `{spec: {template: {}, replicas: 3}}`, false},
		"a DaemonSet, which says no number":       {"warnings", update, `{spec: {template: {}}}`, `{spec: {template: {}}}`, false},
		"a workload whose number was the default": {"warnings", update, `{spec: {template: {}, replicas: 2}}`, `{spec: {template: {}}}`, true},
	}
	programs := conditions(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vars := map[string]any{}
			for variable, text := range map[string]string{"request": tc.request, "object": tc.object, "oldObject": tc.old} {
				var value any
				if err := yaml.Unmarshal([]byte(text), &value); err != nil {
					t.Fatal(err)
				}
				vars[variable] = value
			}
			all := programs[tc.hook+".pullpace.dev"]
			if len(all) == 0 {
				t.Fatalf("webhook %s has no conditions", tc.hook)
			}
			got := true
			for i, program := range all {
				value, _, err := program.Eval(vars)
				if err != nil {
					t.Fatalf("condition %d: %v", i, err)
				}
				matches, ok := value.Value().(bool)
				got = got && ok && matches
			}
			if got != tc.want {
				t.Errorf("asked: %t, want %t", got, tc.want)
			}
		})
	}
}
