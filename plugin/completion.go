package plugin

import (
	"io"

	"github.com/spf13/cobra"
)

// CompletionFile is what kubectl runs, if it is on the PATH, to complete
// `kubectl pace`; CompletionScript is its content.
// Source: kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins.
const (
	CompletionFile   = "kubectl_complete-pace"
	CompletionScript = "#!/bin/sh\n# kubectl runs this to complete `kubectl pace`.\nexec kubectl-pace __complete \"$@\"\n"
)

func newCompletion(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell|kubectl",
		Short: "Print a completion script for a shell",
		Long: "Print a completion script for a shell.\n\n" +
			"For `kubectl pace`, kubectl itself completes: write what `completion kubectl` prints\n" +
			"to an executable file named " + CompletionFile + " on the PATH.",
		Example:   s.examples("completion bash > /etc/bash_completion.d/pace", "completion kubectl > ~/.krew/bin/"+CompletionFile),
		Args:      args(1, 1),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell", "kubectl"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(s.env.Out, true)
			case "zsh":
				return root.GenZshCompletion(s.env.Out)
			case "fish":
				return root.GenFishCompletion(s.env.Out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(s.env.Out)
			case "kubectl":
				_, err := io.WriteString(s.env.Out, CompletionScript)
				return err
			}
			return usagef("unknown shell %q: want bash, zsh, fish, powershell or kubectl", args[0])
		},
	}
}
