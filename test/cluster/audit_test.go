//go:build linux

package cluster

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAuditLogMayEndInTheMiddle(t *testing.T) {
	t.Parallel()
	const line = `{"verb":"patch","user":{"username":"kim"},"objectRef":{"resource":"deployments","namespace":"shop","name":"api"},"annotations":{"orders.pullpace.dev/action":"pause"}}` + "\n"
	want := AuditEntry{Verb: "patch", Annotations: map[string]string{"orders.pullpace.dev/action": "pause"}}
	want.User.Username = "kim"
	want.Object.Resource, want.Object.Namespace, want.Object.Name = "deployments", "shop", "api"
	got, err := readAudit(strings.NewReader(line + line[:40]))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]AuditEntry{want}, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if _, err := readAudit(strings.NewReader("junk\n")); err == nil {
		t.Error("junk was read")
	}
}
