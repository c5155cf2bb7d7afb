// Command kubectl-pace is the plugin of Pace: `kubectl pace`. A link named `pace`
// to it works as a command of its own.
package main

import (
	"context"

	"github.com/pullpace/pace/plugin"
)

// What a release is told of itself by the linker.
var (
	stamp  string // its version
	digest string // of the controller's image
)

func main() {
	ctx, stop := plugin.Interruptible(context.Background())
	code := plugin.Main(ctx, plugin.System().Stamped(stamp, digest))
	stop()
	plugin.Exit(code)
}
