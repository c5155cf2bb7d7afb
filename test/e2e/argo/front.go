//go:build linux

package argo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/release"
	"github.com/pullpace/pace/test/e2e/stage"
)

// serviceURL is where the templates ask; a cluster without kube-proxy and DNS has nothing
// there.
const serviceURL = "http://pacer.pullpace-system.svc"

// interval is how often the templates ask here.
const interval = "5s"

// front is Argo with our templates, which ask here; each question is handed on to the
// Service, by the way that the API server has to it.
type front struct {
	lab *stage.Lab
	url string
	// down says that nobody answers; refused counts the questions meanwhile.
	down    atomic.Bool
	refused atomic.Int64
}

// start starts Argo and makes the templates.
func (f *front) start(ctx context.Context) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(f.lab.Cluster.HostAddress().String(), "0"))
	if err != nil {
		return fmt.Errorf("listening for the gate: %w", err)
	}
	f.url = "http://" + listener.Addr().String()
	go func() { _ = http.Serve(listener, f) }() // it ends with the process
	if err := f.lab.Cluster.StartArgo(ctx); err != nil {
		return err
	}
	tree, err := release.Find(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"pull-budget.yaml", "pull-health.yaml", "rbac.yaml"} {
		text, err := os.ReadFile(filepath.Join(tree.Root, "manifests/integrations/argo-rollouts", name))
		if err != nil {
			return fmt.Errorf("reading a template: %w", err)
		}
		if err := f.apply(ctx, string(text)); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the objects of a file, asking here and more often.
func (f *front) apply(ctx context.Context, text string) error {
	text = strings.NewReplacer(serviceURL, f.url, "interval: 20s", "interval: "+interval, "interval: 10s", "interval: "+interval).Replace(text)
	for _, document := range strings.Split(text, "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			return fmt.Errorf("reading an object: %w", err)
		}
		if err := f.lab.Client.Create(ctx, u); err != nil {
			return fmt.Errorf("making %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.down.Load() {
		f.refused.Add(1)
		panic(http.ErrAbortHandler) // the connection breaks
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	result := f.lab.Cluster.Client().CoreV1().RESTClient().Post().Namespace(v1alpha1.Namespace).Resource("services").Name("pacer:gate").
		SubResource("proxy").Suffix(kube.GatePath).SetHeader("Content-Type", "application/json").Body(body).Do(r.Context())
	answer, err := result.Raw()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}
