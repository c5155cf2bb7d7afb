//go:build linux

// Command cell is the first process of the test cluster's world and of each of
// its nodes. Package cluster starts it; it is of no use by hand.
//
//	cell SOCKET                   serve requests; be PID 1 of new namespaces
//	cell -cgroup CGROUP SOCKET    the same, with a cgroup as the root of all
//	cell -janitor SLOT            wait for the end of standard input, then clear the slot
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/pullpace/pace/test/cluster/cell"
	"github.com/pullpace/pace/test/cluster/slot"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cell:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "-janitor" {
		return janitor(args[1])
	}
	if len(args) == 3 && args[0] == "-cgroup" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		return cell.Confine(args[1], []string{self, args[2]})
	}
	if len(args) != 1 {
		return fmt.Errorf("expected a socket, got %q; this program is started by the test cluster", args)
	}
	return cell.Serve(args[0], lifeline())
}

// janitor outlives the owner of a cluster, however that ends. If the owner
// cleared its slot, or another one has taken it since, nothing is left to do.
func janitor(arg string) error {
	index, err := strconv.Atoi(arg)
	if err != nil {
		return fmt.Errorf("reading the number of the slot: %w", err)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return fmt.Errorf("waiting for the owner's end: %w", err)
	}
	return slot.SweepDead(index)
}

// lifeline is standard input where that is a pipe from the owner. A cell inside
// another cell needs none: it ends with the outer one.
func lifeline() io.Reader {
	info, err := os.Stdin.Stat()
	if err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return os.Stdin
	}
	return endless{}
}

// endless never returns from a read.
type endless struct{}

func (endless) Read([]byte) (int, error) { select {} }
