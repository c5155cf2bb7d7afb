// Package doctor tells from what the API server knows why images are not pulled:
// whether a registry refuses, which of its limits, whose account, what drew on it,
// and what only looks like it.
//
// It is given a [Snapshot] and asks nobody anything: no cluster, no registry, no
// clock. The same snapshot gives the same diagnosis. What a snapshot does not hold
// is listed as unknown and never guessed. Messages of failed pulls are understood
// by pacer/core/feedback alone.
package doctor
