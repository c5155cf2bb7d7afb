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
		"7/stat":   {Data: []byte("7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1000 99999 3 18446744073709551615\n")},
		"7/status": {Data: []byte("Name:\ta ) b\nVmPeak:\t   99999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t      12 kB\n")},
		"8/stat":   {Data: []byte("8 (short) S 1")},
	}
	got, err := usage(proc, 7)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Usage{CPU: 3 * time.Second, Memory: 3 * int64(os.Getpagesize()), Peak: 2 << 20}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := usage(proc, 8); err == nil {
		t.Error("a line that was cut was read")
	}
	if here, err := usage(os.DirFS("/proc"), os.Getpid()); err != nil || here.Memory == 0 || here.Peak == 0 {
		t.Errorf("this process uses %+v (%v)", here, err)
	}
}
