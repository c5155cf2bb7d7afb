package setup

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
)

// maxTrace is what the controller's pod has room for beside all else: its limit is
// 1 GiB, and a cluster of 5,000 nodes takes a part of it.
const maxTrace = 256 << 20

// ValidateTrace says what is wrong with Trace.
func (o Override) ValidateTrace() error {
	if o.Trace == "" {
		return nil
	}
	size, err := resource.ParseQuantity(o.Trace)
	switch {
	case err != nil:
		return fmt.Errorf("reading --trace: %q is no size: want one as 64Mi", o.Trace)
	case size.Value() < 1<<20 || size.Value() > maxTrace:
		return fmt.Errorf("reading --trace: %s is not from 1Mi to 256Mi", o.Trace)
	}
	return nil
}

// trace has the controller keep its calls.
func (o Override) trace(controller string) kustomize.Patch {
	return kustomize.Patch{
		Target: &kustomize.Selector{ResId: resid.NewResId(resid.NewGvk("apps", "v1", "Deployment"), controller)},
		Patch:  `[{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--trace=` + o.Trace + `"}]`,
	}
}
