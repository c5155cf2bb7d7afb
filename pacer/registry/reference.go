package registry

import (
	"fmt"
	"regexp"
	"strings"
)

// The grammar of image references. Source: the OCI distribution specification.
var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	digestPattern     = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$`)
)

const maxRepository = 255

// reference is a manifest on the client's registry.
type reference struct {
	repository string
	name       string // tag or digest
	digest     string // empty for a tag
}

// parse reads repository[:tag][@digest], with the client's own host before it
// or without; the tag is latest if there is none.
func (c *Client) parse(s string) (reference, error) {
	rest := s
	if first, after, ok := strings.Cut(s, "/"); ok {
		first = strings.ToLower(first)
		if first == c.host || isHub(c.host) && isHub(first) {
			rest = after
		}
	}
	rest, digest, pinned := strings.Cut(rest, "@")
	repository, tag, tagged := strings.Cut(rest, ":")
	if isHub(c.host) && !strings.Contains(repository, "/") {
		repository = "library/" + repository
	}
	r := reference{repository: repository, name: "latest", digest: digest}
	if tagged {
		r.name = tag
	}
	if len(repository) > maxRepository || !repositoryPattern.MatchString(repository) ||
		!tagPattern.MatchString(r.name) || pinned && !digestPattern.MatchString(digest) {
		return reference{}, fmt.Errorf("%q is not a repository or image on %s", printable(s), c.host)
	}
	if pinned {
		r.name = digest
	}
	return r, nil
}
