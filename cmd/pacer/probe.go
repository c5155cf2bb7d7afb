package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/pullpace/pace/pacer/controller"
	"github.com/pullpace/pace/pacer/probe"
	"github.com/pullpace/pace/pacer/registry"
)

func newProbe(env environment) *cobra.Command {
	o := probe.Options{Agent: "pace/" + version()}
	var kubeconfig, node, proxy, except string
	var verbosity int
	cmd := &cobra.Command{
		Use: "probe", Short: "Ask registries from where the nodes of an egress group leave the network", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			setLogger(env, verbosity)
			if node != "" {
				o.Egress = probe.NodeGroup(node)
			}
			var err error
			if o.Proxy, err = registry.ParseProxy(proxy, except); err != nil {
				return fmt.Errorf("reading the proxy: %w", err)
			}
			config, err := restConfig(kubeconfig)
			if err != nil {
				return err
			}
			// The proxy is for registries, never for the API server.
			config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return fmt.Errorf("making a client: %w", err)
			}
			p := probe.Probe{Client: client, Options: o}
			return p.Run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "", "file that names the cluster; default: the cluster that this pod runs in")
	flags.StringVar(&o.Namespace, "namespace", env.get("POD_NAMESPACE", controller.Defaults().Namespace), "namespace that Pace runs in")
	flags.StringVar(&o.Egress, "egress", "", "egress group to ask for")
	flags.StringVar(&node, "node", "", "node to ask for, where each is a group of its own")
	flags.StringVar(&proxy, "proxy", env.get("HTTPS_PROXY", ""), "proxy that registries are asked through; never the API server")
	flags.StringVar(&except, "no-proxy", env.get("NO_PROXY", ""), "registries that are asked without the proxy")
	flags.StringVar(&o.Authorities, "authorities", env.get("PROBE_AUTHORITIES", ""), "certificate authorities of registries, in PEM, besides the system's")
	flags.IntVarP(&verbosity, "verbosity", "v", 0, "0: what changed, 1: for debugging")
	return cmd
}
