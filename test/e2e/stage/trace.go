//go:build linux

package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/pullpace/pace/plugin/view"
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
