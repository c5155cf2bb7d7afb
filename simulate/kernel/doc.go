// Package kernel is what a simulation runs on: virtual time, a queue of events,
// named streams of random numbers, shared bandwidth, and a digest of what happened.
//
// The same names and seed give the same numbers on every machine: time is whole
// nanoseconds, events at one instant come in the order in which they were pushed,
// and what must be float64 is rounded after every product, because a compiler may
// fuse a product and a sum on one processor and not on another.
//
// What it does not do: it does not know registries, nodes or pods, it starts no
// goroutine and it reads no clock. Nothing in it is safe for concurrent use.
package kernel
