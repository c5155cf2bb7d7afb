package registry

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/pullpace/pace/test/registry/dialect"
)

// HeaderFault is a way in which rate-limit headers are wrong.
type HeaderFault string

// The ways.
const (
	HeadersMissing HeaderFault = "Missing"
	// HeadersOffset adds Fault.By to what remains.
	HeadersOffset HeaderFault = "Offset"
	// HeadersStuck repeats, per identity, what remained when the fault first showed.
	HeadersStuck HeaderFault = "Stuck"
	// HeadersGarbage replaces every value of the dialect's headers by Fault.Garbage.
	HeadersGarbage HeaderFault = "Garbage"
)

// Drop is a way in which a request gets no answer.
type Drop string

// The ways.
const (
	// DropReset closes the connection: with a TCP reset where the connection is the request's own (HTTP/1).
	DropReset Drop = "Reset"
	// DropTimeout says nothing until the client gives up or the server ends.
	DropTimeout Drop = "Timeout"
)

// A Fault is scripted misbehaviour of a host. The first fields, down to Times, select requests, a zero field selects all;
// of the rest any combination may be set. Of several faults that match all apply, and the first to answer or drop does.
type Fault struct {
	// Name appears in the log.
	Name  string
	Kinds []Kind
	Repo  string
	// Identity is an account or address.
	Identity string
	// AfterAuth leaves alone requests that are answered with a challenge to log in.
	AfterAuth bool
	// Times is how many requests it hits before it ends; 0 is until it is lifted.
	Times int

	// Answer replaces the response. Its zero time to wait is what the limiters of the request would say.
	Answer *Denial
	// Charge makes the limiters charge a request that Answer or Drop keeps from being served.
	Charge bool
	Drop   Drop
	// Delay comes before anything is answered.
	Delay time.Duration
	// BytesPerSecond slows down bodies; 0 is full speed.
	BytesPerSecond int64

	Headers HeaderFault
	By      int64
	Garbage string
}

func (f Fault) match(c call, id Identity, challenged bool) bool {
	return !(f.AfterAuth && challenged) && (len(f.Kinds) == 0 || slices.Contains(f.Kinds, c.kind)) &&
		(f.Repo == "" || f.Repo == c.repo) &&
		(f.Identity == "" || f.Identity == id.Account || f.Identity == id.Address)
}

// injected is a fault in force.
type injected struct {
	Fault
	hits  int
	stuck map[string]int64 // what remained, by identity
}

// faults holds those of one host. It is not safe for concurrent use.
type faults struct {
	list []*injected
}

func (fs *faults) add(f Fault) *injected {
	in := &injected{Fault: f, stuck: map[string]int64{}}
	fs.list = append(fs.list, in)
	return in
}

func (fs *faults) lift(in *injected) {
	fs.list = slices.DeleteFunc(fs.list, func(x *injected) bool { return x == in })
}

// hit returns the faults that a request meets and counts them.
func (fs *faults) hit(c call, id Identity, challenged bool) trouble {
	var met trouble
	for _, in := range slices.Clone(fs.list) {
		if !in.match(c, id, challenged) {
			continue
		}
		met = append(met, in)
		if in.hits++; in.Times > 0 && in.hits >= in.Times {
			fs.lift(in)
		}
	}
	return met
}

// trouble is the faults that one request meets.
type trouble []*injected

func (t trouble) name() string {
	if len(t) == 0 {
		return ""
	}
	return t[0].Name
}

// ender is the first fault that keeps the request from being served, or nil.
func (t trouble) ender() *injected {
	for _, in := range t {
		if in.Answer != nil || in.Drop != "" {
			return in
		}
	}
	return nil
}

func (t trouble) delay() (sum time.Duration) {
	for _, in := range t {
		sum += in.Delay
	}
	return sum
}

// pace is the lowest speed of a body in bytes per second, 0 for full speed.
func (t trouble) pace() (lowest int64) {
	for _, in := range t {
		if in.BytesPerSecond > 0 && (lowest == 0 || in.BytesPerSecond < lowest) {
			lowest = in.BytesPerSecond
		}
	}
	return lowest
}

// write sets the headers that d would send for s, as wrong as the faults make them.
func (t trouble) write(h http.Header, d dialect.Dialect, s dialect.State) {
	for _, in := range t {
		switch in.Headers {
		case HeadersMissing:
			return
		case HeadersOffset:
			s.Remaining += in.By
		case HeadersStuck:
			if _, ok := in.stuck[s.Source]; !ok {
				in.stuck[s.Source] = s.Remaining
			}
			s.Remaining = in.stuck[s.Source]
		case HeadersGarbage:
			good := http.Header{}
			d.Write(good, s)
			for name := range good {
				h.Set(name, in.Garbage)
			}
			return
		}
	}
	d.Write(h, s)
}

// Common faults of one line.

// Failing answers requests of the given kinds with an error of the server, such as 503.
func Failing(status int, kinds ...Kind) Fault {
	return Fault{Name: "failing " + strconv.Itoa(status), Kinds: kinds,
		Answer: &Denial{Status: status, Body: http.StatusText(status) + "\n", ContentType: "text/plain"}}
}

// Refusing answers requests of the given kinds as a limiter would that nothing else tells of: no header does, and
// nothing is charged.
func Refusing(d Denial, kinds ...Kind) Fault {
	return Fault{Name: "refusing", Kinds: kinds, AfterAuth: true, Answer: &d}
}

// Unreachable resets the connection of every request.
func Unreachable() Fault { return Fault{Name: "unreachable", Drop: DropReset} }

// HeadThrottled answers 429 to each HEAD of a manifest and leaves the rest alone.
func HeadThrottled() Fault {
	return Fault{Name: "HEAD throttled", Kinds: []Kind{ManifestHEAD}, AfterAuth: true, Answer: &Denial{}}
}
