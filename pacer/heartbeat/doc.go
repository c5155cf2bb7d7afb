// Package heartbeat is how the parts of Pace see that others are alive: a Lease
// that is renewed after work was done, and a reader that tells its age.
//
// It elects nobody and takes no lock. A Lease is aged by how long it has not
// changed before the reader's own eyes; the time that is written in it counts only
// where the reader has not seen it change, so that neither clocks that differ nor
// a clock that is set make a living writer look dead or a dead one alive.
package heartbeat
