//go:build linux

package ground

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Result is what a command said and how it ended.
type Result struct {
	Program        string
	Args           []string
	Stdout, Stderr string
	// Code is the exit code, -1 when it could not be run or was ended.
	Code int
	Took time.Duration
}

// String shows all of it, for a failure.
func (r Result) String() string {
	return fmt.Sprintf("$ %s %s\n%s%s(exit %d after %s)", r.Program, strings.Join(r.Args, " "), r.Stdout, r.Stderr, r.Code, r.Took.Round(time.Millisecond))
}

// Tells complains unless it ended with the code and has said all of the words.
func (r Result) Tells(code int, words ...string) error {
	for _, word := range words {
		if !strings.Contains(r.Stdout+r.Stderr, word) {
			return fmt.Errorf("want it to say %q: %s", word, r)
		}
	}
	if r.Code != code {
		return fmt.Errorf("want exit code %d: %s", code, r)
	}
	return nil
}

// Kubectl runs kubectl against the cluster, without a terminal. The plugin is on
// its path: Kubectl(ctx, "pace", "budget").
func (g *Ground) Kubectl(ctx context.Context, args ...string) Result {
	return run(g.Command(ctx, args...), args, nil)
}

// Helm runs helm against the cluster.
func (g *Ground) Helm(ctx context.Context, args ...string) Result {
	return run(g.command(ctx, "helm", args), args, nil)
}

// Stream is Kubectl with its standard output also copied to w as it comes.
func (g *Ground) Stream(ctx context.Context, w io.Writer, args ...string) Result {
	return run(g.Command(ctx, args...), args, w)
}

// Apply runs kubectl apply with a manifest on standard input.
func (g *Ground) Apply(ctx context.Context, manifest string) error {
	cmd := g.Command(ctx, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifest)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("applying a manifest: %w\n%s", err, out)
	}
	return nil
}

// run runs a command and copies its standard output to copyTo, if there is one.
func run(cmd *exec.Cmd, args []string, copyTo io.Writer) Result {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if copyTo != nil {
		cmd.Stdout = io.MultiWriter(&out, copyTo)
	}
	begin := time.Now()
	err := cmd.Run()
	r := Result{Program: filepath.Base(cmd.Path), Args: args, Stdout: out.String(), Stderr: errs.String(), Took: time.Since(begin)}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		r.Code, r.Stderr = -1, r.Stderr+err.Error()
	}
	return r
}

// Command is kubectl with the environment of this cluster, to be started by the
// caller. It is interrupted, as by Ctrl-C, when ctx ends.
func (g *Ground) Command(ctx context.Context, args ...string) *exec.Cmd {
	return g.command(ctx, "kubectl", args)
}

func (g *Ground) command(ctx context.Context, program string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(g.bin, program), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+g.Cluster.Kubeconfig(), "PATH="+g.bin+":"+os.Getenv("PATH"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Bin is the folder of kubectl and kubectl-pace.
func (g *Ground) Bin() string { return g.bin }
