package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// Test is what Require needs of a *testing.T.
type Test interface {
	Helper()
	Context() context.Context
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Require returns the program of a browser. Where there is none it skips the test,
// unless CI=true is set, which `make test` does: there it is installed from Debian's
// packages, or the test fails, as a skipped one would go unnoticed.
func Require(t Test) string {
	t.Helper()
	if path, err := find(); err == nil {
		return path
	}
	if os.Getenv("CI") != "true" {
		t.Skipf("this test needs Chromium, which is not installed; CI=true installs it")
	}
	if err := install(t.Context()); err != nil {
		t.Fatalf("installing Chromium: %v", err)
	}
	path, err := find()
	if err != nil {
		t.Fatalf("Chromium was installed, but %v", err)
	}
	return path
}

func find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("neither chromium nor google-chrome is in PATH")
}

// install gets the packages. The lists may be old or not there at all, so they are
// updated if it fails at first.
func install(ctx context.Context) error {
	packages := []string{"install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"}
	if _, err := apt(ctx, packages); err == nil {
		return nil
	}
	if out, err := apt(ctx, []string{"update"}); err != nil {
		return fmt.Errorf("updating the lists of packages: %w\n%s", err, out)
	}
	if out, err := apt(ctx, packages); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// apt calls apt-get, which waits for another one that is at it.
func apt(ctx context.Context, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return cmd.CombinedOutput()
}
