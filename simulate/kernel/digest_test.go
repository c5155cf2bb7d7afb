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
	for _, n := range []int{0, 1, 511, 512, 513, 2000} {
		d := NewDigest()
		var all bytes.Buffer
		for i := range n {
			d.Add(Time(i)*1e9, uint8(i%5), i, int64(-i))
			if i == n/2 {
				d.Sum() // a look in between changes nothing
			}
			record := []uint64{uint64(i) * 1e9, uint64(i%5)<<56 | uint64(i), uint64(-i)}
			if err := binary.Write(&all, binary.LittleEndian, record); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := d.Sum(), sha256.Sum256(all.Bytes()); got != want {
			t.Errorf("digest of %d records is %x, want %x", n, got, want)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	d := NewDigest()
	b.SetBytes(recordSize)
	b.ReportAllocs()
	for b.Loop() {
		d.Add(1, 2, 3, 4)
	}
}
