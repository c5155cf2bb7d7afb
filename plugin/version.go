package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// The versions of Kubernetes that are supported, inclusive. Older ones are refused:
// what holds a pod back (gates, match conditions) is stable from 1.30 on, but nobody
// tests there. Newer ones get a remark.
const (
	oldestCluster = "1.31"
	newestCluster = "1.37"
)

func newVersion(s *session) *cobra.Command {
	var out output
	var clientOnly bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the versions of plugin, controller and cluster",
		Example: s.examples("version", "version --client -o json"),
		Args:    args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.validate(); err != nil {
				return err
			}
			model := view.Version{Client: s.env.Version, Controller: "not asked", Cluster: "not asked", Supported: oldestCluster + " - " + newestCluster}
			if !clientOnly {
				if err := s.versions(cmd.Context(), &model); err != nil {
					// The client's version is known all the same.
					defer func() { s.notef("cluster not asked: %v", err) }()
				}
			}
			return show(s, out, model, view.VersionLine)
		},
	}
	out.add(cmd.Flags())
	cmd.Flags().BoolVar(&clientOnly, "client", false, "do not ask the cluster")
	return cmd
}

// versions asks the cluster.
func (s *session) versions(ctx context.Context, model *view.Version) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	info, err := c.Version()
	if err != nil {
		return fmt.Errorf("asking for the version: %w", err)
	}
	model.Cluster = info.GitVersion
	if note := supported(info.GitVersion); note != "" {
		model.Cluster += " " + note
	}
	controller, err := cluster.ControllerOf(ctx, c.Client)
	if err != nil {
		return err
	}
	model.Controller = "not installed"
	if controller.Installed {
		model.Controller = "installed"
	}
	if controller.Image != "" {
		model.Controller = controller.Image
	}
	if controller.Version != "" {
		model.Controller = controller.Version
	}
	s.warnOfSkew(controller)
	if controller.Installed {
		// Who may not see nodes is told the versions all the same.
		if held, err := cluster.HeldNodes(ctx, c.Client); err == nil {
			model.HeldNodes = len(held)
		}
	}
	return nil
}

// warnOfSkew warns of a controller that is too far from the plugin; commands that
// only read go on.
func (s *session) warnOfSkew(c view.Controller) {
	if err := cluster.Compatible(s.env.Version, c); err != nil {
		s.notef("warning: %v", err)
	}
}

// refuseSkew is for commands that write what the controller has to understand.
func (s *session) refuseSkew(c view.Controller) error {
	if err := cluster.Compatible(s.env.Version, c); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	return nil
}

// supported returns a remark about a version that is not supported.
func supported(git string) string {
	got, err := version.ParseGeneric(git)
	if err != nil {
		return "(not understood)"
	}
	minor := version.MajorMinor(got.Major(), got.Minor())
	if minor.LessThan(version.MustParseGeneric(oldestCluster)) || minor.GreaterThan(version.MustParseGeneric(newestCluster)) {
		return "(not tested)"
	}
	return ""
}
