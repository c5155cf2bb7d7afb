// Package proof asks a cluster whether Pace's gate works: it sends the dry run of
// a pod through the API server, by the very webhook that holds pods, and looks
// whether it comes back gated. Nothing is stored.
//
// The controller does so every minute and an installation before it says that it
// is done. What it does not do: it repairs nothing, and it decides on no hold.
package proof
