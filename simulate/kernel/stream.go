package kernel

import (
	"math/bits"
	"math/rand/v2"
)

// Streams are the random numbers of one replication of one seed.
type Streams struct {
	Seed        uint64
	Replication int
}

// Stream is the sequence of random numbers of one entity for one purpose. A
// purpose has a stream of its own so that a policy that draws more of one thing
// changes nothing else: all policies meet the same arrivals.
func (s Streams) Stream(entity uint64, purpose string) Stream {
	hash := mix(mix(s.Seed) ^ uint64(s.Replication))
	hash = mix(hash ^ entity)
	for i := range len(purpose) {
		hash = (hash ^ uint64(purpose[i])) * 0x100000001b3 // as FNV-1a does
	}
	var out Stream
	out.pcg.Seed(mix(hash), mix(hash^golden))
	return out
}

// golden is 2^64 divided by the golden ratio, which splitmix64 steps by.
const golden = 0x9e3779b97f4a7c15

// mix is one step of splitmix64 (Steele, Lea, Flood 2014): it spreads every bit
// of x over the whole result, one to one.
func mix(x uint64) uint64 {
	x += golden
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Stream draws random numbers by PCG. It is 16 bytes, a value that an entity
// holds; a copy repeats what the original draws.
type Stream struct{ pcg rand.PCG }

// Uint64 draws any of the 2^64 numbers.
func (s *Stream) Uint64() uint64 { return s.pcg.Uint64() }

// Float draws from [0, 1).
func (s *Stream) Float() float64 { return float64(s.pcg.Uint64()>>11) / (1 << 53) }

// openFloat draws from (0, 1), as far from one end as from the other.
func (s *Stream) openFloat() float64 { return (float64(s.pcg.Uint64()>>12) + 0.5) / (1 << 52) }

// IntN draws from 0 to n-1, each as likely (Lemire 2019). It panics if n < 1.
func (s *Stream) IntN(n int) int {
	if n < 1 {
		panic("kernel: IntN of no numbers")
	}
	high, low := bits.Mul64(s.Uint64(), uint64(n))
	if low < uint64(n) {
		for least := -uint64(n) % uint64(n); low < least; {
			high, low = bits.Mul64(s.Uint64(), uint64(n))
		}
	}
	return int(high)
}
