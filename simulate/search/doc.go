// Package search varies a scenario: over a grid of values, or until the smallest
// value is found with which a goal is met.
//
// What it does not do: it knows no scenario and runs none. It is given what turns
// values into figures, which draws the same random numbers for all of them.
package search
