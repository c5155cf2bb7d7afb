package images_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/pullpace/pace/test/cluster/images"
)

func newMaker(t *testing.T) *images.Maker {
	t.Helper()
	maker, err := images.New("/somewhere/program", []byte("not really a program"))
	if err != nil {
		t.Fatal(err)
	}
	return maker
}

func makeImage(t *testing.T, spec images.Spec) v1.Image {
	t.Helper()
	img, err := newMaker(t).Image(spec)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digest(t *testing.T, img interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestImageRunsTheProgram(t *testing.T) {
	t.Parallel()
	img := makeImage(t, images.Spec{Name: "a", Layers: []images.Layer{{Name: "base", Size: 100_000}}})
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/program"}, config.Config.Entrypoint); diff != "" {
		t.Errorf("entrypoint (-want +got):\n%s", diff)
	}
	if config.Config.User != "65532:65532" {
		t.Errorf("the image runs as %q", config.Config.User)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if size, err := layers[1].Size(); err != nil || size < 100_000 || size > 105_000 {
		t.Errorf("a layer of 100000 bytes has %d (%v)", size, err)
	}
}

func TestDigestsFollowTheSpecification(t *testing.T) {
	t.Parallel()
	shared := []images.Layer{{Name: "base", Size: 1000}}
	a, again, b := makeImage(t, images.Spec{Name: "a", Layers: shared}), makeImage(t, images.Spec{Name: "a", Layers: shared}), makeImage(t, images.Spec{Name: "b", Layers: shared})
	if digest(t, a) != digest(t, again) {
		t.Error("equal specifications give different digests")
	}
	if digest(t, a) == digest(t, b) {
		t.Error("images of different names have one digest")
	}
	layersOfA, errA := a.Layers()
	layersOfB, errB := b.Layers()
	if err := errors.Join(errA, errB); err != nil {
		t.Fatal(err)
	}
	if digest(t, layersOfA[1]) != digest(t, layersOfB[1]) {
		t.Error("layers of one name and size are different blobs")
	}
}

func TestPushedIndexHasAnImageOfItsOwnPerPlatform(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	index, err := newMaker(t).Index(images.Spec{Name: "multi", Layers: []images.Layer{{Name: "app", Size: 10}}}, "linux/amd64", "linux/arm64/v8")
	if err != nil {
		t.Fatal(err)
	}
	ref := strings.TrimPrefix(server.URL, "http://") + "/team/multi:1"
	if err := images.Push(t.Context(), ref, index, http.DefaultTransport); err != nil {
		t.Fatal(err)
	}
	tag, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(tag, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(pulled); err != nil {
		t.Error(err)
	}
	manifest, err := pulled.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 2 || manifest.Manifests[0].Digest == manifest.Manifests[1].Digest {
		t.Errorf("want two different images, got %v", manifest.Manifests)
	}
}

func TestArchiveNamesImagesAndKeepsDigests(t *testing.T) {
	t.Parallel()
	img := makeImage(t, images.Spec{Name: "a"})
	var out bytes.Buffer
	if err := images.Archive(&out, map[string]v1.Image{"hub.test/a:1": img, "hub.test/a:2": img}); err != nil {
		t.Fatal(err)
	}
	files := readTar(t, &out)
	var index v1.IndexManifest
	if err := json.Unmarshal(files["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	want, got := map[string]v1.Hash{"hub.test/a:1": digest(t, img), "hub.test/a:2": digest(t, img)}, map[string]v1.Hash{}
	for _, m := range index.Manifests {
		got[m.Annotations["io.containerd.image.name"]] = m.Digest
		if _, ok := files["blobs/sha256/"+m.Digest.Hex]; !ok {
			t.Errorf("the archive lacks manifest %s", m.Digest)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func readTar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}
