package kernel

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// mostRecord is the length of the longest record.
const mostRecord = 4 + 2*binary.MaxVarintLen64

// Digest is the SHA-256 of what happened in a run, record by record: the kind in the
// highest and the index in the lower bits of a word of 32, its bytes from low to high,
// then the time since the record before and one value as varints. Two runs with one
// digest did the same.
type Digest struct {
	sum    hash.Hash
	last   Time
	buffer []byte
}

// NewDigest makes a digest of nothing yet.
func NewDigest() *Digest {
	return &Digest{sum: sha256.New(), buffer: make([]byte, 0, 1<<13)}
}

// Add appends a record; kind and index fit where those of an event do.
func (d *Digest) Add(at Time, kind uint8, index int, value int64) {
	if len(d.buffer)+mostRecord > cap(d.buffer) {
		d.sum.Write(d.buffer)
		d.buffer = d.buffer[:0]
	}
	d.buffer = binary.LittleEndian.AppendUint32(d.buffer, uint32(kind)<<indexBits|uint32(index)&MaxIndex)
	d.buffer = binary.AppendVarint(d.buffer, int64(at-d.last))
	d.buffer = binary.AppendVarint(d.buffer, value)
	d.last = at
}

// Sum is the digest of all records so far; more may follow.
func (d *Digest) Sum() [sha256.Size]byte {
	d.sum.Write(d.buffer)
	d.buffer = d.buffer[:0]
	return [sha256.Size]byte(d.sum.Sum(nil))
}
