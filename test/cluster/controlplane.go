//go:build linux

package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// startTimeout bounds each step of starting; a loaded machine of two cores
// needs a fraction of it.
const startTimeout = 2 * time.Minute

// startControlPlane starts everything that is not a node.
func (c *Cluster) startControlPlane(ctx context.Context) error {
	if err := c.writeKeys(); err != nil {
		return err
	}
	etcd := []string{
		"etcd", "--data-dir=" + c.path("etcd"), "--log-level=warn",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380",
		// Nothing has to survive the machine.
		"--unsafe-no-fsync",
	}
	if err := c.launchOther(ctx, "etcd", etcd); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	manager := append([]string{
		controllerManager, "--kubeconfig=" + c.path("admin.kubeconfig"), "--leader-elect=false",
		"--bind-address=127.0.0.1", "--root-ca-file=" + c.path("pki", "ca.crt"),
		"--service-account-private-key-file=" + c.path("pki", "accounts.key"),
		"--kube-api-qps=200", "--kube-api-burst=300",
	}, c.options.ControllerManagerArgs...)
	if err := c.launchOther(ctx, controllerManager, manager); err != nil {
		return err
	}
	scheduler := append([]string{
		kubeScheduler, "--kubeconfig=" + c.path("admin.kubeconfig"), "--leader-elect=false",
		"--bind-address=127.0.0.1", "--kube-api-qps=200", "--kube-api-burst=300",
	}, c.options.SchedulerArgs...)
	return c.launchOther(ctx, kubeScheduler, scheduler)
}

// launchOther starts a program of the world, with what is added to its environment.
func (c *Cluster) launchOther(ctx context.Context, name string, args []string, env ...string) error {
	p, err := c.launch(ctx, c.world.Cell, name, args, env)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.others = append(c.others, p)
	return nil
}

// startAPIServer starts it and returns when it is ready.
func (c *Cluster) startAPIServer(ctx context.Context) error {
	audited, err := c.audited()
	if err != nil {
		return err
	}
	args := append([]string{
		"kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0", "--secure-port=443", "--advertise-address=" + c.plan.bridge().String(),
		"--service-cluster-ip-range=" + serviceNetwork().String(),
		"--tls-cert-file=" + c.path("pki", "api.crt"), "--tls-private-key-file=" + c.path("pki", "api.key"),
		"--client-ca-file=" + c.path("pki", "ca.crt"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.path("pki", "accounts.crt"),
		"--service-account-signing-key-file=" + c.path("pki", "accounts.key"),
		"--kubelet-client-certificate=" + c.path("pki", "admin.crt"), "--kubelet-client-key=" + c.path("pki", "admin.key"),
		"--kubelet-preferred-address-types=InternalIP",
		// There is no kube-proxy: webhooks are called at their pods' addresses.
		"--enable-aggregator-routing=true",
		"--requestheader-client-ca-file=" + c.path("pki", "ca.crt"), "--requestheader-allowed-names=admin",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--proxy-client-cert-file=" + c.path("pki", "admin.crt"), "--proxy-client-key-file=" + c.path("pki", "admin.key"),
	}, slices.Concat(audited, c.options.APIServerArgs)...)
	p, err := c.launch(ctx, c.world.Cell, "kube-apiserver", args, nil)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.api = p
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.until(ctx, "the API server", func(ctx context.Context) error {
		_, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// RestartAPIServer kills the API server and starts it again. It returns when
// the new one is ready.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	if err := c.StopAPIServer(ctx); err != nil {
		return err
	}
	return c.StartAPIServer(ctx)
}

// StopAPIServer kills the API server: a graceful end would take a minute while
// watches are open.
func (c *Cluster) StopAPIServer(ctx context.Context) error {
	if err := c.controlled(); err != nil {
		return err
	}
	return c.api.kill(ctx)
}

// FreezeAPIServer gives the API server no time for a while: connections stay open
// and nothing is answered. It goes on in any case when this returns.
func (c *Cluster) FreezeAPIServer(ctx context.Context, d time.Duration) error {
	if err := c.controlled(); err != nil {
		return err
	}
	thaw, err := c.api.freeze(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
	return thaw()
}

// FreezeControllers gives the controller manager no time until thaw is called: what is
// made meanwhile is found by it as if it had been so all along.
func (c *Cluster) FreezeControllers(ctx context.Context) (thaw func() error, err error) {
	return c.freeze(ctx, controllerManager)
}

// FreezeScheduler gives the scheduler no time until thaw is called.
func (c *Cluster) FreezeScheduler(ctx context.Context) (thaw func() error, err error) {
	return c.freeze(ctx, kubeScheduler)
}

func (c *Cluster) freeze(ctx context.Context, name string) (thaw func() error, err error) {
	if err := c.controlled(); err != nil {
		return nil, err
	}
	for _, p := range c.processes() {
		if p.name == name {
			return p.freeze(ctx)
		}
	}
	return nil, fmt.Errorf("no %s is running", name)
}

const (
	controllerManager = "kube-controller-manager"
	kubeScheduler     = "kube-scheduler"
)

// StartAPIServer starts the API server after StopAPIServer.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	if err := c.controlled(); err != nil {
		return err
	}
	return c.fail(c.startAPIServer(ctx))
}

// writeKeys makes certificates, keys and the administrator's kubeconfig.
func (c *Cluster) writeKeys() error {
	holders := map[string]identity{
		"admin": {user: "admin", groups: []string{"system:masters"}},
		"api": {user: "kube-apiserver", hosts: []string{
			apiService().String(), c.plan.world().String(), c.plan.bridge().String(), "127.0.0.1",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		"accounts": {user: "service-accounts"},
	}
	files := map[string][]byte{c.path("pki", "ca.crt"): c.ca.pem}
	for name, holder := range holders {
		made, err := c.ca.issue(holder)
		if err != nil {
			return err
		}
		files[c.path("pki", name+".crt")], files[c.path("pki", name+".key")] = made.cert, made.key
	}
	for file, content := range files {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return fmt.Errorf("writing keys: %w", err)
		}
	}
	admin := pair{files[c.path("pki", "admin.crt")], files[c.path("pki", "admin.key")]}
	c.kubeconfig = c.path("admin.kubeconfig")
	if err := c.writeKubeconfig(c.kubeconfig, c.plan.world(), admin); err != nil {
		return err
	}
	return c.loadKubeconfig()
}

// writeKubeconfig is for a client that reaches the API server at an address.
func (c *Cluster) writeKubeconfig(file string, server netip.Addr, client pair) error {
	config := clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"pace": {
			Server: "https://" + server.String(), CertificateAuthorityData: c.ca.pem,
		}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"pace": {ClientCertificateData: client.cert, ClientKeyData: client.key}},
		Contexts:       map[string]*clientcmdapi.Context{"pace": {Cluster: "pace", AuthInfo: "pace"}},
		CurrentContext: "pace",
	}
	if err := clientcmd.WriteToFile(config, file); err != nil {
		return fmt.Errorf("writing kubeconfig: %w", err)
	}
	return nil
}

func (c *Cluster) loadKubeconfig() (err error) {
	if c.rest, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return fmt.Errorf("reading kubeconfig: %w", err)
	}
	c.rest.QPS, c.rest.Burst = 200, 300
	c.rest.WarningHandler = rest.NoWarnings{} // who writes by kubectl or the plugin sees them
	if c.client, err = kubernetes.NewForConfig(c.rest); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return nil
}

// awaitAccount returns when pods can be created in the default namespace.
func (c *Cluster) awaitAccount(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.until(ctx, "the default service account", func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// Kubeconfig is the path of a kubeconfig with all rights.
func (c *Cluster) Kubeconfig() string { return c.kubeconfig }

// RESTConfig returns a client configuration with all rights.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.rest) }

// Client returns a client with all rights.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// ServerCertificate issues a certificate that all nodes trust, for a registry
// or token service with these names or addresses.
func (c *Cluster) ServerCertificate(hosts ...string) (tls.Certificate, error) {
	if err := c.controlled(); err != nil {
		return tls.Certificate{}, err
	}
	made, err := c.ca.issue(identity{user: hosts[0], hosts: hosts})
	if err != nil {
		return tls.Certificate{}, err
	}
	return made.tls()
}
