package registry

import (
	"net/http"
	"strings"
)

// Kind says what a request is for.
type Kind string

// The kinds.
const (
	Ping         Kind = "ping"
	Token        Kind = "token"
	ManifestHEAD Kind = "manifestHEAD"
	ManifestGET  Kind = "manifestGET"
	Blob         Kind = "blob" // HEAD and GET; the method tells them apart
	Other        Kind = "other"
)

// call is a request as the registry protocol reads it.
type call struct {
	kind      Kind
	repo      string
	reference string
}

// byDigest says whether the reference is a digest.
func (c call) byDigest() bool { return strings.Contains(c.reference, ":") }

// read classifies a request to a registry (not to a token service).
func read(r *http.Request) call {
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	switch {
	case r.URL.Path == "/v2" || ok && rest == "":
		return call{kind: Ping}
	case !ok:
		return call{kind: Other}
	}
	parts := strings.Split(rest, "/")
	if len(parts) < 3 {
		return call{kind: Other}
	}
	c := call{kind: Other, repo: strings.Join(parts[:len(parts)-2], "/"), reference: parts[len(parts)-1]}
	switch parts[len(parts)-2] {
	case "manifests":
		switch r.Method {
		case http.MethodHead:
			c.kind = ManifestHEAD
		case http.MethodGet:
			c.kind = ManifestGET
		}
	case "blobs":
		c.kind = Blob
	}
	return c
}
