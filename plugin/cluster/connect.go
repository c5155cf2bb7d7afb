package cluster

import (
	"context"
	"errors"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// The plugin is one person at work: it may be quicker than kubectl's default of 5
// a second, and must not crowd out controllers.
const (
	clientQPS   = 50
	clientBurst = 100
)

// Cluster is an open cluster.
type Cluster struct {
	Client client.WithWatch
	// Namespace is the one that the flags or the context name.
	Namespace string
	// Context is what the kubeconfig calls the cluster; empty where it has no name.
	Context string
	// Version asks the API server for its version.
	Version func() (*version.Info, error)
	// Kubelet asks the kubelet of a node for its configuration, through the API server.
	Kubelet func(ctx context.Context, node string) ([]byte, error)
	// Ask asks a pod by HTTP on a port of its loopback address.
	Ask func(ctx context.Context, pod types.NamespacedName, port int, path string) ([]byte, error)
}

// Options are what Connect cannot know from the flags.
type Options struct {
	// UserAgent names the plugin to the API server.
	UserAgent string
	// InPod says that the process runs in a pod of a cluster.
	InPod bool
	// Warn is told each warning of the API server.
	Warn func(text string)
}

// ErrNoKubeconfig says that nothing tells which cluster to talk to.
var ErrNoKubeconfig = errors.New("no kubeconfig: set KUBECONFIG, put a file at ~/.kube/config, or name one with --kubeconfig")

// Scheme holds the kinds that the plugin reads and writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	add := []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, apiextensionsv1.AddToScheme}
	for _, f := range add {
		if err := f(scheme); err != nil {
			return nil, fmt.Errorf("building the scheme: %w", err)
		}
	}
	return scheme, nil
}

// Connect opens the cluster that the flags name. It sends no request yet.
func Connect(flags *genericclioptions.ConfigFlags, o Options) (*Cluster, error) {
	loader := flags.ToRawKubeConfigLoader()
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if len(raw.Clusters) == 0 && *flags.APIServer == "" && !o.InPod {
		return nil, ErrNoKubeconfig
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("reading the namespace of the kubeconfig: %w", err)
	}
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	called := raw.CurrentContext
	if *flags.Context != "" {
		called = *flags.Context
	}
	config = rest.CopyConfig(config)
	config.UserAgent, config.QPS, config.Burst = o.UserAgent, clientQPS, clientBurst
	config.WarningHandler = warnings(o.Warn)
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", config.Host, err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", config.Host, err)
	}
	return &Cluster{Client: c, Namespace: namespace, Context: called, Version: disco.ServerVersion, Ask: asking(config), Kubelet: asksKubelet(disco.RESTClient())}, nil
}

// asksKubelet asks kubelets by the proxy of the API server.
func asksKubelet(c rest.Interface) func(context.Context, string) ([]byte, error) {
	return func(ctx context.Context, node string) ([]byte, error) {
		text, err := c.Get().AbsPath("/api/v1/nodes", node, "proxy/configz").DoRaw(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking the kubelet of node %s: %w", node, err)
		}
		return text, nil
	}
}

// warnings hands the API server's warnings on, each once.
type warnings func(text string)

// HandleWarningHeader implements rest.WarningHandler. Code 299 is the only one
// that the API server's own warnings use.
func (w warnings) HandleWarningHeader(code int, _ string, text string) {
	if w != nil && code == 299 && text != "" {
		w(text)
	}
}
