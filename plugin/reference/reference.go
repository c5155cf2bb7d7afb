// Package reference writes the reference page of the command line from the tree
// of commands, so that the page cannot say what the program does not.
//
// What it does not do: it describes no concepts; docs/concepts.md does.
package reference

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// heading is what stands above the commands.
const heading = `# Command line

<!-- Generated from the program by go test ./plugin/reference -update -->

%[1]s is a plugin of kubectl; the same binary under the name ` + "`pace`" + ` works alone. Results go to
standard output, diagnostics to standard error. Colour is used on a terminal only, and never
with NO_COLOR. With ` + "`-o json`" + ` and ` + "`-o yaml`" + ` the field names are API.

| exit code | meaning |
| --- | --- |
| 0 | done, or allowed |
| 1 | an error; nothing was changed unless it says so |
| 2 | the command line is wrong |
| 3 | it would be held, there are findings, or a goal was missed |
| 4 | paused, or timed out |

`

// Write writes the page for the commands under root.
func Write(w io.Writer, root *cobra.Command) error {
	var page strings.Builder
	fmt.Fprintf(&page, heading, "`"+root.CommandPath()+"`")
	for _, cmd := range commands(root) {
		command(&page, cmd)
	}
	page.WriteString("## Flags of every command\n\n")
	flags(&page, root.PersistentFlags())
	_, err := io.WriteString(w, strings.TrimRight(page.String(), "\n")+"\n")
	return err
}

// commands returns what can be run, in the order of their paths.
func commands(root *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, cmd := range root.Commands() {
		if cmd.Hidden || cmd.Name() == "help" {
			continue
		}
		list = append(list, cmd)
		list = append(list, commands(cmd)...)
	}
	slices.SortFunc(list, func(a, b *cobra.Command) int { return strings.Compare(a.CommandPath(), b.CommandPath()) })
	return list
}

func command(page *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(page, "## %s\n\n", cmd.CommandPath())
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(page, "%s\n\n```\n%s\n```\n\n", text, cmd.UseLine())
	flags(page, cmd.LocalNonPersistentFlags())
	if cmd.Example != "" {
		fmt.Fprintf(page, "```console\n")
		for _, line := range strings.Split(cmd.Example, "\n") {
			fmt.Fprintf(page, "$ %s\n", strings.TrimSpace(line))
		}
		fmt.Fprintf(page, "```\n\n")
	}
}

func flags(page *strings.Builder, set *pflag.FlagSet) {
	var rows strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", name, byDefault(f), strings.ReplaceAll(f.Usage, "|", "\\|"))
	})
	if rows.Len() > 0 {
		fmt.Fprintf(page, "| flag | default | meaning |\n| --- | --- | --- |\n%s\n", rows.String())
	}
}

// byDefault is the default of a flag; that of the cache directory is in the home
// of whoever runs the generator and is left out.
func byDefault(f *pflag.Flag) string {
	if f.DefValue == "" || f.DefValue == "[]" || f.Name == "cache-dir" {
		return ""
	}
	return "`" + f.DefValue + "`"
}
