package kernel

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// recordSize is the length of one record: time, kind, index and value.
const recordSize = 8 + 8 + 8

// Digest is the SHA-256 of what happened in a run, record by record, each 24
// bytes: the time, the kind and the index as of an event, and one value, in order
// of their bytes from low to high. Two runs with one digest did the same.
type Digest struct {
	sum    hash.Hash
	buffer []byte
}

// NewDigest makes a digest of nothing yet.
func NewDigest() *Digest {
	return &Digest{sum: sha256.New(), buffer: make([]byte, 0, recordSize*512)}
}

// Add appends a record.
func (d *Digest) Add(at Time, kind uint8, index int, value int64) {
	if len(d.buffer) == cap(d.buffer) {
		d.sum.Write(d.buffer)
		d.buffer = d.buffer[:0]
	}
	end := len(d.buffer)
	d.buffer = d.buffer[:end+recordSize]
	record := (*[recordSize]byte)(d.buffer[end:])
	binary.LittleEndian.PutUint64(record[:], uint64(at))
	binary.LittleEndian.PutUint64(record[8:], uint64(kind)<<56|uint64(index)&(1<<56-1))
	binary.LittleEndian.PutUint64(record[16:], uint64(value))
}

// Sum is the digest of all records so far; more may follow.
func (d *Digest) Sum() [sha256.Size]byte {
	d.sum.Write(d.buffer)
	d.buffer = d.buffer[:0]
	return [sha256.Size]byte(d.sum.Sum(nil))
}
