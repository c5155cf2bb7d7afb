package main

import (
	"fmt"
	"log/slog"
	"math"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/controller"
)

func newController(env environment) *cobra.Command {
	o := controller.Defaults()
	o.Version = version()
	var kubeconfig, trace string
	var verbosity int
	cmd := &cobra.Command{
		Use: "controller", Short: "Hold pods back and let them go as the budget allows", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			setLogger(env, verbosity)
			size, err := resource.ParseQuantity(trace)
			if err != nil {
				return fmt.Errorf("reading --trace: %w", err)
			}
			o.Trace = int(min(size.Value(), math.MaxInt32))
			config, err := restConfig(kubeconfig)
			if err != nil {
				return err
			}
			return controller.Run(cmd.Context(), config, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "file that names the cluster; default: the cluster that this pod runs in")
	flags.StringVar(&o.Namespace, "namespace", env.get("POD_NAMESPACE", o.Namespace), "namespace that Pace runs in")
	flags.StringVar(&o.Identity, "identity", env.get("POD_NAME", env.hostname), "name of this replica")
	flags.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "let one of several replicas decide")
	flags.IntVar(&o.WebhookPort, "webhook-port", o.WebhookPort, "port of admission and of /v1/budgets")
	flags.StringVar(&o.WebhookConfig, "webhook-config", o.WebhookConfig, "MutatingWebhookConfiguration that is to trust the certificate")
	flags.StringVar(&o.WebhookService, "webhook-service", o.WebhookService, "Service that the webhook configuration names")
	flags.StringSliceVar(&o.WebhookHosts, "webhook-host", nil, "further names and addresses of the certificate")
	flags.StringVar(&o.MetricsAddress, "metrics-address", o.MetricsAddress, "address of /metrics; 0: none")
	flags.StringVar(&o.HealthAddress, "health-address", o.HealthAddress, "address of /healthz and /readyz; 0: none")
	flags.StringVar(&o.GateAddress, "gate-address", o.GateAddress, "address of /v1/gate, which steps of Argo Rollouts ask; 0: none")
	flags.StringVar(&o.ProbeProxy, "probe-proxy", env.get("HTTPS_PROXY", ""), "proxy that registries are asked through; never the API server")
	flags.StringVar(&o.ProbeNoProxy, "probe-no-proxy", env.get("NO_PROXY", ""), "registries that are asked without the proxy")
	flags.StringVar(&o.ProbeAuthorities, "probe-authorities", env.get("PROBE_AUTHORITIES", ""), "certificate authorities of registries, in PEM, besides the system's")
	flags.StringVar(&trace, "trace", "0", "how much of what was seen and decided to keep in memory, compressed, as 64Mi, for `kubectl pace simulate record --decisions`; 0: nothing")
	flags.IntVarP(&verbosity, "verbosity", "v", 0, "0: what changed, 1: for debugging")
	return cmd
}

// restConfig says how to reach the cluster.
func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("reading the configuration of this pod: %w; outside a cluster name one with --kubeconfig", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	return config, nil
}

// setLogger writes one JSON object a line.
func setLogger(env environment, verbosity int) {
	handler := slog.NewJSONHandler(env.stderr, &slog.HandlerOptions{Level: slog.Level(-verbosity)})
	logger := logr.FromSlogHandler(handler)
	log.SetLogger(logger)
	klog.SetLogger(logger)
}
