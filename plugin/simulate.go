package plugin

import (
	"github.com/spf13/cobra"
)

func newSimulate(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Test policies against a scale-up, offline, with the controller's own decision code",
		Args:  cobra.ArbitraryArgs,
		RunE:  func(cmd *cobra.Command, args []string) error { return s.unknown(cmd, args) },
	}
	cmd.AddCommand(newRecord(s), newReplay(s))
	return cmd
}
