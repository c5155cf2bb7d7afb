package release

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is the customary "nonroot" of images without a user database; the
// Deployment asks for the same.
const nobody = "65532:65532"

// ImagePlatforms are what the published image runs on.
func ImagePlatforms() []Platform {
	return []Platform{{"linux", "amd64"}, {"linux", "arm64"}}
}

// Image builds the controller's image for the platforms.
func (t Tree) Image(ctx context.Context, c Commit, platforms ...Platform) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		program, err := t.Build(ctx, "cmd/pacer", p, Stamp{Version: c.Version})
		if err != nil {
			return nil, err
		}
		img, err := image(program, p, c)
		if err != nil {
			return nil, fmt.Errorf("making the image for %s: %w", p, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.OS, Architecture: p.Arch}},
		})
	}
	return mutate.Annotations(index, labels(c)).(v1.ImageIndex), nil
}

// image is one layer that holds one program, run by nobody.
func image(program []byte, p Platform, c Commit) (v1.Image, error) {
	var content bytes.Buffer
	archive := tar.NewWriter(&content)
	if err := archive.WriteHeader(&tar.Header{Name: "pacer", Mode: 0o755, Size: int64(len(program)), ModTime: time.Unix(0, 0)}); err != nil {
		return nil, err
	}
	if _, err := archive.Write(program); err != nil {
		return nil, err
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: c.At}, CreatedBy: "release"}})
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = p.OS, p.Arch, v1.Time{Time: c.At}
	config.Config = v1.Config{Entrypoint: []string{"/pacer"}, User: nobody, WorkingDir: "/", Labels: labels(c)}
	return mutate.ConfigFile(img, config)
}

// labels say where an image is from.
func labels(c Commit) map[string]string {
	const prefix = "org.opencontainers.image."
	return map[string]string{
		prefix + "title":       "pacer",
		prefix + "description": "The controller of Pace: lets pods go as the registries' limits allow",
		prefix + "source":      "https://" + modulePath,
		prefix + "licenses":    "Apache-2.0",
		prefix + "version":     c.Version,
		prefix + "revision":    c.Revision,
		prefix + "created":     c.At.Format(time.RFC3339),
	}
}

// writeImage writes an image as an OCI layout into the folder "image", and each
// platform's as an archive that `docker load` takes. It returns the digest.
func writeImage(dir, ref string, index v1.ImageIndex) (string, error) {
	digest, err := index.Digest()
	if err != nil {
		return "", err
	}
	folder, err := layout.Write(filepath.Join(dir, "image"), empty.Index)
	if err != nil {
		return "", fmt.Errorf("writing the image's layout: %w", err)
	}
	if err := folder.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": ref})); err != nil {
		return "", fmt.Errorf("writing the image's layout: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return "", err
	}
	for _, m := range manifest.Manifests {
		img, err := index.Image(m.Digest)
		if err != nil {
			return "", err
		}
		tag, err := name.NewTag(ref)
		if err != nil {
			return "", fmt.Errorf("naming the image: %w", err)
		}
		file := filepath.Join(dir, fmt.Sprintf("pacer-%s-%s.tar", m.Platform.OS, m.Platform.Architecture))
		if err := tarball.WriteToFile(file, tag, img); err != nil {
			return "", fmt.Errorf("writing %s: %w", file, err)
		}
	}
	return digest.String(), nil
}
