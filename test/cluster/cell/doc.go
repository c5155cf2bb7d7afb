// Package cell runs processes in PID, mount and network namespaces of their
// own and ends all of them at once.
//
// A cell is one process that is PID 1 of its namespaces. It serves a few
// requests on a Unix socket: start a process, signal it, wait for its end, run
// a command, mount. When it ends, for whatever reason, the kernel kills every
// process below it and drops its mounts and links, so that nothing has to be
// tracked for cleaning up. A cell may start further cells inside itself; they
// end with it.
//
// The package knows nothing of Kubernetes and keeps no state on disk but the
// log files that it was asked to write.
package cell
