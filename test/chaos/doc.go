//go:build linux

// Command chaos runs a randomised fault campaign on a real cluster and a throttled
// registry with the product installed: kills, restarts, a frozen API server, clocks
// that step, faults of the registry and people who act, several at a time and in
// random order.
//
//	go run ./test/chaos [-seed N] [-rounds N] [-faults N]
//
// Each round installs the product, lets faults loose on the workloads of three
// accounts, waits for calm, uninstalls, and then judges: what the nodes were charged
// and refused by the registry's own log, whether anything was held past its bound,
// whether ready pods ever fell below what a strategy promises, and what is left
// behind. The order of the faults, and what each of them picks, follow from the seed;
// their timing against the cluster's does not.
//
// It prints a line for each fault and each round and ends with
//
//	chaos seed=.. rounds=.. faults=.. violations=.. seconds=..
package main
