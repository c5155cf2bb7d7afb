package main

import (
	"crypto/x509"
	"os"
	"os/exec"
	"testing"
)

// TestRootsWithoutAMachine runs itself again where no file of authorities is, as in
// the image.
func TestRootsWithoutAMachine(t *testing.T) {
	t.Parallel()
	if os.Getenv("SSL_CERT_FILE") == "/nowhere" {
		pool, err := x509.SystemCertPool()
		if err != nil || pool.Equal(x509.NewCertPool()) {
			t.Fatalf("nothing is trusted: probes would fail everywhere (%v)", err)
		}
		return
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRootsWithoutAMachine$")
	again.Env = append(os.Environ(), "SSL_CERT_FILE=/nowhere", "SSL_CERT_DIR=/nowhere")
	if said, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}
