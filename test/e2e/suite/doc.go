// Package suite runs the cases of an end-to-end suite: side by side where they
// leave each other alone, one at a time where they disturb everybody, and says in
// a line for each what became of it.
//
// It knows nothing of clusters, registries or Pace; what a case does is its own.
package suite
