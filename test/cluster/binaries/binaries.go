//go:build unix

// Package binaries builds the programs of the test cluster with the go command
// and keeps them in the user's cache folder.
//
// Every component is a Go module, pinned in a small nested module under
// test/cluster/modules, so nothing is downloaded but modules, and the main
// module never sees k8s.io/kubernetes. The package does not run what it builds.
package binaries

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/pullpace/pace/release"
)

const modulePath = "github.com/pullpace/pace"

// Builder builds programs.
type Builder struct {
	root string // folder of the main module
	log  io.Writer
}

// New returns a builder for the repository that the working folder is in. What
// it does and what the go command says is written to log.
func New(ctx context.Context, log io.Writer) (*Builder, error) {
	tree, err := release.Find(ctx)
	if err != nil {
		return nil, err
	}
	return &Builder{root: tree.Root, log: log}, nil
}

// Components returns the folder that holds every program of components(),
// building those that it lacks.
func (b *Builder) Components(ctx context.Context) (string, error) {
	return b.folder(ctx, components(), "cni", "containerd", "etcd", "kubernetes")
}

// Helm returns the folder that holds helm, building it if it lacks. No cluster
// needs it, so that a change of it builds nothing else again.
func (b *Builder) Helm(ctx context.Context) (string, error) { return b.folder(ctx, helm(), "helm") }

// Promtool returns the path of promtool, building it if it lacks.
func (b *Builder) Promtool(ctx context.Context) (string, error) {
	dir, err := b.folder(ctx, promtool(), "prometheus")
	return filepath.Join(dir, "promtool"), err
}

// Autoscaler returns the folder that holds Karpenter with its KWOK provider and kwok,
// building what it lacks.
func (b *Builder) Autoscaler(ctx context.Context) (string, error) {
	return b.folder(ctx, autoscaler(), "karpenter", "kwok")
}

// Argo returns the folder that holds the controller of Argo Rollouts, building it if it
// lacks.
func (b *Builder) Argo(ctx context.Context) (string, error) { return b.folder(ctx, argo(), "argo") }

// Source returns the folder with the source of a Go module that one of the nested modules
// pins: CRDs are there.
func (b *Builder) Source(ctx context.Context, module, path string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path)
	cmd.Dir = filepath.Join(b.root, "test/cluster/modules", module)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of %s: %w\n%s", path, err, out)
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil {
		return "", fmt.Errorf("finding the source of %s: %w", path, err)
	}
	return found.Dir, nil
}

// folder returns the folder that holds a set of programs of some modules. One
// builder works at a time, over all processes of the user; the others wait for it.
// The folder is named after everything that its content depends on and never
// changes once complete.
func (b *Builder) folder(ctx context.Context, set []component, modules ...string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w; set HOME or XDG_CACHE_HOME", err)
	}
	key, err := b.key(ctx, set, modules)
	if err != nil {
		return "", err
	}
	base := filepath.Join(cache, "pullpace", "cluster")
	dir := filepath.Join(base, key)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	if missing(set, dir) == nil {
		return dir, nil
	}
	lock, err := takeLock(ctx, filepath.Join(base, "build.lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	for _, c := range missing(set, dir) {
		fmt.Fprintf(b.log, "building %s (once per version; the first takes minutes)\n", c.name)
		if err := b.build(ctx, filepath.Join(b.root, "test/cluster/modules", c.module), c, dir); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// Program builds a program of the main module, statically linked and without
// debug information, and writes it to path.
func (b *Builder) Program(ctx context.Context, pkg, path string) error {
	return b.build(ctx, b.root, component{name: filepath.Base(path), pkg: modulePath + "/" + pkg}, filepath.Dir(path))
}

// build writes under another name first, so that a program which is there is
// whole.
func (b *Builder) build(ctx context.Context, module string, c component, dir string) error {
	temporary, err := os.MkdirTemp(dir, ".building-")
	if err != nil {
		return fmt.Errorf("making a folder to build in: %w", err)
	}
	defer os.RemoveAll(temporary)
	out := filepath.Join(temporary, c.name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", c.tags(), "-ldflags", "-s -w "+c.ldflags, "-o", out, c.pkg)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s in %s: %w\n%s", c.name, module, err, said.String())
	}
	return os.Rename(out, filepath.Join(dir, c.name))
}

// key names the folder of one set of programs.
func (b *Builder) key(ctx context.Context, set []component, modules []string) (string, error) {
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for its version: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s%v", version, set)
	for _, module := range modules {
		for _, file := range []string{"go.mod", "go.sum"} {
			content, err := os.ReadFile(filepath.Join(b.root, "test/cluster/modules", module, file))
			if err != nil {
				return "", fmt.Errorf("reading a module of the test cluster: %w", err)
			}
			sum.Write(content)
		}
	}
	return fmt.Sprintf("%s-%s-%x", runtime.GOOS, runtime.GOARCH, sum.Sum(nil)[:6]), nil
}

// missing returns the programs of a set that dir does not hold.
func missing(set []component, dir string) []component {
	var lacking []component
	for _, c := range set {
		if _, err := os.Stat(filepath.Join(dir, c.name)); errors.Is(err, fs.ErrNotExist) {
			lacking = append(lacking, c)
		}
	}
	return lacking
}
