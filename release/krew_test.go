package release

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestArchives(t *testing.T) {
	t.Parallel()
	files := []file{{"kubectl-pace", 0o755, []byte("program")}, {"LICENSE", 0o644, []byte("text")}}
	want := map[string]string{"kubectl-pace": "-rwxr-xr-x program", "LICENSE": "-rw-r--r-- text"}
	for name, p := range map[string]Platform{"tar": {"linux", "amd64"}, "zip": {"windows", "amd64"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content, err := pack(p, commit.At, files)
			if err != nil {
				t.Fatal(err)
			}
			again, err := pack(p, commit.At, files)
			if err != nil || !bytes.Equal(content, again) {
				t.Errorf("equal files make different archives (%v)", err)
			}
			unpack := untar
			if p.OS == "windows" {
				unpack = unzip
			}
			if diff := cmp.Diff(want, unpack(t, content)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func untar(t *testing.T, content []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	got, archive := map[string]string{}, tar.NewReader(zipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		got[header.Name] = header.FileInfo().Mode().String() + " " + string(text)
	}
}

func unzip(t *testing.T, content []byte) map[string]string {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range archive.File {
		open, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(open)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = f.Mode().String() + " " + string(text)
	}
	return got
}

func TestManifestNamesEveryArchive(t *testing.T) {
	t.Parallel()
	var archives []archived
	want := map[string]string{}
	for _, p := range PluginPlatforms() {
		content := []byte("archive for " + p.String())
		archives = append(archives, archived{p, content})
		want[p.String()] = fmt.Sprintf("https://github.com/pullpace/pace/releases/download/v0.3.0/%s %x", p.archive(), sha256.Sum256(content))
	}
	text, err := manifest("v0.3.0", archives)
	if err != nil {
		t.Fatal(err)
	}
	var read krewPlugin
	if err := yaml.UnmarshalStrict(text, &read); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range read.Spec.Platforms {
		got[p.Selector.MatchLabels["os"]+"/"+p.Selector.MatchLabels["arch"]] = p.URI + " " + p.Sha256
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archives (-want +got):\n%s", diff)
	}
}

// TestKrewInstallsThePlugin installs the archive for this machine with the real
// krew and runs what it links.
func TestKrewInstallsThePlugin(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	tree, err := Find(ctx)
	if err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("ab", 32)
	here := Platform{runtime.GOOS, runtime.GOARCH}
	content, err := tree.Plugin(ctx, here, Stamp{Version: "v0.3.0", Digest: digest}, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	text, err := manifest("v0.3.0", []archived{{here, content}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{here.archive(): content, "pace.yaml": text} {
		if err := write(dir, name, content); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "krew-root")
	bin := filepath.Join(root, "bin")
	said := command(t, ctx, []string{"KREW_ROOT=" + root, "PATH=" + os.Getenv("PATH"), "HOME=" + dir}, buildKrew(t, ctx, dir),
		"install", "--manifest="+filepath.Join(dir, "pace.yaml"), "--archive="+filepath.Join(dir, here.archive()))
	if !strings.Contains(said, "Installed plugin: pace") || !strings.Contains(said, "Read-only until `kubectl pace install`") {
		t.Errorf("krew said:\n%s", said)
	}
	env := []string{"PATH=" + bin + ":/usr/bin:/bin", "HOME=" + dir}
	plugin := filepath.Join(bin, "kubectl-pace")
	if got := command(t, ctx, env, plugin, "version", "--client"); !strings.Contains(got, "client v0.3.0") {
		t.Errorf("the plugin says %q", got)
	}
	// Every hint of the caveats must be a command that exists.
	if got := command(t, ctx, env, plugin, "install", "--dry-run"); !strings.Contains(got, "ghcr.io/pullpace/pacer@"+digest) {
		t.Errorf("the image is not pinned by the digest of its release:\n%s", got)
	}
	script := filepath.Join(bin, "kubectl_complete-pace")
	if err := os.WriteFile(script, []byte(command(t, ctx, env, plugin, "completion", "kubectl")), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := command(t, ctx, env, script, "unin"); !strings.Contains(got, "uninstall") {
		t.Errorf("kubectl would be offered %q", got)
	}
	shipped, err := os.ReadFile(filepath.Join(root, "store", "pace", "v0.3.0", "kubectl_complete-pace"))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile(script); err != nil || !bytes.Equal(shipped, want) {
		t.Errorf("the archive's completion file is not what `completion kubectl` prints (%v)", err)
	}
}

// buildKrew builds the krew that testdata pins.
func buildKrew(t *testing.T, ctx context.Context, dir string) string {
	t.Helper()
	out := filepath.Join(dir, "krew")
	build := exec.CommandContext(ctx, "go", "build", "-o", out, "sigs.k8s.io/krew/cmd/krew")
	build.Dir = filepath.Join("testdata", "krew")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building krew: %v\n%s", err, said)
	}
	return out
}

// command runs a program that must succeed and returns all that it said.
func command(t *testing.T, ctx context.Context, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, said)
	}
	return string(said)
}
