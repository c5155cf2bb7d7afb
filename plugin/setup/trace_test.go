package setup

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/pullpace/pace/manifests"
)

func TestATraceIsAskedForByAnArgument(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		trace string
		args  []string
		wrong string // in the complaint
	}{
		"none":       {args: []string{"controller"}},
		"some":       {trace: "64Mi", args: []string{"controller", "--trace=64Mi"}},
		"no size":    {trace: `1"}, {"op": "remove"`, wrong: "is no size"},
		"too little": {trace: "10", wrong: "not from 1Mi"},
		"too much":   {trace: "1Gi", wrong: "to 256Mi"},
		"negative":   {trace: "-1Mi", wrong: "not from 1Mi"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Override{Trace: tc.trace}
			if err := o.ValidateTrace(); tc.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wrong) {
					t.Errorf("error %v, want %q", err, tc.wrong)
				}
				return
			} else if err != nil {
				t.Fatal(err)
			}
			objects, err := Render(Source{Files: manifests.Files(), Base: manifests.Base, Image: manifests.Image, Controller: "pacer"}, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, obj := range objects {
				if obj.GetKind() != "Deployment" || obj.GetName() != "pacer" {
					continue
				}
				var d appsv1.Deployment
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &d); err != nil {
					t.Fatal(err)
				}
				if got := d.Spec.Template.Spec.Containers[0].Args; !slices.Equal(got, tc.args) {
					t.Errorf("arguments %q, want %q", got, tc.args)
				}
			}
		})
	}
}
