package kernel

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// TestDigestIsTheHashOfItsRecords hashes the same records at once.
func TestDigestIsTheHashOfItsRecords(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 600, 700, 800, 2000} {
		d := NewDigest()
		var all bytes.Buffer
		for i := range n {
			d.Add(Time(i)*1e9, uint8(i%5), i, int64(-i))
			if i == n/2 {
				d.Sum() // a look in between changes nothing
			}
			since := int64(1e9)
			if i == 0 {
				since = 0
			}
			all.Write([]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i % 5)})
			all.Write(binary.AppendVarint(nil, since))
			all.Write(binary.AppendVarint(nil, int64(-i)))
		}
		if got, want := d.Sum(), sha256.Sum256(all.Bytes()); got != want {
			t.Errorf("digest of %d records is %x, want %x", n, got, want)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	d := NewDigest()
	b.ReportAllocs()
	for b.Loop() {
		d.Add(1, 2, 3, 4)
	}
}
