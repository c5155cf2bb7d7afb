// Package cluster is the plugin's hands: it connects, finds workloads and their
// owners, reads what Pace wrote on objects and writes a person's orders there.
//
// What it does not do: it prints nothing and decides nothing about budgets.
package cluster
