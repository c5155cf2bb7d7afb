// Package simulate runs scenarios: every policy against the same world, as often
// as the scenario says, and tells what they came to. A run knows no clock but its
// own, so that the same scenario, seed and version give the same result on any
// machine, however many runs there are at a time.
//
// What it does not do: it models nothing (simulate/model does), decides nothing
// (pacer/core/engine does, hosted by simulate/policy) and draws nothing
// (simulate/report and the plugin do).
package simulate
