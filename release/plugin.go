package release

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pullpace/pace/plugin"
)

// Plugin builds the plugin's archive for a platform.
func (t Tree) Plugin(ctx context.Context, p Platform, s Stamp, at time.Time) ([]byte, error) {
	program, err := t.Build(ctx, "cmd/kubectl-pace", p, s)
	if err != nil {
		return nil, err
	}
	license, err := os.ReadFile(filepath.Join(t.Root, "LICENSE"))
	if err != nil {
		return nil, fmt.Errorf("reading the license: %w", err)
	}
	return pack(p, at, []file{
		{p.binary(), 0o755, program},
		{"LICENSE", 0o644, license},
		{plugin.CompletionFile, 0o755, []byte(plugin.CompletionScript)},
	})
}
