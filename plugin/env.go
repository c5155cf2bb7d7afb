package plugin

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/pullpace/pace/plugin/cluster"
)

// Env is everything that the plugin knows of the process it runs in. Only
// [System] touches package os; tests make their own.
type Env struct {
	// Args are the words of the command line; Args[0] is the name called.
	Args []string
	// Vars are the environment variables.
	Vars map[string]string
	In   io.Reader
	Out  io.Writer
	Err  io.Writer
	// Terminal says that Out and In are terminals.
	Terminal bool
	// Width returns the columns of the terminal now; 0 where there is none.
	Width func() int
	// Now reads the clock, Location is the reader's time zone.
	Now      func() time.Time
	Location *time.Location
	// Tick returns a channel that fires every d, and what stops it.
	Tick func(d time.Duration) (<-chan time.Time, func())
	// ReadFile reads a file; "-" never reaches it.
	ReadFile func(name string) ([]byte, error)
	// WriteFile writes a file, readable by all.
	WriteFile func(name string, data []byte) error
	// Keys switches the terminal to single keys and returns them; restore
	// undoes it. It fails where In is no terminal.
	Keys func() (keys <-chan byte, restore func(), err error)
	// Connect opens a cluster.
	Connect func(flags *genericclioptions.ConfigFlags, o cluster.Options) (*cluster.Cluster, error)
	// Version is this binary's.
	Version string
	// ImageDigest is that of the controller's image of the same release; "" where
	// there is none, as in a build of one's own.
	ImageDigest string
}

// System returns the Env of this process.
func System() Env {
	return Env{
		Args: os.Args, Vars: variables(os.Environ()),
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Terminal: term.IsTerminal(int(os.Stdout.Fd())) && term.IsTerminal(int(os.Stdin.Fd())),
		Width: func() int {
			width, _, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0
			}
			return width
		},
		Now: time.Now, Location: time.Local,
		Tick: func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTicker(d)
			return t.C, t.Stop
		},
		ReadFile:  os.ReadFile,
		WriteFile: func(name string, data []byte) error { return os.WriteFile(name, data, 0o644) },
		Keys:      systemKeys,
		Connect:   cluster.Connect,
		Version:   buildVersion(),
	}
}

// Stamped is the Env of a release: what the linker was told, where it was.
func (e Env) Stamped(version, digest string) Env {
	if version != "" {
		e.Version = version
	}
	e.ImageDigest = digest
	return e
}

// Interruptible returns a context that ends on an interrupt or a termination of
// the process.
func Interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
}

// Exit ends the process.
func Exit(code int) { os.Exit(code) }

// systemKeys reads single keys from the terminal. The reader of a terminal
// cannot be interrupted: the goroutine ends with the process.
func systemKeys() (<-chan byte, func(), error) {
	fd := int(os.Stdin.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, nil, err
	}
	keys := make(chan byte)
	done := make(chan struct{})
	go readKeys(os.Stdin, keys, done)
	return keys, func() {
		close(done)
		_ = term.Restore(fd, old)
	}, nil
}

func readKeys(in io.Reader, keys chan<- byte, done <-chan struct{}) {
	buf := make([]byte, 1)
	for {
		n, err := in.Read(buf)
		if err != nil || n == 0 {
			return
		}
		select {
		case keys <- buf[0]:
		case <-done:
			return
		}
	}
}

func variables(list []string) map[string]string {
	vars := make(map[string]string, len(list))
	for _, entry := range list {
		if name, value, ok := strings.Cut(entry, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

// buildVersion is the module version that the Go command stamped.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// program is how the reader calls the plugin: "kubectl pace" when it runs as a
// kubectl plugin, else the file's name.
func (e Env) program() string {
	if len(e.Args) == 0 {
		return "kubectl pace"
	}
	name := strings.TrimSuffix(filepath.Base(e.Args[0]), ".exe")
	if plugin, ok := strings.CutPrefix(name, "kubectl-"); ok {
		return "kubectl " + strings.ReplaceAll(plugin, "-", " ")
	}
	return name
}

// color says whether to use colours on Out.
func (e Env) color() bool {
	return e.Terminal && e.Vars["NO_COLOR"] == "" && e.Vars["TERM"] != "dumb"
}
