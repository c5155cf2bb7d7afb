//go:build linux

package cluster_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/pullpace/pace/test/cluster"
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
		{"a pod reaches a Service by its name", w.podsReachServices},
		{"an evicted image is pulled again", w.evictedImagesArePulledAgain},
		{"registries are reached where the options say", w.registriesAreRedirected},
		{"a node without DNS cannot pull by name", w.noNamesNoPull},
		{"a node can change its egress group", w.egressGroupChanges},
		{"the API server restarts", w.apiServerRestarts},
		{"a partitioned node is lost and found", w.partitionHeals},
		{"a killed node boots again", w.killedNodeBoots},
		{"a node is added", w.nodeIsAdded},
		{"nodes that join move nobody else's way out", w.gatewayStays},
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

func (w *walk) podsReachServices(t *testing.T) {
	pod := w.pod(t, "a", w.push(t, "server"), "-listen=:8080")
	status := w.awaitPhase(t, pod, corev1.PodRunning)
	client := w.cluster.Client()
	service, err := client.CoreV1().Services(metav1.NamespaceDefault).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "walk-"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 8080}}},
	}, metav1.CreateOptions{})
	noError(t, err)
	_, err = client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: service.Name, Labels: map[string]string{discoveryv1.LabelServiceName: service.Name}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{status.PodIP}}},
	}, metav1.CreateOptions{})
	noError(t, err)
	w.awaitPhase(t, w.pod(t, "b", w.push(t, "client"), "-ask=http://"+service.Name+":8080/"), corev1.PodSucceeded)
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
			slices.Contains([]string{"ErrImagePull", "ImagePullBackOff"}, s.ContainerStatuses[0].State.Waiting.Reason)
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
	var unanswered error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		got, err := w.cluster.Client().CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			unanswered = err
			return false, nil
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
		t.Fatalf("waiting for node %s to be Ready=%s: %v (%v); its conditions: %+v", node, want, err, unanswered, last)
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
	node, err := w.cluster.AddNode(t.Context(), cluster.NodeOptions{Name: "c", EgressGroup: "nat-c", NoDNS: true, Taints: []string{"new:NoSchedule"}, Network: w.withoutNetwork})
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

// withoutNetwork returns when node c is registered and not Ready for want of a network.
func (w *walk) withoutNetwork(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		got, err := w.cluster.Client().CoreV1().Nodes().Get(ctx, "c", metav1.GetOptions{})
		if err != nil {
			return false, nil // not yet
		}
		for _, condition := range got.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return condition.Status == corev1.ConditionFalse && strings.Contains(condition.Message, "NetworkPluginNotReady"), nil
			}
		}
		return false, nil
	})
}

// gatewayStays adds a link to the bridge of all nodes with a lower hardware address than
// any other has: a node that knows where the bridge is must find it there still.
func (w *walk) gatewayStays(t *testing.T) {
	where := func() string {
		out, err := w.cluster.InWorld(t.Context(), "ip -o link show nodes | grep -o 'link/ether [0-9a-f:]*'")
		noError(t, err)
		return out
	}
	before := where()
	_, err := w.cluster.InWorld(t.Context(), "ip link add low address 00:00:00:00:00:02 type veth peer name low-end; ip link set low master nodes up")
	noError(t, err)
	if after := where(); after != before {
		t.Errorf("the bridge is at %s and was at %s", after, before)
	}
	_, err = w.cluster.InWorld(t.Context(), "ip link delete low")
	noError(t, err)
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

// TestFailedStart is about what a failure says and leaves.
func TestFailedStart(t *testing.T) {
	cluster.Require(t)
	before := look(t)
	t.Setenv("TMPDIR", t.TempDir())
	_, err := cluster.Start(t.Context(), cluster.Config{Log: testWriter{t}}, cluster.Options{
		Nodes: make([]cluster.NodeOptions, 1), APIServerArgs: []string{"--no-such-flag"},
	})
	if err == nil {
		t.Fatal("an API server with an unknown flag started")
	}
	for _, want := range []string{"kube-apiserver ended by itself", "no-such-flag", "logs are kept in " + os.TempDir()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if logs := glob(t, os.TempDir()+"/pace-cluster-logs-*/kube-apiserver.log"); len(logs) != 1 {
		t.Errorf("kept logs of the API server: %v", logs)
	}
	if diff := cmp.Diff(before, look(t)); diff != "" {
		t.Errorf("the failed start changed the machine (-before +after):\n%s", diff)
	}
}
