//go:build linux

package ground

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/test/registry"
)

// AddHost adds a registry host and lets its name resolve on nodes and in pods.
func (g *Ground) AddHost(c registry.HostConfig) (*registry.Host, error) {
	h, err := g.Registry.AddHost(c)
	if err != nil {
		return nil, fmt.Errorf("adding registry host %q: %w", c.Name, err)
	}
	return h, g.Reach(append([]string{c.Name}, c.Aliases...)...)
}

// AddToken adds a token service and lets its name resolve.
func (g *Ground) AddToken(c registry.TokenConfig) (*registry.TokenService, error) {
	s, err := g.Registry.AddTokenService(c)
	if err != nil {
		return nil, fmt.Errorf("adding token service %q: %w", c.Host, err)
	}
	return s, g.Reach(c.Host)
}

// Reach lets the names of registry hosts and token services resolve on nodes and in
// pods of this ground's cluster.
func (g *Ground) Reach(names ...string) error {
	for _, name := range names {
		if err := g.Cluster.SetHost(name, g.Cluster.HostAddress()); err != nil {
			return err
		}
	}
	return nil
}

// PullSecret stores the login of a user at a registry host in a namespace.
func (g *Ground) PullSecret(ctx context.Context, namespace, name, host, user, password string) error {
	config, err := json.Marshal(map[string]any{"auths": map[string]any{"https://" + host: map[string]string{
		"username": user, "password": password, "auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password)),
	}}})
	if err != nil {
		return fmt.Errorf("writing a pull secret: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: config},
	}
	if _, err := g.Cluster.Client().CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making pull secret %q in %q: %w", name, namespace, err)
	}
	return nil
}
