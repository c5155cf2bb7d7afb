package plugin

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
)

// apart is a cluster whose controller is v0.5.0, for a plugin v0.3.0.
func apart(t *testing.T, objects ...client.Object) *harness {
	t.Helper()
	all := paced(objects...)
	for _, obj := range all {
		if obj.GetName() == v1alpha1.Heartbeat {
			obj.SetAnnotations(map[string]string{v1alpha1.AnnotationVersion: "v0.5.0"})
		}
	}
	h := newHarness(t, interceptor.Funcs{}, all...)
	h.env.Version = "v0.3.0"
	return h
}

func TestSkewRefusesOrdersAndWarnsReaders(t *testing.T) {
	t.Parallel()
	const refused = "the plugin is older than the controller allows"
	orders := map[string][]string{
		"rollout": {"rollout", "deploy/api", "--restart"},
		"pause":   {"pause", "deploy/api", "--reason", "r"},
		"resume":  {"resume", "deploy/api", "--reason", "r"},
		"release": {"release", "deploy/api", "--reason", "r"},
	}
	for name, args := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := apart(t, heldPod("api-1", "api"))
			before := read(h, deployment("api")).ResourceVersion
			h.wants(h.run(args...), ExitError, refused, "nothing was changed", "krew upgrade pace")
			if got := read(h, deployment("api")).ResourceVersion; got != before {
				t.Error("the Deployment was written")
			}
			h.env.Version = "v0.4.2"
			if h.run(args...) == ExitError {
				t.Errorf("a neighbour is refused too: %s%s", &h.out, &h.err)
			}
		})
	}
	readers := map[string][]string{
		"status": {"status"}, "budget": {"budget"}, "version": {"version"}, "cost": {"cost", "deploy/api"},
	}
	for name, args := range readers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := apart(t, budget(1))
			h.wants(h.run(args...), h.run(args...), "warning: the plugin is v0.3.0", refused)
			if h.out.Len() == 0 {
				t.Error("nothing but the warning is shown")
			}
		})
	}
}

// TestSkewNeverKeepsAHold takes gates off from here, which no version can
// misunderstand.
func TestSkewNeverKeepsAHold(t *testing.T) {
	t.Parallel()
	h := apart(t, heldPod("api-1", "api"))
	h.wants(h.run("release", "deploy/api", "--now", "--reason", "r"), ExitOK)
	if pod := read(h, heldPod("api-1", "api")); len(pod.Spec.SchedulingGates) > 1 {
		t.Errorf("still gated: %v", pod.Spec.SchedulingGates)
	}
}

func TestInstallWantsASupportedCluster(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		server string
		code   int
		want   string
	}{
		"too old":        {"v1.30.14", ExitError, "the cluster is v1.30.14: Pace needs 1.31 or newer; nothing was changed"},
		"the oldest":     {"v1.31.0", ExitOK, "Installed."},
		"a vendor's":     {"v1.31.4-gke.1183000", ExitOK, "Installed."},
		"the newest":     {"v1.37.2", ExitOK, "Installed."},
		"not tested yet": {"v1.38.0", ExitOK, "supported are 1.31 - 1.37"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, working())
			connect := h.env.Connect
			h.env.Connect = func(flags *genericclioptions.ConfigFlags, o cluster.Options) (*cluster.Cluster, error) {
				c, err := connect(flags, o)
				if err == nil {
					c.Version = func() (*version.Info, error) { return &version.Info{GitVersion: tc.server}, nil }
				}
				return c, err
			}
			h.wants(h.run("install"), tc.code, tc.want)
			var made corev1.NamespaceList
			if err := h.client.List(context.Background(), &made); err != nil {
				t.Fatal(err)
			}
			if tc.code != ExitOK && len(made.Items) > 0 {
				t.Error("something was made all the same")
			}
		})
	}
}
