//go:build linux

package cluster

import "os"

// Test is what Require needs of a *testing.T.
type Test interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Require ends a test that needs a local cluster where there cannot be one. It
// skips unless PACE_CLUSTER=1 is set, which `make test` does. If the machine
// is not able to it skips with what is missing, but fails where CI=true:
// there a skipped test would go unnoticed.
func Require(t Test) {
	t.Helper()
	if os.Getenv("PACE_CLUSTER") != "1" {
		t.Skipf("this test starts a real cluster; set PACE_CLUSTER=1 to run it")
	}
	if err := Missing(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v", err)
		}
		t.Skipf("%v", err)
	}
}
