// Package model is the world that is simulated: registries with their limiters,
// egress addresses, mirrors, nodes with kubelet and container runtime, the
// scheduler, workloads, autoscalers, and what happens to them in time. It is built
// from a scenario, one policy's pacer and the number of a replication, runs in one
// goroutine and ends as an Outcome; the same arguments give the same events.
//
// What it does not do: it paces nothing (a Pacer does), judges nothing (package
// report does) and reads no files, clocks or environment.
package model
