package kube

import (
	"strings"
	"testing"
)

// What is written in a pod may be anything. A name that is accepted has a host, is
// what a node would list, and is its own normal form.
func FuzzNormalImage(f *testing.F) {
	for _, ref := range []string{
		"nginx", "nginx:1.27", "library/nginx", "docker.io/library/nginx", "index.docker.io/bitnami/kubectl:latest",
		"registry-1.docker.io/library/busybox@sha256:50aa4698fa6262977cff89181b2664b99d8a56dbca847bf62f2ef04854597cf8",
		"index.docker.io/jaegertracing/all-in-one:1@sha256:50aa4698fa6262977cff89181b2664b99d8a56dbca847bf62f2ef04854597cf8",
		"public.ecr.aws/docker/library/alpine", "a.b.c/image-0.1", "127.0.0.1:6443/x", "[::1]:5000/x:y", "kong:3.9",
		"docker.io/openshift/hello-openshift:v3.6.0", "UPPER/case", "a//b", "a:b:c", "@sha256:", " ", "\x00", "\x1b[31mred", "localhost/x",
	} {
		f.Add(ref)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		image, host, ok := NormalImage(ref)
		if !ok {
			return
		}
		if host == "" || !strings.HasPrefix(string(image), host+"/") {
			t.Errorf("%q: image %q of host %q", ref, image, host)
		}
		again, sameHost, ok := NormalImage(string(image))
		if !ok || again != image || sameHost != host {
			t.Errorf("%q is %q, and that is %q of %q", ref, image, again, sameHost)
		}
	})
}
