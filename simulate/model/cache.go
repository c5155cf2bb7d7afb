package model

// caches is what every node's runtime holds, in one slice so that a fleet costs a
// few words per node: five sets of bits, each of all images or layers.
type caches struct {
	imageWords, layerWords int
	bits                   []uint64
}

// The sets of a node.
const (
	cacheWhole    = iota // images that are there and unpacked
	cacheIndex           // images whose first manifest is in the content store
	cacheManifest        // images whose last manifest is
	cachePulled          // images that were pulled in this run, whether or not they are still there
	cacheLayers          // layers that are there and unpacked
)

func newCaches(images, layers int) caches {
	return caches{imageWords: (images + 63) / 64, layerWords: (layers + 63) / 64}
}

func (c *caches) stride() int { return cacheLayers*c.imageWords + c.layerWords }

// grow adds an empty node.
func (c *caches) grow() { c.bits = append(c.bits, make([]uint64, c.stride())...) }

func (c *caches) place(node int32, set int, i int32) (word *uint64, bit uint64) {
	return &c.bits[int(node)*c.stride()+set*c.imageWords+int(i>>6)], 1 << (i & 63)
}

func (c *caches) has(node int32, set int, i int32) bool {
	word, bit := c.place(node, set, i)
	return *word&bit != 0
}

// put adds to a set and reports whether it was not in it before.
func (c *caches) put(node int32, set int, i int32) bool {
	word, bit := c.place(node, set, i)
	was := *word&bit != 0
	*word |= bit
	return !was
}

// purge empties a node but for the memory of what was pulled.
func (c *caches) purge(node int32) {
	all := c.bits[int(node)*c.stride():][:c.stride()]
	clear(all[:cachePulled*c.imageWords])
	clear(all[cacheLayers*c.imageWords:])
}
