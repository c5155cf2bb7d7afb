// Package scenario is the file that `pace simulate` runs: its types with their
// units, strict decoding that names all errors at once with their paths and lines,
// the defaults and where each comes from, and the scenarios that are built in.
//
// A Scenario that Decode returned holds no default to be filled and no name that
// leads nowhere: whoever builds a world from it need not check it again. What a
// policy or a budget means is not decided here but by pacer/api.
package scenario
