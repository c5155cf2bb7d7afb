package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/plugin/view"
)

const refusedByHub = `Back-off pulling image "docker.io/acme/api:2": ErrImagePull: unexpected status from GET request to https://registry-1.docker.io/v2/acme/api/manifests/2: 429 Too Many Requests` +
	"\ntoomanyrequests: You have reached your unauthenticated pull rate limit."

// sick is a cluster without Pace of three nodes in which a Deployment's new pods are
// refused, and a pull secret that nobody uses.
func sick(t *testing.T, hooks interceptor.Funcs) *harness {
	t.Helper()
	objects := []client.Object{
		deployment("api"),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hub"}, Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"docker.io":{"auth":"a2ltOnNlc2FtZQ=="}}}`)}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "default"}},
	}
	for i := range 3 {
		node := fmt.Sprint("node-", i)
		objects = append(objects, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: node, CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
			Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{ContainerRuntimeVersion: "containerd://2.1.4", Architecture: "amd64"}},
		})
		p := heldPod(fmt.Sprint("api-", i), "api")
		p.Spec.NodeName, p.Spec.SchedulingGates, p.Spec.Containers[0].Image = node, nil, "docker.io/acme/api:2"
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "api", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: refusedByHub}}}}}
		objects = append(objects, p)
	}
	objects = append(objects, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pulled"}, Type: corev1.EventTypeNormal, Reason: "Pulled",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "gone", UID: types.UID("gone")},
		Message:        `Successfully pulled image "docker.io/acme/api:2" in 1.2s (1.2s including waiting). Image size: 9 bytes.`,
		FirstTimestamp: metav1.NewTime(now.Add(-30 * time.Minute)), LastTimestamp: metav1.NewTime(now.Add(-30 * time.Minute)), Count: 1,
	})
	h := newHarness(t, hooks, objects...)
	h.kubelet = func(context.Context, string) ([]byte, error) {
		return nil, apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "node-0", errors.New("no proxy"))
	}
	return h
}

func TestDoctorTellsWhoRefusesAndWhatHelps(t *testing.T) {
	t.Parallel()
	h := sick(t, noCRDs())
	h.wants(h.run("doctor"), ExitHold, "RATE LIMITED  docker.io refuses pulls: its pull limit (3 pods, 3 nodes, 1 workload)",
		"anonymous, as the registry says", "pull secret shop/hub exists, and no pod or ServiceAccount uses it",
		"1  use the pull secret you have", "as it is", "nobody has read the limit", "kubectl pace doctor --fix 1 --dry-run", "spent")
	h.wants(h.run("doctor", "-o", "json"), ExitHold)
	var d view.Diagnosis
	if err := json.Unmarshal(h.out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Verdict != "RateLimited" || d.Replay == nil || d.Replay.AsItIs == nil || d.Fixes[0].Replay == nil {
		t.Fatalf("%s with replay %+v and fixes %+v, want figures of each", d.Verdict, d.Replay, d.Fixes)
	}
	// The limit is taken to be the one pull that was granted: of 3 pods on 3 nodes two
	// are refused, and the last comes two hours after the first.
	if r := *d.Replay; r.Limit != 1 || r.Pods != 3 || r.Nodes != 3 || r.AsItIs.Throttled == 0 || *r.AsItIs.AllReadySeconds < 7200 {
		t.Errorf("replay %+v, want 3 pods on 3 nodes with a limit of 1, refused for two hours", r)
	}
	h.wants(h.run("doctor", "--limit", "100/1h"), ExitHold, "not replayed: a limit of 100 in 1h0m0s would not have refused these 3 pods")
	h.wants(h.run("doctor", "--limit", "many"), ExitUsage, "want pulls per window")
}

func TestDoctorPrintsAFixAndChangesNothing(t *testing.T) {
	t.Parallel()
	h := sick(t, onlyReads())
	h.wants(h.run("doctor", "--fix", "1", "--dry-run"), ExitOK, `kubectl patch serviceaccount default -n shop -p '{"imagePullSecrets":[{"name":"hub"}]}'`)
	h.wants(h.run("doctor", "--fix", "1"), ExitUsage, "doctor changes nothing")
	h.wants(h.run("doctor", "--fix", "9", "--dry-run"), ExitError, "there is no fix 9")
	h.wants(h.run("doctor", "--dry-run"), ExitUsage)
}

// onlyReads fails every call that would change something, and every read of what is in
// a Secret.
func onlyReads() interceptor.Funcs {
	refuse := errors.New("a write")
	crds := noCRDs()
	return interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return refuse },
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error { return refuse },
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			return refuse
		},
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return refuse },
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, whole := list.(*corev1.SecretList); whole {
				return errors.New("the data of Secrets is read")
			}
			return crds.List(ctx, c, list, opts...)
		},
	}
}

func TestDoctorOnlyReads(t *testing.T) {
	t.Parallel()
	h := sick(t, onlyReads())
	h.wants(h.run("doctor"), ExitHold)
	h.wants(h.run("doctor", "deploy/api"), ExitHold)
}
