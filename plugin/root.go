package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// Main runs the command line of env and returns the exit code.
func Main(ctx context.Context, env Env) int {
	root := New(env)
	if len(env.Args) > 0 {
		root.SetArgs(env.Args[1:])
	} else {
		root.SetArgs(nil)
	}
	err := root.ExecuteContext(ctx)
	complain(env, err)
	return exitCode(err)
}

// complain prints what went wrong, for a person.
func complain(env Env, err error) {
	if err == nil {
		return
	}
	if exit, ok := errors.AsType[*exitError](err); ok && exit.err == nil {
		return
	}
	fmt.Fprintf(env.Err, "error: %s\n", view.Clean(cluster.Explain(err, env.program()).Error()))
}

// New builds the tree of commands. Nothing is shared between two trees.
func New(env Env) *cobra.Command {
	s := &session{env: env, flags: genericclioptions.NewConfigFlags(true)}
	name := env.program()
	root := &cobra.Command{
		Use:   strings.ReplaceAll(name, " ", "-"),
		Short: "Pace rollouts, scale-ups and new nodes against what registries still allow",
		Long: "Pace treats the pulls that a registry will still allow as a resource, and admits\n" +
			"rollouts, scale-ups and new nodes against it. It is never in the pull path: it\n" +
			"only decides when a pod may go ahead.",
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: name},
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              cobra.ArbitraryArgs,
		RunE:              func(cmd *cobra.Command, args []string) error { return s.unknown(cmd, args) },
	}
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w\nsee `%s --help`", err, cmd.CommandPath())
	})
	s.flags.AddFlags(root.PersistentFlags())
	root.AddCommand(
		newRollout(s), newBudget(s), newCost(s), newStatus(s), newExplain(s),
		newPause(s), newResume(s), newRelease(s), newCheck(s), newDoctor(s), newSimulate(s),
		newInstall(s), newUninstall(s), newCompletion(s), newVersion(s),
	)
	return root
}

// unknown answers a word that is no command.
func (s *session) unknown(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	hint := fmt.Sprintf("see `%s --help`", cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf("did you mean %q?", near[0])
	}
	return usagef("unknown command %q: %s", args[0], hint)
}

// args counts the arguments of a command and complains with its usage line.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("an argument is missing; usage: %s", cmd.UseLine())
		case len(args) > most:
			return usagef("too many arguments (%q); usage: %s", args[most], cmd.UseLine())
		}
		return nil
	}
}
