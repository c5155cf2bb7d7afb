//go:build linux

package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate/trace"
)

// Enforcing are the flags of an installation that holds what it should, and keeps a
// trace of its decisions: it has room for those of a whole suite.
func Enforcing() []string { return []string{"--enforce", "--trace", "128Mi"} }

// Replayed has the plugin, another process, decide again what the controller decided
// since it began to lead, and fails unless that comes to the same, byte for byte.
func (l *Lab) Replayed(ctx context.Context) (view.Replay, error) {
	var replay view.Replay
	trace := l.Kubectl(ctx, "pace", "simulate", "record", "--decisions")
	if trace.Code != 0 {
		return replay, fmt.Errorf("recording: %s", trace)
	}
	file, err := keep(l.Cluster.LogsDir(), "decisions", trace.Stdout)
	if err != nil {
		return replay, err
	}
	out := l.Kubectl(ctx, "pace", "simulate", "replay", file, "-o", "json")
	if err := json.Unmarshal([]byte(out.Stdout), &replay); err != nil {
		return replay, fmt.Errorf("replaying: %w\n%s", err, out)
	}
	switch {
	case out.Code != 0:
		return replay, fmt.Errorf("replaying: %s", l.Kubectl(ctx, "pace", "simulate", "replay", file))
	case replay.Decisions == 0 || replay.Starts == 0:
		return replay, fmt.Errorf("the trace proves nothing: %d decisions, %d starts", replay.Decisions, replay.Starts)
	case replay.Ended != "":
		return replay, fmt.Errorf("the trace ended: %s", replay.Ended)
	}
	return replay, nil
}

// Recorded keeps what the controller decided since it began to lead beside the logs, and
// says where; or why it could not.
func (l *Lab) Recorded(ctx context.Context, name string) string {
	trace := l.Kubectl(ctx, "pace", "simulate", "record", "--decisions")
	if trace.Code != 0 {
		return fmt.Sprintf("recording: %s\n", trace)
	}
	file, err := keep(l.Cluster.LogsDir(), name, trace.Stdout)
	if err != nil {
		return err.Error() + "\n"
	}
	return "the trace of the controller: " + file + "\n"
}

// keep writes a trace beside the logs, which are kept when something fails.
func keep(folder, name, text string) (string, error) {
	file, err := os.CreateTemp(folder, name+"-*.jsonl")
	if err != nil {
		return "", fmt.Errorf("keeping a trace: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.WriteString(text); err != nil {
		return "", fmt.Errorf("keeping a trace: %w", err)
	}
	return file.Name(), nil
}

// Record has the plugin record the stage from now on; stop ends that and returns the
// run.
func (s *Stage) Record(ctx context.Context) (stop func() (trace.Run, error), err error) {
	cmd := s.Command(ctx, "pace", "simulate", "record", "-n", s.Name, "--for", "1h")
	var out, said bytes.Buffer
	watching := make(chan struct{})
	cmd.Stdout, cmd.Stderr = &out, &herald{to: &said, word: "recording;", heard: watching}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-watching:
	case err := <-ended:
		return nil, fmt.Errorf("recording: %w\n%s", err, said.String())
	}
	return func() (trace.Run, error) {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGINT), <-ended); err != nil {
			return trace.Run{}, fmt.Errorf("recording: %w\n%s", err, said.String())
		}
		return trace.Decode(out.Bytes())
	}, nil
}

// herald passes on what is written to it, and tells when a word came.
type herald struct {
	to    *bytes.Buffer
	word  string
	heard chan struct{}
	told  bool
}

// Write implements io.Writer.
func (h *herald) Write(b []byte) (int, error) {
	n, err := h.to.Write(b)
	if !h.told && strings.Contains(h.to.String(), h.word) {
		h.told = true
		close(h.heard)
	}
	return n, err
}

// Predicted has the plugin set a run against the simulation of its scenario, and
// returns the figures and the table of them.
func (s *Stage) Predicted(ctx context.Context, run trace.Run) (view.Prediction, string, error) {
	var p view.Prediction
	file, err := keep(s.Cluster.LogsDir(), "run-"+s.Name, string(trace.Encode(run)))
	if err != nil {
		return p, "", err
	}
	out := s.Kubectl(ctx, "pace", "simulate", "replay", file, "-o", "json")
	if out.Code != 0 {
		return p, "", fmt.Errorf("replaying: %s", out)
	}
	if err := json.Unmarshal([]byte(out.Stdout), &p); err != nil {
		return p, "", fmt.Errorf("replaying: %w\n%s", err, out)
	}
	table := s.Kubectl(ctx, "pace", "simulate", "replay", file)
	return p, table.Stdout, nil
}
