// Package plan holds the rules by which demand is priced and shared: what pods may
// cost over the nodes that they can use, and which namespace is served next.
//
// What it does not do: it keeps no books (quota does), knows no pod or node, and
// decides on no release (engine does).
package plan
