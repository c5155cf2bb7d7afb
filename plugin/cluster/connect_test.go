package cluster

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// Kubelets are asked by the API server's proxy, and a refusal is told as one.
func TestKubeletsAreAskedByTheProxy(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/nodes/node-1/proxy/configz" {
			http.Error(w, "nodes/proxy is forbidden", http.StatusForbidden)
			return
		}
		w.Write([]byte(`{"kubeletconfig":{}}`))
	}))
	defer server.Close()
	disco, err := discovery.NewDiscoveryClientForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	ask := asksKubelet(disco.RESTClient())
	if text, err := ask(t.Context(), "node-1"); err != nil || !strings.Contains(string(text), "kubeletconfig") {
		t.Errorf("answered %q (%v), want the configuration", text, err)
	}
	if _, err := ask(t.Context(), "node-2"); err == nil || !strings.Contains(err.Error(), "asking the kubelet of node node-2") {
		t.Errorf("a refusal is %v", err)
	}
}
