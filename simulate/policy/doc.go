// Package policy is what may pace a simulated world: nothing, a number of nodes at
// a time, a rate that somebody wrote down, or the controller.
//
// The controller is a host of the very engine that runs in the cluster, with
// accounts by the API's own conversion of PullBudgets: it turns what happens in the
// world into the events that watches would bring, takes turns at the controller's
// pace, and writes releases as its client may.
//
// What it does not do: it decides nothing itself and knows no limiter; of a
// registry it learns what probes are answered.
package policy
