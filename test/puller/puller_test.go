package puller

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/pullpace/pace/test/cluster/images"
	"github.com/pullpace/pace/test/registry"
	"github.com/pullpace/pace/test/registry/limit"
)

// rig is an agent on a node "n1" whose requests a registry host "hub.test" sees come from
// 192.0.2.7, and which allows so many manifest GETs in an hour.
type rig struct {
	*testing.T
	client kubernetes.Interface
	log    *registry.Log
}

func newRig(t *testing.T, allowed int64, pods ...*corev1.Pod) rig {
	t.Helper()
	server, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = server.AddHost(registry.HostConfig{Name: "hub.test", Denial: registry.HubDenial(), Limiters: []registry.Limiter{{
		Spec: limit.Spec{Kind: limit.RollingLog, Limit: allowed, Window: time.Hour}, Counts: registry.CountsManifestGET,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add: empty.Image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}},
	})
	for ref, what := range map[string]remote.Taggable{"hub.test/one:1": empty.Image, "hub.test/many:1": index} {
		if err := images.Push(t.Context(), ref, what, server.PushTransport()); err != nil {
			t.Fatal(err)
		}
	}
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: corev1.NodeStatus{
		Images: []corev1.ContainerImage{{Names: []string{"hub.test/baked:1"}}},
	}})
	for _, p := range pods {
		if _, err := client.CoreV1().Pods(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	agent, err := Start(ctx, Options{Client: client, Registry: func(*corev1.Node) *http.Client { return server.Client("192.0.2.7") }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		agent.Wait()
		if err := agent.Err(); err != nil {
			t.Error(err)
		}
	})
	return rig{t, client, server.Log()}
}

func pod(name string, images ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{NodeName: "n1"}}
	for i, image := range images {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Image: image})
	}
	return p
}

// said is how a pod stands: its phase, and what its containers wait for.
func (r rig) said(name string) string {
	r.Helper()
	p, err := r.client.CoreV1().Pods("shop").Get(r.Context(), name, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	out := string(p.Status.Phase)
	for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		if w := c.State.Waiting; w != nil {
			out += " " + c.Name + ":" + w.Reason
		}
	}
	return out
}

// asked counts what the registry was asked.
func (r rig) asked() string {
	return fmt.Sprintf("HEAD=%d GET=%d 429=%d", r.log.Count(registry.Filter{Kind: registry.ManifestHEAD}),
		r.log.Count(registry.Filter{Kind: registry.ManifestGET}), r.log.Throttled(registry.Filter{}))
}

// The counts are those that containerd 2.4.2 was seen to send.
func TestPullsAsContainerdDoes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pods []*corev1.Pod
		want string
	}{
		"one platform":              {[]*corev1.Pod{pod("a", "hub.test/one:1")}, "HEAD=1 GET=1 429=0"},
		"an index":                  {[]*corev1.Pod{pod("a", "hub.test/many:1")}, "HEAD=1 GET=2 429=0"},
		"what the node came with":   {[]*corev1.Pod{pod("a", "hub.test/baked:1")}, "HEAD=0 GET=0 429=0"},
		"two pods of one image":     {[]*corev1.Pod{pod("a", "hub.test/one:1"), pod("b", "hub.test/one:1")}, "HEAD=1 GET=1 429=0"},
		"two containers, two of it": {[]*corev1.Pod{pod("a", "hub.test/one:1", "hub.test/many:1")}, "HEAD=2 GET=3 429=0"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 100, tc.pods...)
				synctest.Wait()
				if got := r.asked(); got != tc.want {
					t.Errorf("asked %s, want %s", got, tc.want)
				}
				for _, p := range tc.pods {
					if got := r.said(p.Name); got != "Running" {
						t.Errorf("pod %s is %s, want Running", p.Name, got)
					}
				}
				n, err := r.client.CoreV1().Nodes().Get(t.Context(), "n1", metav1.GetOptions{})
				if err != nil || !holds(n, tc.pods[0].Spec.Containers[0].Image) {
					t.Errorf("the node holds %v (%v)", n.Status.Images, err)
				}
			})
		})
	}
}

func holds(n *corev1.Node, image string) bool {
	return slices.ContainsFunc(n.Status.Images, func(i corev1.ContainerImage) bool { return slices.Contains(i.Names, image) })
}

func TestRefusedPullsClimbTheLadder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pod("a", "hub.test/one:1")
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "hub.test/many:1"}}
		r := newRig(t, 0, p)
		// An attempt sends 5 GETs; the next is 10 s after it, and then 20 s.
		for _, step := range []struct {
			after       time.Duration
			said, asked string
		}{
			{0, "Pending init:ErrImagePull c0:PodInitializing", "HEAD=1 GET=5 429=5"},
			{2 * time.Second, "Pending init:ImagePullBackOff c0:PodInitializing", "HEAD=1 GET=5 429=5"},
			{8500 * time.Millisecond, "Pending init:ErrImagePull c0:PodInitializing", "HEAD=2 GET=10 429=10"},
			{18500 * time.Millisecond, "Pending init:ImagePullBackOff c0:PodInitializing", "HEAD=2 GET=10 429=10"},
			{1500 * time.Millisecond, "Pending init:ErrImagePull c0:PodInitializing", "HEAD=3 GET=15 429=15"},
		} {
			time.Sleep(step.after)
			synctest.Wait()
			if diff := cmp.Diff([]string{step.said, step.asked}, []string{r.said("a"), r.asked()}); diff != "" {
				t.Errorf("after %s (-want +got):\n%s", step.after, diff)
			}
		}
	})
}

func TestMessagesAreThoseOfContainerd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, pod("a", "hub.test/one:1"))
		synctest.Wait()
		p, err := r.client.CoreV1().Pods("shop").Get(t.Context(), "a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		digest, err := empty.Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		want := `failed to pull and unpack image "hub.test/one:1": failed to copy: httpReadSeeker: failed open: ` +
			"unexpected status from GET request to https://hub.test/v2/one/manifests/" + digest.String() + ": 429 Too Many Requests\n" +
			"toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
		if diff := cmp.Diff(want, p.Status.ContainerStatuses[0].State.Waiting.Message); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})
}
