// Package fidelity sets a real scale-up against its simulation: kubelets, containerd
// and a throttled registry, unpaced and paced. What the simulation is told of this
// machine is measured in another run, on a registry that refuses nothing, before.
//
// What it does not do: it judges no constant of the simulator by itself.
package fidelity
