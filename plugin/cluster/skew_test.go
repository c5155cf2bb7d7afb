package cluster

import (
	"strings"
	"testing"

	"github.com/pullpace/pace/plugin/view"
)

func TestCompatible(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		plugin, controller string
		want               string // of the complaint; "" for none
	}{
		"the same":                     {"v0.3.0", "v0.3.0", ""},
		"another patch":                {"v0.3.0", "v0.3.9", ""},
		"the next minor":               {"v0.3.0", "v0.4.0", ""},
		"the minor before":             {"v0.3.0", "v0.2.1", ""},
		"two minors ahead":             {"v0.3.0", "v0.5.0", "the plugin is older than the controller allows: `kubectl krew upgrade pace`"},
		"two minors behind":            {"v0.3.0", "v0.1.7", "the controller is older than the plugin allows: `install`"},
		"another major":                {"v0.9.0", "v1.0.0", "the plugin is older"},
		"another major, behind":        {"v2.0.0", "v1.9.0", "the controller is older"},
		"a release candidate":          {"v0.3.0-rc.1", "v0.4.0", ""},
		"a candidate, too far":         {"v0.3.0-rc.1", "v0.5.0-rc.1", "the plugin is older"},
		"a commit after a tag":         {"v0.3.1-0.20260302141000-0123456789ab", "v0.5.0", "the plugin is older"},
		"built from a checkout":        {"v0.0.0-20260302141000-0123456789ab+dirty", "v0.5.0", ""},
		"built without version":        {"devel", "v0.5.0", ""},
		"controller from a checkout":   {"v0.3.0", "dev", ""},
		"controller without a version": {"v0.3.0", "", ""},
		"controller writes nonsense":   {"v0.3.0", "\x1b[31m9.9", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := Compatible(tc.plugin, view.Controller{Version: tc.controller})
			if (err != nil) != (tc.want != "") {
				t.Fatalf("error %v, want one: %t", err, tc.want != "")
			}
			if err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%q does not say %q", err, tc.want)
			}
		})
	}
}
