package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const modulePath = "github.com/pullpace/pace"

// Tree is a checkout of the repository.
type Tree struct {
	// Root is the folder of the module.
	Root string
}

// Find returns the repository that the working folder is in.
func Find(ctx context.Context) (Tree, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return Tree{}, errors.New("the go command is not in PATH; install Go 1.26 or newer")
	}
	if err != nil {
		return Tree{}, fmt.Errorf("asking go for the module's folder: %w", err)
	}
	file := strings.TrimSpace(string(out))
	content, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(content, []byte("module "+modulePath+"\n")) {
		return Tree{}, fmt.Errorf("the working folder is not in the repository of %s; change into it", modulePath)
	}
	return Tree{Root: filepath.Dir(file)}, nil
}

// Platform is what a program is built for.
type Platform struct{ OS, Arch string }

func (p Platform) String() string { return p.OS + "/" + p.Arch }

// Stamp is what a program is told of itself when it is linked.
type Stamp struct {
	// Version is that of the release.
	Version string
	// Digest is that of the controller's image, for the plugin; "" in the image itself.
	Digest string
}

// flags are for the linker. Paths, build IDs and the state of the checkout stay
// out, so that the same source gives the same program on every machine.
func (s Stamp) flags() string {
	flags := "-s -w -buildid="
	for _, stamp := range []struct{ name, value string }{{"stamp", s.Version}, {"digest", s.Digest}} {
		if stamp.value != "" {
			flags += " -X main." + stamp.name + "=" + stamp.value
		}
	}
	return flags
}

// Build builds a static program from a folder with a main package.
func (t Tree) Build(ctx context.Context, folder string, p Platform, s Stamp) ([]byte, error) {
	dir, err := os.MkdirTemp("", "pace-release-")
	if err != nil {
		return nil, fmt.Errorf("making a folder to build in: %w", err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", s.flags(), "-o", out, "./"+folder)
	cmd.Dir = t.Root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOOS="+p.OS, "GOARCH="+p.Arch)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("building %s for %s: %w\n%s", folder, p, err, said.String())
	}
	return os.ReadFile(out)
}

// Commit is what git knows of the checkout.
type Commit struct {
	// Version is the tag that the commit has, or v0.0.0-dev and the commit.
	Version string
	// Revision is the whole commit, "" outside of a checkout.
	Revision string
	// At is when it was made; never the time of the build, which would differ.
	At time.Time
}

// Commit describes the checkout; without git it is an unnamed version.
func (t Tree) Commit(ctx context.Context) Commit {
	c := Commit{Version: "v0.0.0-dev", At: time.Unix(0, 0).UTC()}
	revision, err := t.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return c
	}
	c.Revision, c.Version = revision, "v0.0.0-dev."+revision[:12]
	if text, err := t.git(ctx, "show", "-s", "--format=%cI", "HEAD"); err == nil {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			c.At = at.UTC()
		}
	}
	changed, err := t.git(ctx, "status", "--porcelain")
	dirty := err != nil || changed != ""
	if tag, err := t.git(ctx, "describe", "--tags", "--exact-match", "--match", "v[0-9]*"); err == nil && !dirty {
		c.Version = tag
	} else if dirty {
		c.Version += ".dirty"
	}
	return c
}

func (t Tree) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = t.Root
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
