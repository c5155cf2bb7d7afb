// Package record turns what a watch of a cluster shows into the trace of a run: when
// pods were created, let go, placed and ready, what pulling their images came to, and
// a scenario to begin with.
//
// What it does not do: it asks no cluster and writes nothing. A recorder is told.
package record
