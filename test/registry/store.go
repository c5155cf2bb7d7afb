package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"

	backend "github.com/google/go-containerregistry/pkg/registry"
)

// A Store holds images in memory. Hosts may share one. It is safe for concurrent use.
type Store struct {
	backend http.Handler
}

// NewStore returns an empty store. A store with a directory keeps its blobs there rather than in memory.
func NewStore(dir string) *Store {
	options := []backend.Option{backend.Logger(discard()), backend.WithReferrersSupport(true)}
	if dir != "" {
		options = append(options, backend.WithBlobHandler(backend.NewDiskBlobHandler(dir)))
	}
	return &Store{backend: backend.New(options...)}
}

// Handler is the store as a plain registry that takes pushes: no limit, no log, no authentication, no fault.
func (s *Store) Handler() http.Handler { return s.backend }

// answer is a response held in memory.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// fetch answers a request from the store in memory. Manifests are taken this way because the backend holds its lock
// while it writes, which a slow client would prolong.
func (s *Store) fetch(r *http.Request) *answer {
	a := &answer{header: http.Header{}}
	s.backend.ServeHTTP(a, r)
	a.WriteHeader(http.StatusOK)
	return a
}

// stream answers a request for a blob. The backend wants both ends of a Range, clients that resume send only the first.
func (s *Store) stream(w http.ResponseWriter, r *http.Request) {
	var start, size int64
	from := r.Header.Get("Range")
	if n, err := fmt.Sscanf(from, "bytes=%d-", &start); n == 1 && err == nil && r.Method == http.MethodGet && strings.HasSuffix(from, "-") {
		head := r.Clone(r.Context())
		head.Method = http.MethodHead
		if _, err := fmt.Sscan(s.fetch(head).header.Get("Content-Length"), &size); err == nil {
			if start >= size {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			r = r.Clone(r.Context())
			r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, size-1))
		}
	}
	s.backend.ServeHTTP(w, r)
}

// children are the digests that an index names; none for any other manifest.
func (a *answer) children() []string {
	kind := a.header.Get("Content-Type")
	if a.status != http.StatusOK || !strings.Contains(kind, "image.index") && !strings.Contains(kind, "manifest.list") {
		return nil
	}
	var index struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if json.Unmarshal(a.body.Bytes(), &index) != nil {
		return nil
	}
	var out []string
	for _, m := range index.Manifests {
		out = append(out, m.Digest)
	}
	return out
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }
