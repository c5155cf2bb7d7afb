//go:build linux

package ground

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestProcessesOfContainers(t *testing.T) {
	t.Parallel()
	proc := fstest.MapFS{
		"1/cgroup":   {Data: []byte("0::/init\n")},
		"41/cgroup":  {Data: []byte("5:cpu:/pace/node-1.1/k8s.io/abc\n1:pids:/pace/node-1.1/k8s.io/abc\n")},
		"42/cgroup":  {Data: []byte("0::/pace/node-2.1/k8s.io/def\n")},
		"43/status":  {Data: []byte("ended")},
		"net/cgroup": {Data: []byte("0::/k8s.io/abc\n")},
	}
	tests := map[string]struct {
		containers []string
		want       []int
	}{
		"one of its own":      {containers: []string{"abc"}, want: []int{41}},
		"several":             {containers: []string{"abc", "def"}, want: []int{41, 42}},
		"nobody's":            {containers: []string{"fff"}},
		"none is asked about": {},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := processes(proc, tc.containers)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("processes (-want +got):\n%s", diff)
			}
		})
	}
}
