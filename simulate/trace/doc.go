// Package trace is a scale-up as it was: what the pods of a real cluster met and
// when, one JSON object a line, with a scenario of the same cluster. Set against a
// simulation of that scenario it says how far a prediction was off.
//
// What it does not do: it watches no cluster and runs no simulation. What was
// decided by a controller is another trace, that of the engine.
package trace
