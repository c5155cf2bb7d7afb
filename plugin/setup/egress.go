package setup

import (
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"

	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/registry"
)

// EgressName is the ConfigMap that tells the controller how probes leave the
// cluster. Its keys are named in the controller's Deployment.
const EgressName = "pacer-egress"

// maxAuthorities is what fits into an environment variable, with room.
const maxAuthorities = 96 << 10

// Egress is how probes leave the cluster. The zero value is: directly.
type Egress struct {
	// HTTPSProxy and NoProxy are as in the variables of these names.
	HTTPSProxy, NoProxy string
	// Authorities is PEM of the certificate authorities of registries.
	Authorities string
}

// Validate says what is wrong, before a controller is left to find it out.
func (e Egress) Validate() error {
	if e.HTTPSProxy == "" && e.NoProxy != "" {
		return errors.New("--no-proxy says what --https-proxy is not for: give both")
	}
	if _, err := registry.ParseProxy(e.HTTPSProxy, e.NoProxy); err != nil {
		return fmt.Errorf("reading --https-proxy: %w", err)
	}
	if e.Authorities == "" {
		return nil
	}
	if len(e.Authorities) > maxAuthorities {
		return fmt.Errorf("reading --ca-bundle: it has %d bytes, %d are the most: leave out what the system's authorities have", len(e.Authorities), maxAuthorities)
	}
	block, _ := pem.Decode([]byte(e.Authorities))
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New("reading --ca-bundle: it does not begin with a certificate in PEM form")
	}
	for rest := []byte(e.Authorities); ; {
		if block, rest = pem.Decode(rest); block == nil {
			return nil
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("reading --ca-bundle: it holds a %q, which has no place in a ConfigMap", block.Type)
		}
	}
}

// write adds the ConfigMap to an overlay, and to the controller's pods what makes
// them new when it changes: they read it when they start.
func (e Egress) write(disk filesys.FileSystem, overlay *kustomize.Kustomization, controller string) error {
	if e == (Egress{}) {
		return nil
	}
	data := map[string]string{"httpsProxy": e.HTTPSProxy, "noProxy": e.NoProxy, "authorities": e.Authorities}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data,
		"metadata": map[string]any{"name": EgressName, "namespace": v1alpha1.Namespace},
	})
	if err != nil {
		return fmt.Errorf("writing the overlay: %w", err)
	}
	if err := disk.WriteFile("/overlay/egress.yaml", text); err != nil {
		return fmt.Errorf("writing the overlay: %w", err)
	}
	overlay.Resources = append(overlay.Resources, "egress.yaml")
	sum := fmt.Sprintf("%x", sha256.Sum256(text))[:12]
	overlay.Patches = append(overlay.Patches, kustomize.Patch{
		Target: &kustomize.Selector{ResId: resid.NewResId(resid.NewGvk("apps", "v1", "Deployment"), controller)},
		Patch:  `[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {"` + v1alpha1.Group + `/egress": "` + sum + `"}}]`,
	})
	return nil
}
