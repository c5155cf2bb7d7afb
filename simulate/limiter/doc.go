// Package limiter is the limits of registries, each as a registry keeps it: a log
// of the last window, a counter between edges, a bucket, a counter that slides, a
// number of requests at once. It counts whole units on a clock of whole
// nanoseconds and rounds nothing, so that a run can be compared to the nanosecond
// with a closed form.
//
// Bound is the closed form: the earliest start of the last of so many pulls under
// any order of them.
//
// What it does not do: it does not know what a request is, which of them cost
// units, or whose account is whose.
package limiter
