package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	kustomize "sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Source is where the manifests are.
type Source struct {
	// Files holds a kustomize base in the folder Base.
	Files fs.FS
	Base  string
	// Image is the image name in the base that is replaced.
	Image string
	// Controller is the name of the controller's Deployment in the base.
	Controller string
	// NodeWaves is the file of what holding nodes takes beyond the base.
	NodeWaves string
}

// Override replaces the controller's image.
type Override struct {
	// Image is a whole reference; Registry only replaces the registry and path
	// before the last word. At most one of them is set.
	Image    string
	Registry string
	// Digest pins the image unless Image is set. A registry that holds a copy has
	// it under the same digest.
	Digest string
	// Version becomes the label app.kubernetes.io/version of every object.
	Version string
	// Egress is how the controller's probes leave the cluster.
	Egress Egress
	// Trace is how much of its calls the controller keeps, as 64Mi; empty: nothing.
	Trace string
	// NodeWaves adds the right to hold new nodes.
	NodeWaves bool
}

// Render builds the objects to apply, in the order to apply them.
func Render(src Source, o Override) ([]*unstructured.Unstructured, error) {
	disk, err := load(src.Files)
	if err != nil {
		return nil, err
	}
	overlay := kustomize.Kustomization{Resources: []string{"../source/" + src.Base}}
	image, err := o.image(src.Image)
	if err != nil {
		return nil, err
	}
	if image != nil {
		overlay.Images = []kustomize.Image{*image}
	}
	if o.Version != "" {
		overlay.Labels = []kustomize.Label{{Pairs: map[string]string{labelVersion: labelValue(o.Version)}, IncludeTemplates: true}}
	}
	if err := o.Egress.write(disk, &overlay, src.Controller); err != nil {
		return nil, err
	}
	if o.NodeWaves {
		if err := addNodeWaves(disk, &overlay, src); err != nil {
			return nil, err
		}
	}
	if o.Trace != "" {
		overlay.Patches = append(overlay.Patches, o.trace(src.Controller))
	}
	text, err := yaml.Marshal(overlay)
	if err != nil {
		return nil, fmt.Errorf("writing the overlay: %w", err)
	}
	if err := disk.WriteFile("/overlay/kustomization.yaml", text); err != nil {
		return nil, fmt.Errorf("writing the overlay: %w", err)
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // namespaces and CRDs first, webhooks last
	built, err := krusty.MakeKustomizer(options).Run(disk, "/overlay")
	if err != nil {
		return nil, fmt.Errorf("rendering the manifests: %w", err)
	}
	objects := make([]*unstructured.Unstructured, 0, built.Size())
	for _, res := range built.Resources() {
		// Through JSON: kustomize keeps Go ints, which unstructured objects must not hold.
		text, err := res.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("rendering %s: %w", res.CurId(), err)
		}
		obj := &unstructured.Unstructured{}
		if err := obj.UnmarshalJSON(text); err != nil {
			return nil, fmt.Errorf("rendering %s: %w", res.CurId(), err)
		}
		objects = append(objects, obj)
	}
	return objects, nil
}

// labelVersion is where Kubernetes' recommended labels have a version.
const labelVersion = "app.kubernetes.io/version"

// labelValue writes a version as a label may have it: the plus of build metadata
// is no part of one.
func labelValue(version string) string {
	value := strings.ReplaceAll(version, "+", "_")
	return strings.TrimRight(value[:min(len(value), 63)], "-_.")
}

// load copies the files into the file system that kustomize reads.
func load(files fs.FS) (filesys.FileSystem, error) {
	disk := filesys.MakeFsInMemory()
	err := fs.WalkDir(files, ".", func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, p)
		if err != nil {
			return err
		}
		return disk.WriteFile(path.Join("/source", p), text)
	})
	if err != nil {
		return nil, fmt.Errorf("reading the manifests: %w", err)
	}
	return disk, nil
}

// image returns the replacement for kustomize, nil for none.
func (o Override) image(base string) (*kustomize.Image, error) {
	switch {
	case o.Image != "" && o.Registry != "":
		return nil, errors.New("--image and --image-registry exclude each other")
	case o.Image != "":
		ref, err := name.ParseReference(o.Image)
		if err != nil {
			return nil, fmt.Errorf("reading --image: %w", err)
		}
		image := &kustomize.Image{Name: base, NewName: ref.Context().Name()}
		if digest, ok := ref.(name.Digest); ok {
			image.Digest = digest.DigestStr()
		} else {
			image.NewTag = ref.Identifier()
		}
		return image, nil
	case o.Registry != "":
		target := strings.TrimSuffix(o.Registry, "/") + "/" + path.Base(base)
		if _, err := name.NewRepository(target); err != nil {
			return nil, fmt.Errorf("reading --image-registry: %w", err)
		}
		return &kustomize.Image{Name: base, NewName: target, Digest: o.Digest}, nil
	case o.Digest != "":
		return &kustomize.Image{Name: base, Digest: o.Digest}, nil
	}
	return nil, nil
}
