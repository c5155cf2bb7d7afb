//go:build linux

package stage

import (
	"context"
	"fmt"
	"strings"

	"github.com/pullpace/pace/test/registry"
)

// logLines is how many of a host's requests are shown.
const logLines = 80

// Evidence is what helps to understand a failure on the stage of that name: its
// pods, their Events, what Pace says of them, and what the registry was asked.
// It works also where the stage was never finished.
func (l *Lab) Evidence(ctx context.Context, name string) string {
	var out strings.Builder
	run := func(args ...string) { fmt.Fprintln(&out, l.Kubectl(ctx, args...)) }
	run("get", "pods", "-n", name, "-o", "wide")
	run("get", "pacepolicy", "-o", "jsonpath={range .items[*]}{.metadata.name}: {.status.slipped} pods slipped by the webhook, the newest {.status.newestSlipped}{'\\n'}{end}")
	run("get", "events", "-n", name, "--sort-by=.lastTimestamp")
	run("pace", "budget", name, "--spent")
	run("pace", "status", "-n", name)
	for _, d := range strings.Fields(l.Kubectl(ctx, "get", "deployments", "-n", name, "-o", "name").Stdout) {
		run("pace", "explain", "deploy/"+d[strings.Index(d, "/")+1:], "-n", name)
	}
	run("logs", "-n", "pullpace-system", "-l", "app.kubernetes.io/name=pacer", "--tail=40", "--prefix")
	entries := l.Registry.Log().Entries(registry.Filter{Host: name + ".hub.test", Where: func(e registry.Entry) bool { return e.Kind != registry.Blob }})
	fmt.Fprintf(&out, "the last of %d requests to %s.hub.test:\n", len(entries), name)
	for _, e := range entries[max(0, len(entries)-logLines):] {
		fmt.Fprintln(&out, e)
	}
	return out.String()
}
