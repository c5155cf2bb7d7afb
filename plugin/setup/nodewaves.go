package setup

import (
	"fmt"
	"path"

	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// addNodeWaves adds the right to hold new nodes, which is no part of the base: without
// it the controller writes to no node.
func addNodeWaves(disk filesys.FileSystem, overlay *kustomize.Kustomization, src Source) error {
	text, err := disk.ReadFile(path.Join("/source", src.NodeWaves))
	if err != nil {
		return fmt.Errorf("reading the rights for node waves: %w", err)
	}
	// A kustomization may name files below itself alone.
	const file = "node-waves.yaml"
	if err := disk.WriteFile("/overlay/"+file, text); err != nil {
		return fmt.Errorf("writing the overlay: %w", err)
	}
	overlay.Resources = append(overlay.Resources, file)
	return nil
}
