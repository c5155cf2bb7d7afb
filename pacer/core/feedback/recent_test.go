package feedback

import (
	"fmt"
	"testing"
	"time"
)

// start is when every test begins.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestARefusalBesideThrottlesBlamesNobody(t *testing.T) {
	t.Parallel()
	throttled := Failure{Class: Throttled, Kind: KindPull}
	cases := map[string]struct {
		host  string
		f     Failure
		after time.Duration
		want  bool
	}{
		"401":                       {"docker.io", Failure{Class: Auth}, time.Second, true},
		"404":                       {"docker.io", Failure{Class: NotFound}, time.Second, true},
		"at the end of the window":  {"docker.io", Failure{Class: Auth}, DisguiseWindow, true},
		"after the window":          {"docker.io", Failure{Class: Auth}, DisguiseWindow + time.Nanosecond, false},
		"of another registry":       {"ghcr.io", Failure{Class: Auth}, time.Second, false},
		"by another name":           {"index.docker.io", Failure{Class: Auth}, time.Second, true},
		"with a port":               {"docker.io:443", Failure{Class: NotFound}, time.Second, true},
		"a platform is no throttle": {"docker.io", Failure{Class: WrongPlatform}, time.Second, false},
		"nor is a full disk":        {"docker.io", Failure{Class: Disk}, time.Second, false},
		"a clock that went back":    {"docker.io", Failure{Class: Auth}, -time.Hour, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Recent
			if before := r.See(start, tc.host, tc.f); before.Suspect {
				t.Error("suspect before anything was throttled")
			}
			r.See(start, "docker.io", throttled)
			got := r.See(start.Add(tc.after), tc.host, tc.f)
			if got.Suspect != tc.want {
				t.Errorf("suspect %v, want %v", got.Suspect, tc.want)
			}
			if got.Suspect && got.OfWorkload() {
				t.Error("the workload is blamed for what may be a throttle")
			}
		})
	}
}

func TestRecentStaysSmall(t *testing.T) {
	t.Parallel()
	var r Recent
	for i := range 3 * maxHosts {
		r.Throttled(start.Add(time.Duration(i)*time.Millisecond), fmt.Sprint("host", i))
		if len(r.at) > maxHosts {
			t.Fatalf("%d hosts are remembered, want %d at most", len(r.at), maxHosts)
		}
	}
}
