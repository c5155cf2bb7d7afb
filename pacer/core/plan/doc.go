// Package plan holds the rules by which demand is priced and shared: what pods may
// cost over the nodes that they can use or may bring, how many of them the step of a
// canary makes, which namespace is served next, and how many nodes may be held.
//
// What it does not do: it keeps no books (quota does), knows no pod or node, and
// decides on no release (engine does).
package plan
