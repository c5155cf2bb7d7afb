package plugin

import (
	"github.com/spf13/cobra"
)

func newCompletion(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a completion script for a shell",
		Long: "Print a completion script for a shell.\n\n" +
			"For `kubectl pace`, put an executable file named kubectl_complete-pace on the PATH\n" +
			"that runs: kubectl-pace __complete \"$@\"",
		Example:   s.examples("completion bash > /etc/bash_completion.d/pace"),
		Args:      args(1, 1),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
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
			}
			return usagef("unknown shell %q: want bash, zsh, fish or powershell", args[0])
		},
	}
}
