// Package stage gives every case of an end-to-end suite a corner of its own on
// the shared proving ground: a registry host, and so an account, a namespace and
// the PullBudget that ties them, and reads back what happened there.
//
// It asserts nothing and injects no fault: that is the cases' business.
package stage
