//go:build linux

// Package ground is the proving ground of Pace: a real cluster, the throttled
// registry that its nodes pull from, and the product installed on it as a user
// would, with `kubectl pace install`. The demo and the end-to-end suites stand
// on it.
//
// It asserts nothing and knows no case: what is tried on it is the caller's.
package ground
