// Package mainjob holds the cases of the main suite: what must hold of a paced
// rollout on a real cluster and a real registry, whatever happens meanwhile.
//
// Cases assert counts and order, which the registry's log and the marks on pods
// prove, not durations.
package mainjob
