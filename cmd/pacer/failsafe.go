package main

import (
	"github.com/spf13/cobra"

	"github.com/pullpace/pace/pacer/failsafe"
)

func newFailsafe(env environment) *cobra.Command {
	o := failsafe.Defaults()
	o.Version = version()
	var kubeconfig string
	var verbosity int
	cmd := &cobra.Command{
		Use: "failsafe", Short: "Let go of what is held when the controller is gone", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			setLogger(env, verbosity)
			config, err := restConfig(kubeconfig)
			if err != nil {
				return err
			}
			return failsafe.Run(cmd.Context(), config, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "file that names the cluster; default: the cluster that this pod runs in")
	flags.StringVar(&o.Namespace, "namespace", env.get("POD_NAMESPACE", o.Namespace), "namespace that Pace runs in")
	flags.StringVar(&o.Identity, "identity", env.get("POD_NAME", env.hostname), "name of this process in its heartbeat")
	flags.StringVar(&o.HealthAddress, "health-address", o.HealthAddress, "address of /healthz and /readyz; 0: none")
	flags.StringVar(&o.MetricsAddress, "metrics-address", o.MetricsAddress, "address of /metrics; 0: none")
	flags.IntVarP(&verbosity, "verbosity", "v", 0, "0: what changed, 1: for debugging")
	return cmd
}
