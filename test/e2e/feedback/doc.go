// Package feedback holds the cases of the suite on failing pulls: what must be
// paused when pulls fail, what must be left alone, and how it goes on by itself.
//
// Every case has a registry that really fails and kubelets that really try again.
// Cases assert counts and order, which the registry's log, the marks on pods and the
// API server's own order of changes prove, not durations.
package feedback
