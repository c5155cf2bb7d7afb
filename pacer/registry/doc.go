// Package registry asks registries what is left of a limit, and what an image
// is made of, at no cost: by HEAD of a manifest with the bearer token flow.
//
// It trusts nobody that it talks to. It speaks https only, follows no redirect,
// sends credentials to the registry and to token services that are known or
// allowed to serve it and to nobody else, reads bounded answers, and puts no
// secret and nothing unprintable into an error. It repeats nothing: a probe is
// at most two HEADs, the second only with a token after a 401, and one request
// for that token. A 429 is an answer like any other.
//
// What it does not do: it does not decide when to ask, judges no reading, pulls
// nothing, and reads no file and no Kubernetes object.
package registry
