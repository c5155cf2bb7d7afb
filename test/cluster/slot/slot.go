//go:build linux

// Package slot hands out the numbered places that test clusters live in, and
// removes what a cluster leaves outside its own namespaces.
//
// A slot is a folder, a cgroup and a network link of the machine, all named
// after the slot's number, so that several clusters fit on one machine and
// what a dead owner left is always found. Processes, mounts and namespaces are
// not its concern: they end with the cluster's first process.
package slot

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Base is the folder of all slots. It must not be one that a node covers
	// with its own (/run, /var/log, /var/lib).
	Base = "/var/cache/pullpace/clusters"
	// Count is how many clusters fit on a machine; the address plan has room
	// for no more.
	Count = 16

	cgroups = "/sys/fs/cgroup"
)

// Slot is one place, held by this process until Release or its end.
type Slot struct {
	// Index is from 0 to Count-1.
	Index int
	lock  *os.File
}

// Claim takes the first free slot and clears it of what an owner that died
// left there.
func Claim() (*Slot, error) {
	if err := os.MkdirAll(Base, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of clusters: %w", err)
	}
	for index := range Count {
		s, err := take(index)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := s.Clear(); err != nil {
			return nil, errors.Join(err, s.lock.Close())
		}
		return s, nil
	}
	return nil, fmt.Errorf("all %d places for clusters on this machine are taken; stop one", Count)
}

// SweepAll clears every slot without a living owner and returns their numbers
// if there was something to clear.
func SweepAll() ([]int, error) {
	var swept []int
	for index := range Count {
		found, err := Sweep(index)
		if err != nil {
			return swept, err
		}
		if found {
			swept = append(swept, index)
		}
	}
	return swept, nil
}

// Sweep clears the slot unless it has a living owner, and says whether there
// was something to clear.
func Sweep(index int) (bool, error) {
	if _, err := os.Stat(lockPath(index)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	s, err := take(index)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	found := len(s.leftovers()) > 0
	return found, s.Release()
}

// SweepDead clears the slot of an owner that is just ending. If another one has
// the slot after some seconds, that one has cleared it.
func SweepDead(index int) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s, err := take(index)
		if err == nil {
			return s.Release()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(deadline) {
			return nil
		}
	}
}

// take locks a slot; the error is EWOULDBLOCK where somebody else holds it.
func take(index int) (*Slot, error) {
	lock, err := os.OpenFile(lockPath(index), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of a cluster's place: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Slot{Index: index, lock: lock}, nil
}

func lockPath(index int) string { return filepath.Join(Base, fmt.Sprintf("%d.lock", index)) }

// Dir is the slot's folder; it is made by whoever uses it.
func (s *Slot) Dir() string { return filepath.Join(Base, fmt.Sprint(s.Index)) }

// Link is the name of the slot's link in the machine's network namespace.
func (s *Slot) Link() string { return fmt.Sprintf("pace%d", s.Index) }

// Cgroup is the path of the slot's cgroup below the root of each hierarchy.
func (s *Slot) Cgroup() string { return fmt.Sprintf("/pullpace%d", s.Index) }

// Release clears the slot and gives it up.
func (s *Slot) Release() error {
	return errors.Join(s.Clear(), s.lock.Close())
}

// Clear removes the slot's link, cgroups and folder. It tries for some
// seconds, since the processes that used them may still be ending.
func (s *Slot) Clear() error {
	deadline := time.Now().Add(15 * time.Second)
	for {
		err := s.clearOnce()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *Slot) clearOnce() error {
	if _, err := net.InterfaceByName(s.Link()); err == nil {
		out, err := exec.Command("ip", "link", "delete", s.Link()).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "Cannot find device") {
			return fmt.Errorf("deleting link %s: %w: %s", s.Link(), err, out)
		}
	}
	for _, dir := range s.cgroupDirs() {
		if err := removeCgroup(dir); err != nil {
			return fmt.Errorf("removing cgroup: %w", err)
		}
	}
	if err := os.RemoveAll(s.Dir()); err != nil {
		return fmt.Errorf("removing the cluster's folder: %w", err)
	}
	return nil
}

// leftovers names what Clear would remove.
func (s *Slot) leftovers() []string {
	found := s.cgroupDirs()
	if _, err := net.InterfaceByName(s.Link()); err == nil {
		found = append(found, s.Link())
	}
	if _, err := os.Stat(s.Dir()); err == nil {
		found = append(found, s.Dir())
	}
	return found
}

// cgroupDirs returns the slot's folder in every hierarchy that has one:
// version 2 has one hierarchy, version 1 one per controller.
func (s *Slot) cgroupDirs() []string {
	var dirs []string
	for _, pattern := range []string{cgroups + s.Cgroup(), cgroups + "/*" + s.Cgroup()} {
		match, _ := filepath.Glob(pattern) // fails only for a malformed pattern
		dirs = append(dirs, match...)
	}
	return dirs
}

// removeCgroup removes a cgroup and those below it, the deepest first. The
// files in them cannot be removed and need not be.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %q: %w", dir, err)
	}
	return nil
}
