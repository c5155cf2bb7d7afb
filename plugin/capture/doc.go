// Package capture turns the objects of a cluster into a scenario file that a person
// edits and commits. It is pure: objects in, text out. What a cluster does not tell
// is said in comments and left to the scenario's defaults; it guesses nothing about
// the future, so that the timeline is empty.
package capture
