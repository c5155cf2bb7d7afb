//go:build linux

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// tools maps the programs that are not built here to their Debian packages.
func tools() map[string]string {
	return map[string]string{"runc": "runc", "ip": "iproute2", "nft": "nftables"}
}

// Missing returns why no cluster can be started on this machine, or nil. It
// changes nothing; tools that Prepare would install are not missing.
func Missing() error {
	var errs []error
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("root is needed to make namespaces, mounts and links; run it as root"))
	}
	content, err := os.ReadFile("/proc/filesystems")
	if err != nil || !bytes.Contains(content, []byte("\toverlay\n")) {
		errs = append(errs, errors.New("the kernel has no overlay file system; load it with: modprobe overlay"))
	}
	if _, err := os.Stat("/sys/fs/cgroup"); err != nil {
		errs = append(errs, errors.New("no cgroups are mounted on /sys/fs/cgroup"))
	}
	if lacking := lackingPackages(); len(lacking) > 0 {
		if _, err := exec.LookPath("apt-get"); err != nil {
			errs = append(errs, fmt.Errorf("these are missing, and there is no apt-get to install them: %s", strings.Join(lacking, ", ")))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("a local cluster cannot be started on this machine:\n%w", err)
	}
	return nil
}

// preflight makes sure that the machine has what a cluster needs, and installs
// Debian packages that are missing.
func preflight(ctx context.Context, log io.Writer) error {
	if err := Missing(); err != nil {
		return err
	}
	lacking := lackingPackages()
	if len(lacking) == 0 {
		return nil
	}
	fmt.Fprintf(log, "installing %s\n", strings.Join(lacking, " "))
	install := append([]string{"install", "--yes", "--no-install-recommends"}, lacking...)
	if _, err := apt(ctx, install); err == nil {
		return nil
	}
	// The lists of packages may be old or not there at all.
	if out, err := apt(ctx, []string{"update"}); err != nil {
		return fmt.Errorf("updating the lists of packages: %w\n%s", err, out)
	}
	if out, err := apt(ctx, install); err != nil {
		return fmt.Errorf("installing %s: %w\n%s", strings.Join(lacking, " "), err, out)
	}
	return nil
}

func apt(ctx context.Context, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return cmd.CombinedOutput()
}

// lackingPackages names the packages of tools that are not in PATH.
func lackingPackages() []string {
	var lacking []string
	for _, tool := range []string{"runc", "ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacking = append(lacking, tools()[tool])
		}
	}
	return lacking
}
