// Package images makes the container images of the test cluster out of static
// programs: no base image, nothing downloaded. Equal specifications give equal
// digests. It does not decide what a registry counts or a node holds.
package images

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Layer is a layer of bytes that do not compress. Layers of one name and size
// are the same blob in every image.
type Layer struct {
	Name string
	Size int64 // bytes
}

// Spec says what an image is made of, besides the program it runs.
type Spec struct {
	// Name makes an image of its own even where all layers are shared.
	Name string
	// Layers come after that of the program.
	Layers []Layer
}

// Maker makes images that run one program.
type Maker struct {
	program v1.Layer
	args    []string
}

// New returns a maker of images that run the program, a static executable for
// this machine's architecture, as an unprivileged user.
func New(file string, program []byte) (*Maker, error) {
	entry := "/" + path.Base(file)
	layer, err := layerOf(entry, program)
	if err != nil {
		return nil, err
	}
	return &Maker{program: layer, args: []string{entry}}, nil
}

// Image makes an image for this machine's platform.
func (m *Maker) Image(spec Spec) (v1.Image, error) {
	return m.image(spec, v1.Platform{OS: "linux", Architecture: runtime.GOARCH})
}

// Index makes a multi-platform image. Each platform ("linux/amd64") has layers
// of its own, as real ones do; only that of this machine's platform runs.
func (m *Maker) Index(spec Spec, platforms ...string) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, text := range platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return nil, fmt.Errorf("reading platform: %w", err)
		}
		own := Spec{Name: spec.Name}
		for _, layer := range spec.Layers {
			own.Layers = append(own.Layers, Layer{Name: layer.Name + "-" + text, Size: layer.Size})
		}
		img, err := m.image(own, *platform)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index, nil
}

func (m *Maker) image(spec Spec, platform v1.Platform) (v1.Image, error) {
	layers := []v1.Layer{m.program}
	for _, l := range spec.Layers {
		layer, err := randomLayer(l)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, layers...)
	if err != nil {
		return nil, fmt.Errorf("appending layers: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	// 65532 is the customary "nonroot" of images without a user database.
	config.Config = v1.Config{Entrypoint: m.args, User: "65532:65532", Labels: map[string]string{"name": spec.Name}}
	return mutate.ConfigFile(img, config)
}

// Push writes an image or index to the registry that ref names. The transport
// decides how that registry is reached and trusted.
func Push(ctx context.Context, ref string, what remote.Taggable, rt http.RoundTripper) error {
	tag, err := name.ParseReference(ref)
	if err != nil {
		return fmt.Errorf("reading image reference: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(rt)}
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(tag, what, options...)
	case v1.ImageIndex:
		err = remote.WriteIndex(tag, what, options...)
	default:
		err = fmt.Errorf("%T is neither an image nor an index", what)
	}
	if err != nil {
		return fmt.Errorf("pushing %s: %w", ref, err)
	}
	return nil
}
