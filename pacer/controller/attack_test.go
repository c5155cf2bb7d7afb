package controller

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/registry"
	throttled "github.com/pullpace/pace/test/registry"
)

// The login that an attacker is after.
const (
	victim = "acme-prod"
	prize  = "hunter2-prize"
)

// trap is a network on which the attacker answers for every name but those of Docker
// Hub, with certificates that are trusted, and notes who was given the login.
type trap struct {
	address string
	ca      *throttled.CA

	mu    sync.Mutex
	given []string
}

func makeTrap(t *testing.T) *trap {
	t.Helper()
	ca, err := throttled.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	n := &trap{ca: ca}
	s := httptest.NewUnstartedServer(http.HandlerFunc(n.answer))
	s.TLS = ca.TLSConfig()
	s.StartTLS()
	t.Cleanup(s.Close)
	n.address = s.Listener.Addr().String()
	return n
}

func (n *trap) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, n.address)
}

// answer asks for the login in every way that there is.
func (n *trap) answer(w http.ResponseWriter, r *http.Request) {
	n.note(r)
	switch {
	case r.Method == http.MethodGet:
		user, password, _ := r.BasicAuth() // a token is worth what it was given for
		fmt.Fprintf(w, `{"token": "token-%s%s"}`, user, password)
	case r.Header.Get("Authorization") != "":
	case r.Host == "registry-1.docker.io":
		w.Header().Add("WWW-Authenticate", `Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.Header().Add("WWW-Authenticate", `Basic realm="give me"`)
		w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://%s/token",service="registry.docker.io"`, r.Host))
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func (n *trap) note(r *http.Request) {
	var all strings.Builder
	_ = r.Header.Write(&all)
	all.WriteString(r.URL.String())
	basic := base64.StdEncoding.EncodeToString([]byte(victim + ":" + prize))
	if !strings.Contains(all.String(), prize) && !strings.Contains(all.String(), basic) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.given = append(n.given, r.Host)
}

// login is a Secret with the login for hosts.
func login(namespace, name string, kind corev1.SecretType, hosts ...string) *corev1.Secret {
	var entries []string
	for _, host := range hosts {
		entries = append(entries, fmt.Sprintf(`%q: {"username": %q, "password": %q}`, host, victim, prize))
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: kind, Data: map[string][]byte{
		corev1.DockerConfigJsonKey: []byte(`{"auths": {` + strings.Join(entries, ", ") + `}}`)}}
}

// TestWhoWritesPullBudgetsGetsNoCredential has somebody write PullBudgets who may
// write nothing else and wants the login of a Secret in our namespace. What the API
// server would refuse is tried all the same.
func TestWhoWritesPullBudgetsGetsNoCredential(t *testing.T) {
	t.Parallel()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	docker := corev1.SecretTypeDockerConfigJson
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		login(v1alpha1.Namespace, "hub-login", docker, "https://index.docker.io/v1/"),
		login(v1alpha1.Namespace, "many-logins", docker, "docker.io", "*.azurecr.test", "*", "*.*", "evil.test:8443", "corp.test/team"),
		login(v1alpha1.Namespace, "opaque", corev1.SecretTypeOpaque, "evil.test"),
		login(v1alpha1.Namespace, "account-token", corev1.SecretTypeServiceAccountToken, "evil.test"),
		login("shop", "shop-login", docker, "evil.test"),
	).Build()
	hub := []string{"auth.docker.io", "registry-1.docker.io"}
	cases := map[string]struct {
		secret string
		edit   func(*v1alpha1.PullBudgetSpec)
		// given are those who may get the login; all of them must be asked for the case
		// to prove anything.
		given []string
	}{
		"an honest one":                       {secret: "hub-login", given: hub},
		"their registry":                      {secret: "hub-login", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "evil.test" }},
		"their registry, which looks like it": {secret: "hub-login", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "docker.io.evil.test" }},
		"their port of it":                    {secret: "hub-login", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "docker.io:8443" }},
		"their registry below a wildcard":     {secret: "many-logins", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "evil.azurecr.test" }},
		"their registry of any name":          {secret: "many-logins", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "evil.test" }},
		"their registry without a dot":        {secret: "many-logins", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "evil" }},
		"a registry of which a path is known": {secret: "many-logins", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "corp.test" }},
		"their endpoint": {secret: "hub-login", edit: func(s *v1alpha1.PullBudgetSpec) {
			s.Probe = &v1alpha1.Probe{Endpoint: "https://evil.test"}
		}},
		"their endpoint as a token service too": {secret: "hub-login", edit: func(s *v1alpha1.PullBudgetSpec) {
			s.Probe = &v1alpha1.Probe{Endpoint: "https://evil.test", TokenRealmHosts: []string{"evil.test"}}
		}},
		"their token service": {secret: "hub-login", given: hub, edit: func(s *v1alpha1.PullBudgetSpec) {
			s.Probe = &v1alpha1.Probe{TokenRealmHosts: []string{"evil.test"}}
		}},
		"their registry as the mirror": {secret: "hub-login", given: hub, edit: func(s *v1alpha1.PullBudgetSpec) { s.Mirrors = []string{"evil.test"} }},
		"their registry with its upstream": {secret: "hub-login", edit: func(s *v1alpha1.PullBudgetSpec) {
			s.Registry, s.UpstreamOf = "evil.test", []string{"docker.io"}
		}},
		"their host as a repository":     {secret: "hub-login", given: hub, edit: repository("evil.test/team/app")},
		"their host before the path":     {secret: "hub-login", edit: repository("@evil.test/app")},
		"their host by a path upwards":   {secret: "hub-login", edit: repository("../../../evil.test/app")},
		"their host after a line break":  {secret: "hub-login", edit: repository("app\r\nHost: evil.test")},
		"a Secret of another type":       {secret: "opaque", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "evil.test" }},
		"an account's token":             {secret: "account-token", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "evil.test" }},
		"a Secret of another namespace":  {secret: "shop-login", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "evil.test" }},
		"a path to another namespace":    {secret: "../shop/shop-login", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry = "evil.test" }},
		"another identity than declared": {secret: "hub-login", edit: func(s *v1alpha1.PullBudgetSpec) { s.Registry, s.Identity = "evil.test", v1alpha1.Anonymous }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := makeTrap(t)
			budget := makeBudget(1)
			budget.Spec.Identity, budget.Spec.Credentials = v1alpha1.Credentials, &v1alpha1.BudgetCredentials{SecretName: tc.secret}
			if tc.edit != nil {
				tc.edit(&budget.Spec)
			}
			said := n.probe(t, &clients{reader: reader, namespace: v1alpha1.Namespace, agent: "test"}, budget)
			if strings.Contains(said, prize) {
				t.Errorf("the password is in the error %q", said)
			}
			slices.Sort(n.given)
			if got := slices.Compact(n.given); !slices.Equal(got, tc.given) {
				t.Errorf("the login went to %q, want %q", got, tc.given)
			}
		})
	}
}

func repository(name string) func(*v1alpha1.PullBudgetSpec) {
	return func(s *v1alpha1.PullBudgetSpec) { s.Probe = &v1alpha1.Probe{Repository: name} }
}

// probe asks as the controller does, and returns what went wrong.
func (n *trap) probe(t *testing.T, made *clients, budget *v1alpha1.PullBudget) string {
	t.Helper()
	cfg, _, err := made.config(t.Context(), budget)
	if err != nil {
		return err.Error()
	}
	// The certificate authority may be the attacker's, and the network too.
	cfg.Dial, cfg.CABundle = n.dial, n.ca.PEM()
	c, err := registry.New(cfg)
	if err != nil {
		return err.Error()
	}
	what := "ratelimitpreview/test"
	if budget.Spec.Probe != nil && budget.Spec.Probe.Repository != "" {
		what = budget.Spec.Probe.Repository
	}
	said := ""
	if _, err := c.Probe(t.Context(), what); err != nil {
		said += err.Error()
	}
	if _, _, err := c.Shape(t.Context(), "docker.io/"+what); err != nil {
		said += err.Error()
	}
	return said
}
