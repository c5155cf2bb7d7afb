package release

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pullpace/pace/manifests"
	"github.com/pullpace/pace/plugin"
)

// Made says what a release is made of.
type Made struct {
	Version string
	// Image is the controller's image, by digest.
	Image string
	// Files are in the folder, in order.
	Files []string
}

// Write makes a release in a folder, which is emptied first: the image as an OCI
// layout and for docker, and unless only the image is asked for the plugin's
// archives, their krew manifest, the manifests of an installation with the image
// by digest, and the sums of all files.
func (t Tree) Write(ctx context.Context, dir string, c Commit, onlyImage bool) (Made, error) {
	if err := os.RemoveAll(dir); err != nil {
		return Made{}, fmt.Errorf("emptying %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Made{}, fmt.Errorf("making %s: %w", dir, err)
	}
	index, err := t.Image(ctx, c, ImagePlatforms()...)
	if err != nil {
		return Made{}, err
	}
	digest, err := writeImage(dir, manifests.Image+":"+c.Version, index)
	if err != nil {
		return Made{}, err
	}
	made := Made{Version: c.Version, Image: manifests.Image + "@" + digest}
	if !onlyImage {
		if err := t.writePlugin(ctx, dir, c, digest); err != nil {
			return Made{}, err
		}
	}
	made.Files, err = sums(dir)
	return made, err
}

// writePlugin writes what people install from.
func (t Tree) writePlugin(ctx context.Context, dir string, c Commit, digest string) error {
	stamp := Stamp{Version: c.Version, Digest: digest}
	var archives []archived
	for _, p := range PluginPlatforms() {
		content, err := t.Plugin(ctx, p, stamp, c.At)
		if err != nil {
			return err
		}
		archives = append(archives, archived{p, content})
		if err := write(dir, p.archive(), content); err != nil {
			return err
		}
	}
	krew, err := manifest(c.Version, archives)
	if err != nil {
		return err
	}
	if err := write(dir, "pace.yaml", krew); err != nil {
		return err
	}
	var install strings.Builder
	if err := plugin.WriteManifests(&install, c.Version, digest); err != nil {
		return err
	}
	return write(dir, "install.yaml", []byte(install.String()))
}

func write(dir, name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		return fmt.Errorf("writing a release: %w", err)
	}
	return nil
}

// sums writes the sums of the files that people fetch, and returns their names.
func sums(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading a release: %w", err)
	}
	var text strings.Builder
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading a release: %w", err)
		}
		names = append(names, e.Name())
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	slices.Sort(names)
	return names, write(dir, "SHA256SUMS", []byte(text.String()))
}
