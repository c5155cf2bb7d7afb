// Package gate is everything that Pace writes on objects of others to hold them,
// and how it is taken off again: scheduling gates and release marks of pods, the
// taint of nodes, and fields of workloads that were changed and remembered. The
// controller, the failsafe and the plugin put on and take off by the same code.
//
// It decides nothing, talks to nobody and changes only the object that it is
// given. It knows no type of the decision code, so that what lets go when
// everything else is broken does not depend on it.
package gate
