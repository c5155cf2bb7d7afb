// Package docs carries the page that must be at hand when nothing else is. It
// renders nothing; the plugin prints it.
package docs

import (
	_ "embed"
	"strings"
)

//go:embed removal.md
var removal string

// Removal is what docs/removal.md has people run: plain kubectl in bash.
func Removal() string {
	_, text, _ := strings.Cut(removal, "```bash\n")
	text, _, _ = strings.Cut(text, "```")
	return text
}
