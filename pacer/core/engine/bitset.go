package engine

import "math/bits"

// bitset is a set of node indices.
type bitset []uint64

func (b *bitset) add(i int) {
	for len(*b) <= i/64 {
		*b = append(*b, 0)
	}
	(*b)[i/64] |= 1 << (i % 64)
}

// addAll adds all of another set.
func (b *bitset) addAll(of bitset) {
	for len(*b) < len(of) {
		*b = append(*b, 0)
	}
	for w, x := range of {
		(*b)[w] |= x
	}
}

func (b bitset) remove(i int) {
	if i/64 < len(b) {
		b[i/64] &^= 1 << (i % 64)
	}
}

func (b bitset) has(i int) bool {
	return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0
}

// word returns the w-th word, zero beyond the end.
func (b bitset) word(w int) uint64 {
	if w < len(b) {
		return b[w]
	}
	return 0
}

// count is how many are in b and in and, and in none of not.
func (b bitset) count(and bitset, not ...bitset) int {
	n := 0
	for w := range b {
		n += bits.OnesCount64(b.masked(w, and, not))
	}
	return n
}

func (b bitset) masked(w int, and bitset, not []bitset) uint64 {
	x := b[w] & and.word(w)
	for _, s := range not {
		x &^= s.word(w)
	}
	return x
}

// list returns up to most indices that are in b and in and, and in none of not.
func (b bitset) list(most int, and bitset, not ...bitset) []int {
	var out []int
	for w := range b {
		for x := b.masked(w, and, not); x != 0; x &= x - 1 {
			if len(out) == most {
				return out
			}
			out = append(out, w*64+bits.TrailingZeros64(x))
		}
	}
	return out
}
