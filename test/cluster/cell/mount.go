//go:build linux

package cell

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// do mounts m in this process's mount namespace.
func (m Mount) do() error {
	if m.Type != "" {
		return unix.Mount(m.Type, m.Target, m.Type, 0, "")
	}
	target, err := follow(m.Target)
	if err != nil {
		return err
	}
	return unix.Mount(m.Source, target, "", unix.MS_BIND|unix.MS_REC, "")
}

// follow returns what path leads to. /etc/resolv.conf is often a link into
// /run, which a cell may have covered with an empty file system, so a missing
// end of a link is made.
func follow(path string) (string, error) {
	linked := false
	for range 16 {
		to, err := os.Readlink(path)
		if errors.Is(err, fs.ErrNotExist) && linked {
			return path, touch(path)
		}
		if err != nil {
			return path, nil // not a link: let the mount itself say what is wrong
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path, linked = to, true
	}
	return "", errors.New("too many symbolic links")
}

func touch(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, nil, 0o644)
}
