//go:build linux

package cell

import "testing"

func TestParseHierarchy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		line   string
		want   hierarchy
		wantOK bool
	}{
		"version 1": {
			"30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct",
			hierarchy{dir: "/sys/fs/cgroup/cpu,cpuacct", options: "cpu,cpuacct"}, true,
		},
		"version 1 without a controller": {
			"31 29 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/agent,name=systemd",
			hierarchy{dir: "/sys/fs/cgroup/systemd", options: "name=systemd"}, true,
		},
		"version 2": {
			"32 23 0:28 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot",
			hierarchy{dir: "/sys/fs/cgroup", v2: true}, true,
		},
		"another file system": {"33 1 0:29 / /run rw - tmpfs tmpfs rw", hierarchy{}, false},
		"junk":                {"cgroup - cgroup", hierarchy{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseHierarchy(tc.line)
			if got != tc.want || ok != tc.wantOK {
				t.Errorf("want %+v, %t; got %+v, %t", tc.want, tc.wantOK, got, ok)
			}
		})
	}
}
