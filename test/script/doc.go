// Package script runs the command line as a person would: each file of testdata
// is a script with its expected output.
//
// What it does not do: it needs no cluster; what needs one is in plugin and in
// test/e2e.
package script
