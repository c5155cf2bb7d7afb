// Package plan prices and orders demand: what pods may cost over the nodes that
// they can use, who goes first, and how far a wave may go.
//
// What it does not do: it keeps no books (quota does) and remembers nothing
// between turns (engine does). Every function is pure.
package plan
