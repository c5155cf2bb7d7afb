package controller

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/kube"
)

func TestCredentialsComeFromTheSecretAndAreReadAgainWhenItChanges(t *testing.T) {
	t.Parallel()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "hub-login"}, Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{
		corev1.DockerConfigJsonKey: []byte(`{"auths":{"docker.io":{"username":"u","password":"p"}}}`)}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(secret).Build()
	made := &clients{reader: c, namespace: v1alpha1.Namespace, agent: "test"}
	budget := makeBudget(1)
	budget.Spec.Identity, budget.Spec.Credentials = v1alpha1.Credentials, &v1alpha1.BudgetCredentials{SecretName: "hub-login"}
	cfg, _, err := made.config(t.Context(), budget)
	if err != nil || cfg.Username != "u" || cfg.Password != "p" {
		t.Fatalf("config as %q, %v: want the login of the Secret", cfg.Username, err)
	}
	open := func() asker {
		t.Helper()
		got, err := made.open(t.Context(), budget)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := open()
	if open() != first {
		t.Error("an unchanged PullBudget got a new client, which forgets its tokens")
	}
	secret.Data[corev1.DockerConfigJsonKey] = []byte(`{"auths":{"docker.io":{"username":"u","password":"q"}}}`)
	if err := c.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if open() == first {
		t.Error("a changed Secret is not used")
	}
	budget.Spec.Credentials.SecretName = "absent"
	if _, err := made.open(t.Context(), budget); err == nil {
		t.Error("a missing Secret was taken for an anonymous budget")
	}
}

func TestTheBooksAreForCallersOfTheCluster(t *testing.T) {
	t.Parallel()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			review := o.(*authenticationv1.TokenReview)
			review.Status.Authenticated = review.Spec.Token == "good"
			return nil
		}}).Build()
	leader, follower := &answers{client: c}, &answers{client: c}
	leader.set(engine.Decision{ID: "d1"}, kube.NewTracker())
	cases := map[string]struct {
		to     *answers
		method string
		auth   string
		want   int
	}{
		"known":    {leader, http.MethodGet, "Bearer good", http.StatusOK},
		"unknown":  {leader, http.MethodGet, "Bearer bad", http.StatusUnauthorized},
		"nobody":   {leader, http.MethodGet, "", http.StatusUnauthorized},
		"basic":    {leader, http.MethodGet, "Basic good", http.StatusUnauthorized},
		"writing":  {leader, http.MethodPost, "Bearer good", http.StatusMethodNotAllowed},
		"follower": {follower, http.MethodGet, "Bearer good", http.StatusServiceUnavailable},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), tc.method, answersPath, nil)
			r.Header.Set("Authorization", tc.auth)
			w := httptest.NewRecorder()
			tc.to.ServeHTTP(w, r)
			if w.Code != tc.want {
				t.Errorf("status %d, want %d", w.Code, tc.want)
			}
		})
	}
}

func TestProbesGoThroughTheProxyAndTheAPIServerIsAskedDirectly(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.test:3128")
	config := &rest.Config{Host: "https://10.96.0.1"}
	direct(config)
	request := httptest.NewRequest(http.MethodGet, "https://10.96.0.1/api", nil)
	if through, err := config.Proxy(request); err != nil || through != nil {
		t.Errorf("the API server is asked through %v, %v", through, err)
	}
	named := func(*http.Request) (*url.URL, error) { return &url.URL{Host: "named"}, nil }
	config.Proxy = named
	direct(config)
	if through, _ := config.Proxy(request); through == nil {
		t.Error("the proxy that a kubeconfig names was dropped")
	}
	made, err := newClients(nil, Options{ProbeProxy: "http://proxy.test:3128", ProbeNoProxy: ".corp", ProbeAuthorities: "of the cluster"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	budget := makeBudget(1)
	budget.Spec.Probe = &v1alpha1.Probe{CABundle: "of the registry"}
	cfg, _, err := made.config(t.Context(), budget)
	if err != nil {
		t.Fatal(err)
	}
	if through, err := cfg.Proxy(&url.URL{Scheme: "https", Host: "docker.io"}); err != nil || through == nil || through.Host != "proxy.test:3128" {
		t.Errorf("docker.io is asked through %v, %v", through, err)
	}
	if through, err := cfg.Proxy(&url.URL{Scheme: "https", Host: "harbor.corp"}); err != nil || through != nil {
		t.Errorf("harbor.corp is asked through %v, %v", through, err)
	}
	if got := string(cfg.CABundle); got != "of the cluster\nof the registry" {
		t.Errorf("trusted are %q", got)
	}
	if _, err := newClients(nil, Options{ProbeProxy: "ftp://proxy.test"}, nil); err == nil {
		t.Error("a proxy that is none was taken")
	}
}
