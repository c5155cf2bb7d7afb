// Package enginetest is a small cluster in virtual time in front of registries
// whose limiters are simple enough to be seen to be right. It drives an engine
// through its public calls, as the controller does, and reports what the registry
// saw. Scenarios are written in a command language; see [Run].
//
// What it does not do: it models no bandwidth, no API server and no autoscaler,
// and shares no code with the engine or the simulator: it is there to disagree
// with them.
package enginetest
