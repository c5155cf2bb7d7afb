// Command kubectl-pace is the plugin of Pace: `kubectl pace`. A link named `pace`
// to it works as a command of its own.
package main

import (
	"context"

	"github.com/pullpace/pace/plugin"
)

func main() {
	ctx, stop := plugin.Interruptible(context.Background())
	code := plugin.Main(ctx, plugin.System())
	stop()
	plugin.Exit(code)
}
