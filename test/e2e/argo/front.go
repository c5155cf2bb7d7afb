//go:build linux

package argo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/release"
	"github.com/pullpace/pace/test/e2e/stage"
)

// serviceURL is where the templates ask; a cluster without kube-proxy and DNS has nothing
// there.
const serviceURL = "http://pacer.pullpace-system.svc"

// gatePort is where a replica is asked.
const gatePort = "8083"

// How often the templates ask: the one that holds more often than it is shipped to, the
// one of health as it is shipped.
const (
	holdEvery   = 5 * time.Second
	healthEvery = 10 * time.Second
)

// front is Argo with our templates, which ask here; each question is handed on to a
// replica of the controller, by the way that the API server has to it.
type front struct {
	lab *stage.Lab
	url string

	mu sync.Mutex
	// replica is the pod that is asked, by its place among them: as Argo's connection, it
	// stays that of the leader once it is, and is another after one that does not lead.
	replica int
	// down are the namespaces that nobody answers, with how often each asked meanwhile.
	down map[string]int
}

// takeDown leaves the questions of a namespace without an answer, until the gate is put
// up again.
func (f *front) takeDown(namespace string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down[namespace] = 0
}

// putUp ends that, and tells how many questions nobody answered.
func (f *front) putUp(namespace string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	refused := f.down[namespace]
	delete(f.down, namespace)
	return refused
}

// refused is how many questions of a namespace nobody answered so far.
func (f *front) refused(namespace string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down[namespace]
}

// refuses reports whether a question is to have no answer.
func (f *front) refuses(question []byte) bool {
	var ask struct{ Namespace string }
	if json.Unmarshal(question, &ask) != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, down := f.down[ask.Namespace]
	if down {
		f.down[ask.Namespace]++
	}
	return down
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
	for _, name := range []string{"pull-budget.yaml", "pull-health.yaml", "rbac.yaml"} {
		text, err := shipped(ctx, name)
		if err != nil {
			return err
		}
		if err := f.apply(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// shipped is a file of the integration.
func shipped(ctx context.Context, name string) (string, error) {
	tree, err := release.Find(ctx)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(tree.Root, "manifests/integrations/argo-rollouts", name))
	if err != nil {
		return "", fmt.Errorf("reading what is shipped: %w", err)
	}
	return string(text), nil
}

// apply makes the objects of a file, asking here and, to hold, more often.
func (f *front) apply(ctx context.Context, text string) error {
	text = strings.NewReplacer(serviceURL, f.url, "interval: 20s", "interval: "+holdEvery.String()).Replace(text)
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
	body, err := io.ReadAll(r.Body)
	if err != nil || f.refuses(body) {
		panic(http.ErrAbortHandler) // the connection breaks
	}
	answer, err := f.handOn(r.Context(), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer)
}

// askPod asks a replica by its name.
func (f *front) askPod(ctx context.Context, pod string, question []byte) ([]byte, error) {
	return f.lab.Cluster.Client().CoreV1().RESTClient().Post().Namespace(v1alpha1.Namespace).Resource("pods").
		Name(pod+":"+gatePort).SubResource("proxy").Suffix(kube.GatePath).
		SetHeader("Content-Type", "application/json").Body(question).Do(ctx).Raw()
}

// handOn asks a replica.
func (f *front) handOn(ctx context.Context, question []byte) ([]byte, error) {
	pods, err := f.lab.Controllers(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	replica := f.replica
	f.mu.Unlock()
	answer, err := f.askPod(ctx, pods[replica%len(pods)].Name, question)
	if err != nil || bytes.Contains(answer, []byte(core.NotLeader)) {
		f.mu.Lock()
		f.replica = replica + 1
		f.mu.Unlock()
	}
	if err != nil {
		return nil, fmt.Errorf("asking a replica: %w", err)
	}
	return answer, nil
}
