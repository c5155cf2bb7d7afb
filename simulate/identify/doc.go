// Package identify tells by what rule a registry counts, from what was pulled and
// what its headers said was left.
//
// Each rule that it could follow is run as a twin beside it, with every possible
// edge of its windows: what is pulled is charged to all twins, and each reading is
// compared with what a twin says. Less than it says somebody else took, at a pace
// that is learned; more than it says no honest registry gives, so that each such unit
// speaks against the twin. What was said decides nothing: an account needs no rule to
// be paced, and only forecasts and simulations get better by one.
//
// What it does not do: no I/O and no clock, and no rule but the four that state a
// window.
package identify
