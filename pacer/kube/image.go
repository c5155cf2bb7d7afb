package kube

import (
	"strings"

	"github.com/distribution/reference"

	"github.com/pullpace/pace/pacer/core"
)

// hubHosts are the names under which Docker Hub is one registry.
var hubHosts = map[string]bool{"docker.io": true, "index.docker.io": true, "registry-1.docker.io": true}

// Host returns the canonical name of a registry host. One without a dot or port is a
// host only by its capitals ("ACME/api"), and keeps them.
func Host(host string) string {
	if !strings.ContainsAny(host, ".:") {
		return host
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if hubHosts[host] {
		return "docker.io"
	}
	return host
}

// NormalImage reads an image reference as nodes list it, with its registry host.
// A reference with a digest is known by its digest alone, since that decides what
// is pulled. ok is false for text that is no reference.
func NormalImage(ref string) (image core.Image, host string, ok bool) {
	named, err := reference.ParseNormalizedNamed(strings.TrimPrefix(ref, "docker-pullable://"))
	if err != nil {
		return "", "", false
	}
	host = Host(reference.Domain(named))
	name := host + "/" + reference.Path(named)
	if digested, isDigested := named.(reference.Digested); isDigested {
		return core.Image(name + "@" + digested.Digest().String()), host, true
	}
	if tagged, isTagged := reference.TagNameOnly(named).(reference.Tagged); isTagged {
		return core.Image(name + ":" + tagged.Tag()), host, true
	}
	return "", "", false
}
