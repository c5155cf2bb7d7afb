package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
	// One fetch of a mirror that all share is within the limit; paced, nobody is refused.
	for _, f := range d.Fixes {
		if f.Kind != "UseSecret" && f.Replay.Throttled != 0 {
			t.Errorf("%s: %d answers of 429, want none", f.Title, f.Replay.Throttled)
		}
		if f.Kind == "Mirror" && *f.Replay.AllReadySeconds >= 3600 {
			t.Errorf("%s: all ready after %v s, want less than a window", f.Title, *f.Replay.AllReadySeconds)
		}
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

// refusing answers lists of some kinds, in the whole cluster, as an API server does to
// somebody who may not.
func refusing(kinds ...string) interceptor.Funcs {
	crds := noCRDs()
	return interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
		var o client.ListOptions
		o.ApplyOptions(opts)
		kind := fmt.Sprintf("%T", list)
		if partial, ok := list.(*metav1.PartialObjectMetadataList); ok {
			kind = partial.Kind
		}
		for _, k := range kinds {
			if strings.Contains(kind, k) && o.Namespace == "" {
				return apierrors.NewForbidden(schema.GroupResource{Resource: strings.ToLower(k) + "s"}, "",
					fmt.Errorf("User \"kim\" cannot list resource \"%ss\" in API group \"\" at the cluster scope", strings.ToLower(k)))
			}
		}
		return crds.List(ctx, c, list, opts...)
	}}
}

// What may not be read is unknown, and the rest is told all the same.
func TestDoctorTellsWhatItMayNotSee(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		refused []string
		words   []string
	}{
		"names of secrets": {[]string{"Secret"}, []string{"skip  silently-anonymous", `may not list secrets in the whole cluster`}},
		"nodes":            {[]string{"Node"}, []string{"skip  cache-unknown", "skip  runtime-cost", "Not read: nodes"}},
		"events":           {[]string{"Event"}, []string{"Not read: events"}},
		"one namespace":    {[]string{"Pod", "Node"}, []string{"Not all of pods: of namespace shop only"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := sick(t, refusing(tc.refused...))
			h.wants(h.run("doctor"), ExitHold, append(tc.words, "RATE LIMITED  docker.io refuses pulls")...)
		})
	}
}

func TestDoctorSaysThatItSeesNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no"))
	}})
	h.wants(h.run("doctor"), ExitError, "UNKNOWN  pods could not be read")
}

func TestDoctorLooksAtOneThing(t *testing.T) {
	t.Parallel()
	h := sick(t, noCRDs())
	h.wants(h.run("doctor", "pod/api-1"), ExitHold, "(1 pod, 1 node, 1 workload)", "kubectl pace doctor pod/api-1 -n shop --fix 1 --dry-run")
	h.wants(h.run("doctor", "node/node-2"), ExitHold, "(1 pod, 1 node, 1 workload)", "doctor node/node-2 --fix")
	h.wants(h.run("doctor", "deploy/api"), ExitHold, "(3 pods, 3 nodes, 1 workload)")
	h.wants(h.run("doctor", "deploy/absent"), ExitError, `deploy/absent is not in namespace "shop"`)
	h.wants(h.run("doctor", "node/absent"), ExitError, "node/absent is not in the cluster")
	h.wants(h.run("doctor", "cronjob/api"), ExitUsage, "doctor knows deploy")
	h.wants(h.run("doctor", "api"), ExitUsage, "is not TYPE/NAME")
}

func TestDoctorFindsNothingWhereNothingIsWrong(t *testing.T) {
	t.Parallel()
	h := newHarness(t, noCRDs(), deployment("api"), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-1"}})
	h.wants(h.run("doctor"), ExitOK, "HEALTHY  no pull fails")
	h.wants(h.run("doctor", "-o", "name"), ExitOK)
	if h.out.Len() > 0 {
		t.Errorf("names %q, want none", &h.out)
	}
}
