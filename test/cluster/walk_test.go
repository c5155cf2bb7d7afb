//go:build linux

package cluster_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/cluster/images"
)

const (
	hub       = "hub.test"
	heldImage = "held.test/held:1" // no registry has it
)

// walk is a cluster of two nodes behind two addresses, and a registry that
// notes who asked.
type walk struct {
	cluster *cluster.Cluster
	before  machine
	stopped bool

	mu    sync.Mutex
	pulls map[string][]netip.Addr // sources of manifest GETs, by repository
}

func startWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{pulls: map[string][]netip.Addr{}, before: look(t)}
	c, err := cluster.Prepare(t.Context(), cluster.Config{Log: testWriter{t}})
	noError(t, err)
	w.cluster = c
	t.Cleanup(func() {
		if !w.stopped {
			noError(t, c.Stop())
		}
	})
	w.serveRegistry(t)
	maker, err := c.Images(t.Context())
	noError(t, err)
	held, err := maker.Image(images.Spec{Name: "held"})
	noError(t, err)
	noError(t, c.Start(t.Context(), cluster.Options{
		Images: map[string]v1.Image{heldImage: held},
		Registries: map[string]cluster.Registry{
			"alias.test":    {Server: "https://" + hub},
			"mirrored.test": {Mirrors: []string{"https://" + hub}},
		},
		Nodes: []cluster.NodeOptions{
			{Name: "a", EgressGroup: "nat-a", Zone: "z1", Labels: map[string]string{"pool": "one"}, Kubelet: quickLease()},
			{Name: "b", EgressGroup: "nat-b", Zone: "z2", Kubelet: quickLease()},
		},
		ControllerManagerArgs: []string{"--node-monitor-grace-period=8s", "--node-monitor-period=1s"},
	}))
	return w
}

// quickLease lets a lost node be noticed soon.
func quickLease() map[string]any { return map[string]any{"nodeLeaseDurationSeconds": 8} }

// serveRegistry serves one where nodes find it under the name of hub.
func (w *walk) serveRegistry(t *testing.T) {
	t.Helper()
	certificate, err := w.cluster.ServerCertificate(hub)
	noError(t, err)
	listener, err := net.Listen("tcp", netip.AddrPortFrom(w.cluster.HostAddress(), 443).String())
	noError(t, err)
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			w.note(r)
			store.ServeHTTP(rw, r)
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go server.ServeTLS(listener, "", "") // ends with Close
	t.Cleanup(func() { server.Close() })
	noError(t, w.cluster.SetHost(hub, w.cluster.HostAddress()))
}

func (w *walk) note(r *http.Request) {
	repository, _, isManifest := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
	if !isManifest || r.Method != http.MethodGet {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pulls[repository] = append(w.pulls[repository], netip.MustParseAddrPort(r.RemoteAddr).Addr())
}

// sources are those that pulled a repository since the last call.
func (w *walk) sources(repository string) []netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.pulls[repository]
	delete(w.pulls, repository)
	return seen
}

// push makes an image of that name and puts it in the registry.
func (w *walk) push(t *testing.T, name string) string {
	t.Helper()
	maker, err := w.cluster.Images(t.Context())
	noError(t, err)
	img, err := maker.Image(images.Spec{Name: name, Layers: []images.Layer{{Name: name, Size: 1 << 20}}})
	noError(t, err)
	ref := hub + "/" + name + ":1"
	noError(t, images.Push(t.Context(), ref, img, w.cluster.Transport()))
	return ref
}

// pod creates a pod on a node; it is deleted at the end of the test.
func (w *walk) pod(t *testing.T, node, image string, args ...string) string {
	t.Helper()
	pods := w.cluster.Client().CoreV1().Pods(metav1.NamespaceDefault)
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "walk-"},
		Spec: corev1.PodSpec{
			NodeName: node, RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: new(int64),
			Containers: []corev1.Container{{Name: "main", Image: image, Args: args}},
			// A killed node has to come back with its pods in place.
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
		},
	}, metav1.CreateOptions{})
	noError(t, err)
	t.Cleanup(func() {
		noError(t, pods.Delete(context.WithoutCancel(t.Context()), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
	})
	return pod.Name
}

// await polls the pod until its status is as wanted.
func (w *walk) await(t *testing.T, pod, what string, ok func(corev1.PodStatus) bool) corev1.PodStatus {
	t.Helper()
	var status corev1.PodStatus
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		got, err := w.cluster.Client().CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			last = err // it may be busy for a moment, or start again
			return false, nil
		}
		status = got.Status
		return ok(status), nil
	})
	if err != nil {
		w.cluster.KeepLogs()
		t.Fatalf("waiting for pod %s to be %s: %v (%v); its status: %+v", pod, what, err, last, status)
	}
	return status
}

func (w *walk) awaitPhase(t *testing.T, pod string, phase corev1.PodPhase) corev1.PodStatus {
	t.Helper()
	return w.await(t, pod, string(phase), func(s corev1.PodStatus) bool { return s.Phase == phase })
}

func (w *walk) egress(t *testing.T, group string) netip.Addr {
	t.Helper()
	address, err := w.cluster.EgressAddress(t.Context(), group)
	noError(t, err)
	return address
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
