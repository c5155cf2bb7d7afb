//go:build linux

package ground

import "testing"

func TestTheGroupThatGivesTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, hierarchy, group string }{
		"version 1":        {"9:memory:/a\n4:cpuacct,cpu:/lab/node-1/pod\n1:name=systemd:/b\n0::/c\n", "cpu", "/lab/node-1/pod"},
		"version 2":        {"0::/lab/node-1/pod\n", "", "/lab/node-1/pod"},
		"cpuset is not it": {"3:cpuset:/a\n0::/c\n", "", "/c"},
		"junk":             {"x\n", "", ""},
	} {
		if hierarchy, group := cpuGroup(tc.text); hierarchy != tc.hierarchy || group != tc.group {
			t.Errorf("%s: %q %q, want %q %q", name, hierarchy, group, tc.hierarchy, tc.group)
		}
	}
}
