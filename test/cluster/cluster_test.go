//go:build linux

package cluster_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// TestCluster is one walk over one cluster, since starting one takes seconds.
func TestCluster(t *testing.T) {
	cluster.Require(t)
	w := startWalk(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the registry sees one address per egress group", w.pullsFromEachGroup},
		{"a pod reaches the API server as any in-cluster client", w.podsReachTheAPI},
		{"the API server reaches a pod", w.apiReachesPods},
		{"an evicted image is pulled again", w.evictedImagesArePulledAgain},
		{"registries are reached where the options say", w.registriesAreRedirected},
		{"a node without DNS cannot pull by name", w.noNamesNoPull},
		{"a node can change its egress group", w.egressGroupChanges},
		{"the API server restarts", w.apiServerRestarts},
		{"a partitioned node is lost and found", w.partitionHeals},
		{"a killed node boots again", w.killedNodeBoots},
		{"a node is added", w.nodeIsAdded},
		{"two clusters fit on the machine", w.clustersAreApart},
		{"no process ended by itself", func(t *testing.T) { noError(t, w.cluster.Failed()) }},
	} {
		if !t.Run(step.name, step.run) {
			w.cluster.KeepLogs()
			t.Logf("logs are kept in %s", w.cluster.LogsDir())
			break
		}
	}
	w.stop(t)
}

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
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		got, err := w.cluster.Client().CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, pod, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		status = got.Status
		return ok(status), nil
	})
	if err != nil {
		w.cluster.KeepLogs()
		t.Fatalf("waiting for pod %s to be %s: %v; its status: %+v", pod, what, err, status)
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

func (w *walk) pullsFromEachGroup(t *testing.T) {
	image := w.push(t, "first")
	for node, group := range map[string]string{"a": "nat-a", "b": "nat-b"} {
		w.awaitPhase(t, w.pod(t, node, image), corev1.PodRunning)
		want := []netip.Addr{w.egress(t, group)}
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(w.sources("first"))); diff != "" {
			t.Errorf("addresses that pulled for node %s (-want +got):\n%s", node, diff)
		}
	}
	if w.egress(t, "nat-a") == w.egress(t, "nat-b") {
		t.Error("both groups have one address")
	}
}

func (w *walk) podsReachTheAPI(t *testing.T) {
	pod := w.pod(t, "b", w.push(t, "client"), "-ask-api")
	w.awaitPhase(t, pod, corev1.PodSucceeded)
}

func (w *walk) apiReachesPods(t *testing.T) {
	pod := w.pod(t, "a", w.push(t, "server"), "-listen=:8080")
	w.awaitPhase(t, pod, corev1.PodRunning)
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := w.cluster.Client().CoreV1().RESTClient().Get().
			Namespace(metav1.NamespaceDefault).Resource("pods").Name(pod + ":8080").SubResource("proxy").DoRaw(ctx)
		return err == nil, nil
	})
	noError(t, err)
}

func (w *walk) evictedImagesArePulledAgain(t *testing.T) {
	image := w.push(t, "evicted")
	w.awaitPhase(t, w.pod(t, "a", image), corev1.PodRunning)
	w.awaitPhase(t, w.pod(t, "a", image), corev1.PodRunning)
	if got := w.sources("evicted"); len(got) != 1 {
		t.Errorf("two pods of one image made %d pulls on one node", len(got))
	}
	noError(t, w.cluster.Node("a").EvictImages(t.Context()))
	w.awaitPhase(t, w.pod(t, "a", image), corev1.PodRunning)
	w.awaitPhase(t, w.pod(t, "a", heldImage), corev1.PodRunning)
	if got := w.sources("evicted"); len(got) != 1 {
		t.Errorf("after the image was evicted there were %d pulls, want 1", len(got))
	}
}

func (w *walk) registriesAreRedirected(t *testing.T) {
	for host, repository := range map[string]string{"alias.test": "aliased", "mirrored.test": "mirrored"} {
		w.push(t, repository)
		w.awaitPhase(t, w.pod(t, "a", host+"/"+repository+":1"), corev1.PodRunning)
		if got := w.sources(repository); len(got) != 1 {
			t.Errorf("%s: the registry was asked %d times, want 1", host, len(got))
		}
	}
}

func (w *walk) noNamesNoPull(t *testing.T) {
	image, node := w.push(t, "nameless"), w.cluster.Node("b")
	node.SetDNS(false)
	pod := w.pod(t, "b", image)
	status := w.await(t, pod, "failing to pull", func(s corev1.PodStatus) bool {
		return len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].State.Waiting != nil &&
			s.ContainerStatuses[0].State.Waiting.Reason == "ErrImagePull"
	})
	if message := status.ContainerStatuses[0].State.Waiting.Message; !strings.Contains(message, "lookup "+hub) {
		t.Errorf("the pull failed, but not for want of a name: %s", message)
	}
	node.SetDNS(true)
	w.awaitPhase(t, pod, corev1.PodRunning)
}

func (w *walk) egressGroupChanges(t *testing.T) {
	node := w.cluster.Node("b")
	noError(t, node.SetEgressGroup(t.Context(), "nat-a"))
	w.awaitPhase(t, w.pod(t, "b", w.push(t, "moved")), corev1.PodRunning)
	if diff := cmp.Diff(fmt.Sprint([]netip.Addr{w.egress(t, "nat-a")}), fmt.Sprint(w.sources("moved"))); diff != "" {
		t.Errorf("addresses that pulled (-want +got):\n%s", diff)
	}
	noError(t, node.SetEgressGroup(t.Context(), "nat-b"))
}

func (w *walk) apiServerRestarts(t *testing.T) {
	image := w.push(t, "after-restart")
	noError(t, w.cluster.RestartAPIServer(t.Context()))
	w.awaitPhase(t, w.pod(t, "a", image), corev1.PodRunning)
}

func (w *walk) partitionHeals(t *testing.T) {
	node := w.cluster.Node("b")
	noError(t, node.Partition(t.Context(), true))
	w.awaitReady(t, "b", corev1.ConditionUnknown)
	noError(t, node.Partition(t.Context(), false))
	w.awaitReady(t, "b", corev1.ConditionTrue)
}

func (w *walk) awaitReady(t *testing.T, node string, want corev1.ConditionStatus) {
	t.Helper()
	var last []corev1.NodeCondition
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		got, err := w.cluster.Client().CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		last = got.Status.Conditions
		for _, condition := range last {
			if condition.Type == corev1.NodeReady && condition.Status == want {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Fatalf("waiting for node %s to be Ready=%s: %v; its conditions: %+v", node, want, err, last)
	}
}

func (w *walk) killedNodeBoots(t *testing.T) {
	image, node := w.push(t, "rebooted"), w.cluster.Node("b")
	pod := w.pod(t, "b", image)
	w.awaitPhase(t, pod, corev1.PodRunning)
	w.sources("rebooted")
	noError(t, node.Kill(t.Context()))
	noError(t, node.Start(t.Context()))
	w.awaitPhase(t, pod, corev1.PodFailed) // its container died with the node
	w.awaitPhase(t, w.pod(t, "b", image), corev1.PodRunning)
	if got := w.sources("rebooted"); len(got) != 0 {
		t.Errorf("the disk kept the image, but there were %d pulls", len(got))
	}
}

func (w *walk) nodeIsAdded(t *testing.T) {
	node, err := w.cluster.AddNode(t.Context(), cluster.NodeOptions{Name: "c", EgressGroup: "nat-c", NoDNS: true, Taints: []string{"new:NoSchedule"}})
	noError(t, err)
	got, err := w.cluster.Client().CoreV1().Nodes().Get(t.Context(), "c", metav1.GetOptions{})
	noError(t, err)
	if len(got.Spec.Taints) != 1 || got.Spec.Taints[0].Key != "new" {
		t.Errorf("taints of the added node: %v", got.Spec.Taints)
	}
	node.SetDNS(true)
	w.awaitPhase(t, w.pod(t, "c", w.push(t, "third")), corev1.PodRunning)
	if diff := cmp.Diff(fmt.Sprint([]netip.Addr{w.egress(t, "nat-c")}), fmt.Sprint(w.sources("third"))); diff != "" {
		t.Errorf("addresses that pulled (-want +got):\n%s", diff)
	}
}

func (w *walk) clustersAreApart(t *testing.T) {
	other, err := cluster.Start(t.Context(), cluster.Config{Log: testWriter{t}}, cluster.Options{Nodes: make([]cluster.NodeOptions, 1)})
	noError(t, err)
	defer func() { noError(t, other.Stop()) }()
	if other.HostAddress() == w.cluster.HostAddress() {
		t.Error("two clusters have one address")
	}
	nodes, err := other.Client().CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	noError(t, err)
	if len(nodes.Items) != 1 {
		t.Errorf("the other cluster has %d nodes, want 1", len(nodes.Items))
	}
}

func (w *walk) stop(t *testing.T) {
	t.Helper()
	w.stopped = true
	dir := filepath.Dir(w.cluster.Kubeconfig())
	inside := namespacesOf(t, dir)
	noError(t, w.cluster.Stop())
	noError(t, w.cluster.Stop()) // may be called again
	if diff := cmp.Diff(w.before, look(t)); diff != "" {
		t.Errorf("the cluster changed the machine (-before +after):\n%s", diff)
	}
	remains, taken := left(t, dir)
	if remains = append(remains, processesIn(t, inside)...); len(remains) > 0 {
		t.Errorf("the cluster left %v", remains)
	}
	if taken {
		t.Logf("another cluster has the place of this one, which it must have cleared first")
	}
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
