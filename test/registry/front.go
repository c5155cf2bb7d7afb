package registry

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pullpace/pace/test/registry/dialect"
)

// front is what a registry host and a token service have in common: limiters, headers, faults and the log.
type front struct {
	server *Server
	name   string

	mu      sync.Mutex
	meter   *meter
	faults  faults
	dialect dialect.Dialect
	denial  Denial
}

func newFront(s *Server, name string, limiters []Limiter) (*front, error) {
	m, err := newMeter(s.start, limiters)
	if err != nil {
		return nil, err
	}
	return &front{server: s, name: name, meter: m}, nil
}

// Inject puts a fault in force; lift ends it, and may be called again.
func (f *front) Inject(fault Fault) (lift func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.faults.add(fault)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.faults.lift(in)
	}
}

// ClearFaults ends all faults.
func (f *front) ClearFaults() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.list = nil
}

// SetLimit changes the limit (of a token bucket: the burst) of limiter i, for all identities; what was charged stays.
func (f *front) SetLimit(i int, limit int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.meter.setLimit(f.server.options.Clock(), i, limit)
}

// SetLimiters replaces all limiters; everybody starts full, the phases count from now.
func (f *front) SetLimiters(limiters ...Limiter) error {
	m, err := newMeter(f.server.options.Clock(), limiters)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.meter = m
	return nil
}

// SetDialect changes the headers that are sent.
func (f *front) SetDialect(d dialect.Dialect) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dialect = d
}

// SetDenial changes how requests are refused.
func (f *front) SetDenial(d Denial) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.denial = d
}

// Spend charges n pulls that somebody else makes under the identity, now, and returns how many were admitted.
// They are not in the log.
func (f *front) Spend(id Identity, n int64) (admitted int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.meter.spend(f.server.options.Clock(), id, n)
}

// Remaining is what is left for an identity on limiter i; math.MaxInt64 where it does not judge the identity.
func (f *front) Remaining(i int, id Identity) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.meter.remaining(f.server.options.Clock(), i, id)
}

// An exchange is one request and what became of it.
type exchange struct {
	w      http.ResponseWriter
	r      *http.Request
	now    time.Time
	remote string
	call   call
	id     Identity
	met    trouble
	spent  verdict
}

// endedByFault lets the faults that the request meets do their part, and says whether they ended it. A challenged
// request is one that is about to be answered 401.
func (f *front) endedByFault(x *exchange, challenged bool) bool {
	f.mu.Lock()
	x.met = f.faults.hit(x.call, x.id, challenged)
	f.mu.Unlock()
	if !sleep(x.r.Context(), x.met.delay()) {
		f.mu.Lock()
		f.record(x, 0)
		f.mu.Unlock()
		return true
	}
	in := x.met.ender()
	if in == nil {
		return false
	}
	f.mu.Lock()
	a := ask{id: x.id, kind: x.call.kind, early: challenged}
	if in.Charge {
		x.spent = f.meter.charge(x.now, a)
	} else {
		x.spent = f.meter.look(x.now, a)
	}
	if in.Drop != "" {
		f.record(x, 0)
		f.mu.Unlock()
		drop(x, in.Drop)
		return true
	}
	res := in.Answer.answer(x.now, x.id, x.spent.wait)
	if res.status < http.StatusInternalServerError {
		f.addHeaders(x, res.header)
	}
	f.record(x, res.status)
	f.mu.Unlock()
	f.send(x, res)
	return true
}

// refused sends the limiters' refusal. The caller holds the lock, which is given up.
func (f *front) refused(x *exchange) {
	res := f.denial.answer(x.now, x.id, x.spent.wait)
	f.addHeaders(x, res.header)
	f.record(x, res.status)
	f.mu.Unlock()
	f.send(x, res)
}

// addHeaders sets what the dialect says after the request. A header of the denial wins over one of the dialect.
func (f *front) addHeaders(x *exchange, h http.Header) {
	manifest := x.call.kind == ManifestGET || x.call.kind == ManifestHEAD
	if x.spent.state == nil || f.dialect.ManifestsOnly() && !manifest {
		return
	}
	retry := h.Get("Retry-After")
	x.met.write(h, f.dialect, *x.spent.state)
	if retry != "" {
		h.Set("Retry-After", retry)
	}
}

// record adds the request to the log. The caller holds the lock, so that the log is in order of judgement.
func (f *front) record(x *exchange, status int) {
	v := x.spent
	f.server.log.add(Entry{
		Time: x.now, Host: f.name, Identity: x.id, Remote: x.remote, Method: x.r.Method, Path: x.r.URL.Path,
		Kind: x.call.kind, Repo: x.call.repo, Reference: x.call.reference, Status: status,
		Limited: v.limited, Charged: v.charged, Remaining: v.remaining, Charges: v.charges, Denied: v.denied,
		Fault: x.met.name(), UserAgent: x.r.UserAgent(),
	})
}

// send writes a response held in memory.
func (f *front) send(x *exchange, res *answer) {
	w := x.writer()
	for name, values := range res.header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.status)
	if x.r.Method != http.MethodHead {
		_, _ = w.Write(res.body.Bytes()) // the client may be gone; the log says what was answered
	}
}

// sleep waits and says whether the context outlived it.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// drop ends the request without an answer. It does not return normally.
func drop(x *exchange, how Drop) {
	if how == DropTimeout {
		<-x.r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if hj, ok := x.w.(http.Hijacker); ok {
		if conn, _, err := hj.Hijack(); err == nil {
			reset(conn)
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// reset closes a connection so that its peer sees a reset.
func reset(conn net.Conn) {
	under := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS; its own close would say goodbye first
		under = t.NetConn()
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // where it cannot be set the peer sees an end of file, also no answer
	}
	_ = under.Close()
}
