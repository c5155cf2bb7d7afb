package release

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var commit = Commit{Version: "v0.3.0", Revision: "0123456789abcdef", At: time.Date(2026, 3, 2, 14, 10, 0, 0, time.UTC)}

func made(t *testing.T, program string, p Platform, c Commit) v1.Image {
	t.Helper()
	img, err := image([]byte(program), p, c)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digestOf(t *testing.T, what interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	d, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestEqualSourcesMakeEqualImages(t *testing.T) {
	t.Parallel()
	linux := Platform{"linux", "amd64"}
	first := digestOf(t, made(t, "program", linux, commit))
	if again := digestOf(t, made(t, "program", linux, commit)); again != first {
		t.Errorf("the same program makes %s and %s", first, again)
	}
	later := commit
	later.At = commit.At.Add(time.Second)
	for name, other := range map[string]v1.Image{
		"program": made(t, "another", linux, commit), "platform": made(t, "program", Platform{"linux", "arm64"}, commit),
		"commit": made(t, "program", linux, later),
	} {
		if digestOf(t, other) == first {
			t.Errorf("another %s makes the same image", name)
		}
	}
}

func TestImageRunsThePlainProgramAsNobody(t *testing.T) {
	t.Parallel()
	img := made(t, "program", Platform{"linux", "arm64"}, commit)
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{Entrypoint: []string{"/pacer"}, User: "65532:65532", WorkingDir: "/", Labels: labels(commit)}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if config.OS != "linux" || config.Architecture != "arm64" || !config.Created.Time.Equal(commit.At) {
		t.Errorf("image for %s/%s of %s", config.OS, config.Architecture, config.Created)
	}
	for _, label := range []string{"title", "description", "source", "licenses", "version", "revision", "created"} {
		if config.Config.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("label %s is empty", label)
		}
	}
}

// index is of both platforms.
func index(t *testing.T) v1.ImageIndex {
	t.Helper()
	ix := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range ImagePlatforms() {
		ix = mutate.AppendManifests(ix, mutate.IndexAddendum{
			Add: made(t, "for "+p.String(), p, commit), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.OS, Architecture: p.Arch}},
		})
	}
	return ix
}

func TestWrittenImageIsWhole(t *testing.T) {
	t.Parallel()
	dir, ref, ix := t.TempDir(), "ghcr.io/pullpace/pacer:v0.3.0", index(t)
	digest, err := writeImage(dir, ref, ix)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(digest)
	if err != nil {
		t.Fatal(err)
	}
	top, err := layout.ImageIndexFromPath(filepath.Join(dir, "image"))
	if err != nil {
		t.Fatal(err)
	}
	read, err := top.ImageIndex(hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(read); err != nil {
		t.Error(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range ImagePlatforms() {
		loaded, err := tarball.ImageFromPath(filepath.Join(dir, "pacer-"+p.OS+"-"+p.Arch+".tar"), &tag)
		if err != nil {
			t.Errorf("docker would not load %s: %v", p, err)
			continue
		}
		if config, err := loaded.ConfigFile(); err != nil || config.Architecture != p.Arch {
			t.Errorf("the archive for %s is for %v (%v)", p, config, err)
		}
	}
}
