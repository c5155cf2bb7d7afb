//go:build linux

package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestHostsFile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		registry Registry
		want     string
	}{
		"itself": {want: "server = \"https://hub.test\"\n"},
		"elsewhere, after a mirror": {
			registry: Registry{Server: "https://198.18.0.1:5000", Mirrors: []string{"https://mirror.test"}},
			want:     "server = \"https://198.18.0.1:5000\"\n\n[host.\"https://mirror.test\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, hostsFile("hub.test", tc.registry)); diff != "" {
				t.Errorf("hosts.toml (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseTaints(t *testing.T) {
	t.Parallel()
	got, err := parseTaints([]string{"a.b/c=d:NoSchedule", "e:NoExecute"})
	if err != nil {
		t.Fatal(err)
	}
	want := []corev1.Taint{{Key: "a.b/c", Value: "d", Effect: "NoSchedule"}, {Key: "e", Effect: "NoExecute"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	if _, err := parseTaints([]string{"no-effect"}); err == nil {
		t.Error("a taint without an effect was accepted")
	}
}

func TestNodeLabels(t *testing.T) {
	t.Parallel()
	n := &Node{options: NodeOptions{Zone: "z1", Labels: map[string]string{"b": "2", "a": "1"}}}
	if want, got := "a=1,b=2,topology.kubernetes.io/zone=z1", n.labels(); got != want {
		t.Errorf("labels: want %q, got %q", want, got)
	}
}
