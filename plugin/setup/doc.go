// Package setup puts Pace into a cluster and takes it out again without a trace.
//
// What it does not do: it decides nothing while Pace runs, and taking Pace out
// needs no running controller.
package setup
