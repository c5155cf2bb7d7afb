package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/registry"
)

// clients makes askers out of PullBudgets and keeps them, with their tokens, while
// neither the PullBudget nor its Secret changes. It is safe for concurrent use.
type clients struct {
	reader    client.Reader
	namespace string
	agent     string
	// proxy and authorities are those of the cluster's own network.
	proxy       registry.Proxy
	authorities string
	// now is the clock of what they read; nil: the machine's.
	now func() time.Time

	mu   sync.Mutex
	kept map[string]keptClient
}

// newClients makes them for a replica with these options.
func newClients(c client.Reader, o Options, now func() time.Time) (*clients, error) {
	proxy, err := registry.ParseProxy(o.ProbeProxy, o.ProbeNoProxy)
	if err != nil {
		return nil, fmt.Errorf("reading the proxy of probes: %w", err)
	}
	return &clients{reader: c, namespace: o.Namespace, agent: "pace/" + o.Version, proxy: proxy, authorities: o.ProbeAuthorities, now: now}, nil
}

// keptClient is an asker and what it was made of.
type keptClient struct {
	generation int64
	uid        string
	secret     string
	client     *registry.Client
}

// open returns the asker of a PullBudget.
func (c *clients) open(ctx context.Context, budget *v1alpha1.PullBudget) (asker, error) {
	cfg, version, err := c.config(ctx, budget)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := keptClient{generation: budget.Generation, uid: string(budget.UID), secret: version}
	if kept, ok := c.kept[budget.Name]; ok {
		made.client = kept.client
		if kept == made {
			return kept.client, nil
		}
	}
	if made.client, err = registry.New(cfg); err != nil {
		return nil, fmt.Errorf("reading PullBudget %q: %w", budget.Name, err)
	}
	if c.kept == nil {
		c.kept = map[string]keptClient{}
	}
	c.kept[budget.Name] = made
	return made.client, nil
}

// config is how to ask for a PullBudget, and the version of its Secret.
func (c *clients) config(ctx context.Context, budget *v1alpha1.PullBudget) (registry.Config, string, error) {
	cfg := registry.Config{Host: budget.Spec.Registry, UserAgent: c.agent, Proxy: c.proxy, CABundle: []byte(c.authorities), Clock: c.now}
	if probe := budget.Spec.Probe; probe != nil {
		cfg.Endpoint, cfg.RealmHosts = probe.Endpoint, probe.TokenRealmHosts
		if probe.CABundle != "" {
			cfg.CABundle = []byte(c.authorities + "\n" + probe.CABundle)
		}
	}
	if budget.Spec.Credentials == nil {
		return cfg, "", nil
	}
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: c.namespace, Name: budget.Spec.Credentials.SecretName}
	if err := c.reader.Get(ctx, key, &secret); err != nil {
		return cfg, "", fmt.Errorf("reading the credentials of PullBudget %q: %w", budget.Name, err)
	}
	if secret.Type != corev1.SecretTypeDockerConfigJson {
		// Other Secrets are there for other purposes, whatever they hold.
		return cfg, "", fmt.Errorf("reading Secret %q of PullBudget %q: it is of type %q, want %s", key.Name, budget.Name, secret.Type, corev1.SecretTypeDockerConfigJson)
	}
	var err error
	cfg.Username, cfg.Password, err = registry.Credentials(secret.Data[corev1.DockerConfigJsonKey], budget.Spec.Registry)
	if err != nil {
		return cfg, "", fmt.Errorf("reading Secret %q of PullBudget %q: %w", key.Name, budget.Name, err)
	}
	return cfg, secret.ResourceVersion, nil
}
