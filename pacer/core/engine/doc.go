// Package engine composes the books of every account and the plan into one
// decision: which groups of pods may go now, which are held and why, what to ask
// the registries and when to look again.
//
// A caller feeds it events ([Engine.Observe]), or a whole world after a restart
// ([Engine.Replace]), and asks for a [Decision]. For every pod it releases it
// observes a [Booking] first and writes second; a refused write is observed as
// Refused, one that was not begun as Withdrawn. Time is an argument and must not run
// backwards: the engine clamps it.
//
// It plans groups, not pods; which pod of a group goes is the caller's choice.
//
// What it does not do: no I/O, no clock, no goroutine. An Engine is not safe for
// concurrent use.
package engine
