package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layerOf is a layer that holds one executable file.
func layerOf(file string, content []byte) (v1.Layer, error) {
	return layer(file, int64(len(content)), func() io.Reader { return bytes.NewReader(content) })
}

// randomLayer is a layer that holds one file of noise; the name is the seed.
func randomLayer(l Layer) (v1.Layer, error) {
	seed := fnv.New64a()
	seed.Write([]byte(l.Name))
	return layer("/data/"+fmt.Sprintf("%x", seed.Sum64()), l.Size, func() io.Reader {
		return io.LimitReader(noise{rand.NewPCG(seed.Sum64(), uint64(l.Size))}, l.Size)
	})
}

// layer makes the content anew each time it is read, so that large layers take
// no memory.
func layer(file string, size int64, content func() io.Reader) (v1.Layer, error) {
	open := func() (io.ReadCloser, error) {
		read, write := io.Pipe()
		go func() { write.CloseWithError(writeTar(write, file, size, content())) }()
		return read, nil
	}
	made, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer),
		// Noise does not compress and a test has no time to try.
		tarball.WithCompressionLevel(gzip.NoCompression))
	if err != nil {
		return nil, fmt.Errorf("making a layer of %d bytes: %w", size, err)
	}
	return made, nil
}

func writeTar(w io.Writer, file string, size int64, content io.Reader) error {
	archive := tar.NewWriter(w)
	if err := archive.WriteHeader(&tar.Header{Name: file[1:], Mode: 0o755, Size: size}); err != nil {
		return err
	}
	if _, err := io.Copy(archive, content); err != nil {
		return err
	}
	return archive.Close()
}

// noise is an endless stream that depends on its seed alone.
type noise struct{ source *rand.PCG }

func (n noise) Read(p []byte) (int, error) {
	for i := range p {
		if i%8 == 0 {
			value := n.source.Uint64()
			for j := i; j < min(i+8, len(p)); j++ {
				p[j] = byte(value >> (8 * (j - i)))
			}
		}
	}
	return len(p), nil
}
