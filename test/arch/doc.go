// Package arch holds the rules of the repository that a compiler does not check:
// who may import whom, what the decision code may not touch, and how packages are
// named. Each rule says why it is there, and fails when what it names is gone.
//
// What it does not do: it judges no behaviour, and it has no code of its own
// besides tests.
package arch
