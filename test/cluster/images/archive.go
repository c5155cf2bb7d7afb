package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nameAnnotation is where containerd reads an image's full reference from when
// it imports an OCI layout.
const nameAnnotation = "io.containerd.image.name"

// Archive writes an OCI layout that holds the images under their references,
// for loading into a node's runtime. Digests are kept.
func Archive(w io.Writer, images map[string]v1.Image) error {
	a := archive{tar: tar.NewWriter(w), written: map[string]bool{}}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, ref := range slices.Sorted(maps.Keys(images)) {
		descriptor, err := a.image(images[ref])
		if err != nil {
			return fmt.Errorf("archiving %s: %w", ref, err)
		}
		descriptor.Annotations = map[string]string{nameAnnotation: ref}
		index.Manifests = append(index.Manifests, descriptor)
	}
	content, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("writing the archive's index: %w", err)
	}
	a.file("index.json", content)
	a.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	if a.err != nil {
		return fmt.Errorf("writing archive: %w", a.err)
	}
	return a.tar.Close()
}

// archive writes files until the first error and keeps that.
type archive struct {
	tar     *tar.Writer
	written map[string]bool
	err     error
}

func (a *archive) image(img v1.Image) (v1.Descriptor, error) {
	manifest, err := img.RawManifest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return v1.Descriptor{}, err
	}
	layers, err := img.Layers()
	if err != nil {
		return v1.Descriptor{}, err
	}
	for _, layer := range layers {
		if err := a.layer(layer); err != nil {
			return v1.Descriptor{}, err
		}
	}
	a.blob(config)
	digest := a.blob(manifest)
	return v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: digest, Size: int64(len(manifest))}, a.err
}

func (a *archive) layer(l v1.Layer) error {
	read, err := l.Compressed()
	if err != nil {
		return err
	}
	defer read.Close()
	content, err := io.ReadAll(read)
	if err != nil {
		return err
	}
	a.blob(content)
	return nil
}

func (a *archive) blob(content []byte) v1.Hash {
	digest, _, err := v1.SHA256(bytes.NewReader(content))
	if err != nil && a.err == nil {
		a.err = err
	}
	a.file("blobs/sha256/"+digest.Hex, content)
	return digest
}

func (a *archive) file(name string, content []byte) {
	if a.err != nil || a.written[name] {
		return
	}
	a.written[name] = true
	a.err = a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))})
	if a.err == nil {
		_, a.err = a.tar.Write(content)
	}
}
