// Package failsafe lets go of what Pace holds when nobody else will: everything
// when the controller has been gone for a while, and single holds whose bound has
// passed. It runs beside the controller as a process of its own, with an account of
// its own, and can only take off what Pace put on.
//
// It knows no budget, reads no registry and shares no decision code, so that what
// broke the controller does not break it too. While turns complete it lets the
// controller decide, and so never fights it.
package failsafe
