//go:build linux

package ground

import (
	"os"
	"testing"
	"testing/fstest"
	"time"
)

func TestUsageOfAProcess(t *testing.T) {
	t.Parallel()
	proc := fstest.MapFS{
		"7/stat": {Data: []byte("7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1000 99999 3 18446744073709551615\n")},
		"8/stat": {Data: []byte("8 (short) S 1")},
	}
	got, err := usage(proc, 7)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Usage{CPU: 3 * time.Second, Memory: 3 * int64(os.Getpagesize())}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := usage(proc, 8); err == nil {
		t.Error("a line that was cut was read")
	}
	if here, err := usage(os.DirFS("/proc"), os.Getpid()); err != nil || here.Memory == 0 {
		t.Errorf("this process uses %+v (%v)", here, err)
	}
}
