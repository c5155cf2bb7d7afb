package scenario_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/scenario"
)

func TestEditsChangeOneField(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"registries[hub].limiters[0].limit", "spec.registries[0].limiters[0].limit"} {
		s, err := scenario.With(blackFriday(t), scenario.Edit{Path: path, Value: "200"})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Spec.Registries[0].Limiters[0].Limit; got != 200 {
			t.Errorf("%s: limit is %d, want 200", path, got)
		}
	}
	s, err := scenario.With(blackFriday(t), scenario.Edit{Path: "policies[pace].pace.budgets[hub].reserve.percent", Value: "0"})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Spec.Policies[2].Pace.Budgets["hub"]; *got.Reserve.Percent != 0 || got.Registry != "docker.io" {
		t.Errorf("budget is %+v, want one of docker.io without reserve", got)
	}
}

// What an alias shares is edited in one place only.
func TestEditsLeaveWhatIsSharedAlone(t *testing.T) {
	t.Parallel()
	shared := []byte(`
apiVersion: pullpace.dev/v1alpha1
kind: Scenario
metadata: {name: shared}
spec:
  registries: [{name: hub, host: docker.io}]
  images: [{name: app, registry: hub}]
  nodePools:
  - {name: a, kubelet: &k {registryPullQPS: 7}}
  - {name: b, kubelet: *k}
  policies: [{name: none, unpaced: {}}]
`)
	s, err := scenario.With(shared, scenario.Edit{Path: "nodePools[b].kubelet.registryPullQPS", Value: "9"})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := s.Spec.NodePools[0].Kubelet.RegistryPullQPS, s.Spec.NodePools[1].Kubelet.RegistryPullQPS; a != 7 || b != 9 {
		t.Errorf("pools pull at %d and %d, want 7 and 9", a, b)
	}
}

func TestNumbersMakeListsLongerAndShorter(t *testing.T) {
	t.Parallel()
	tests := map[string][]string{"0": nil, "1": {"m"}, "3": {"m", "n", "n-3"}}
	for count, want := range tests {
		s, err := scenario.With(blackFriday(t),
			scenario.Edit{Path: "mirrors", Value: "[{name: m, for: [hub]}, {name: n, for: [hub]}]"}, scenario.Edit{Path: "mirrors", Value: count})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range s.Spec.Mirrors {
			got = append(got, m.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s mirrors (-want +got):\n%s", count, diff)
		}
	}
	if _, err := scenario.With(blackFriday(t), scenario.Edit{Path: "policies", Value: "1000000000"}); err == nil {
		t.Error("a list was made a thousand million entries long")
	}
}

func TestAtIsWhatTheFileSays(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"registries[hub].limiters[0].limit": "100", "horizon": "24h", "nodePools[general].runtime.start.constant": "", "policies": "3", "mirrors": "0",
	}
	for path, want := range tests {
		got, err := scenario.At(blackFriday(t), path)
		if err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"", "registries[quay]", "registries[5]", "horizon.limit", "a[", "a]b", "seed[0]"} {
		if got, err := scenario.At(blackFriday(t), path); err == nil {
			t.Errorf("%q is %q, want an error", path, got)
		}
	}
}
