package reference_test

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/docs/reference"
	"github.com/pullpace/pace/manifests"
)

var update = flag.Bool("update", false, "rewrite the pages")

func TestPagesAreCurrent(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"reasons.md": reference.Reasons(),
		"metrics.md": reference.Metrics(),

		"../reasons/README.md":  reference.ReasonIndex(),
		"../failures/README.md": reference.FailureIndex(),
		"../alerts/README.md":   alertIndex(t),

		"api.md":    reference.API(crds(t)),
		"result.md": result(t),
		"doctor.md": diagnosis(t),

		"scenario.md":          reference.Scenario(scenarioSchema(t)),
		"scenario.schema.json": asJSON(t, scenarioSchema(t)),
	} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not current; run go test ./docs/reference -update (-want +got):\n%s", file, diff)
		}
	}
}

func alertIndex(t *testing.T) string {
	t.Helper()
	page, err := reference.AlertIndex(rules(t))
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func result(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("../../simulate/report/result.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := reference.Result(source)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func diagnosis(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("../../plugin/view/diagnosis.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := reference.Diagnosis(source)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func crds(t *testing.T) []*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, file := range []string{"crd/pullpace.dev_pullbudgets.yaml", "crd/pullpace.dev_pacepolicies.yaml"} {
		text, err := manifests.Files().ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, crd); err != nil {
			t.Fatal(err)
		}
		out = append(out, crd)
	}
	return out
}
