// Package shadow answers what Pace would have done where it only watches: a second
// engine runs beside the one that acts, on the same events and readings, and pods
// that a policy in mode Shadow let pass are shown to it as held until its own
// decisions let them go. Nothing that it decides is acted on. A [Tally] counts what
// came of it.
//
// Such a pod pulls at once and not when it would have been let go. Its pull is ours
// and not somebody else's use of the account, so it is moved in the books:
//
//   - until the pod is let go, the image counts as absent from its node, and what the
//     pull was charged is added to what readings say is left, for as long as it can
//     weigh on them: one window;
//   - when the pod is let go, its pull is booked as if it were made then, and weighs on
//     readings for one window from there.
//
// For a rolling window that is exact; for others it is right on the whole. The pace of
// others, prices and grades are those that the engine which acts has learned, since
// its books know the real pulls. An answer of 429 does not close an account here while
// a pull that is not let go yet has taken from it: it would not have come.
//
// What cannot be known is left out: Enforce would also have kept a Deployment from
// creating further pods, and a pod that is held takes no room on a node. Pods that were
// there before the shadow began, or before a restart, are seen as they are.
//
// What it does not do: no I/O, no clock, no goroutine; it is not safe for concurrent use.
package shadow
