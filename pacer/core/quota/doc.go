// Package quota keeps the books of one account: it turns what a registry says in
// its headers into readings, and readings, reservations, our own ungated demand
// and the pace of others into what each class of work may spend now.
//
// The limiter behind the headers is not modelled. What is left is the last
// reading less everything that the reading may not have seen yet; refills count
// only when they are read. That is safe under any limiter whose `remaining` is
// honest, at the price of asking often enough.
//
// What it does not do: it does not know pods, nodes or images, it does not send
// the probes, and it does not choose who spends.
package quota
