package controller

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// tapePath is where the calls of the engine can be read, on the pod's own loopback
// address: whoever may forward a port of this pod may read them.
const tapePath = "/v1/trace"

// maxTape bounds what can be asked for: a pod has room for it beside all else.
const maxTape = 256 << 20

// taped is an engine whose calls are kept, while somebody wants to know them.
type taped struct {
	*engine.Engine
	// tape is nil where nobody does.
	tape *tape
}

// Observe takes in one event.
func (e *taped) Observe(now time.Time, ev engine.Event) {
	if e.tape != nil {
		e.tape.keep(engine.Record{At: now, Event: &ev})
	}
	e.Engine.Observe(now, ev)
}

// Restore takes an exported state back.
func (e *taped) Restore(now time.Time, s engine.State) {
	if e.tape != nil {
		e.tape.keep(engine.Record{At: now, Restore: &s})
	}
	e.Engine.Restore(now, s)
}

// Replace makes w everything that is known.
func (e *taped) Replace(now time.Time, w engine.World) {
	if e.tape != nil {
		e.tape.keep(engine.Record{At: now, Replace: &w})
	}
	e.Engine.Replace(now, w)
}

// Export returns what must survive a restart.
func (e *taped) Export(now time.Time) engine.State {
	if e.tape != nil {
		e.tape.keep(engine.Record{At: now, Export: true})
	}
	return e.Engine.Export()
}

// Decide answers for everything that is held.
func (e *taped) Decide(now time.Time) engine.Decision {
	d := e.Engine.Decide(now)
	if e.tape != nil {
		e.tape.decided(now, d)
	}
	return d
}

// tape keeps records, compressed, from when this replica begins to lead until it is
// full: at its limit, passed by one call at most. It makes nobody wait: a reader gets a
// copy of the addresses. It is safe for concurrent use.
type tape struct {
	limit int
	// sets tells how often the wall clock was set; the tape ends when it is.
	sets func() int

	mu       sync.Mutex
	begun    bool
	ended    bool
	setsThen int
	kept     pages
	zip      *gzip.Writer
}

// newTape makes a tape of so many bytes; nil for none.
func newTape(limit int, sets func() int) *tape {
	if limit <= 0 {
		return nil
	}
	t := &tape{limit: min(limit, maxTape), sets: sets, setsThen: sets()}
	t.zip, _ = gzip.NewWriterLevel(&t.kept, gzip.BestSpeed) // the level is one that there is
	return t
}

// begin says what the engine is made of, before its first call, once.
func (t *tape) begin(now time.Time, version string, config engine.Config) {
	t.mu.Lock()
	again := t.begun
	t.begun = true
	t.mu.Unlock()
	if again {
		return
	}
	t.keep(engine.Record{At: now, Begin: &engine.Begin{Version: version, Config: config}})
}

func (t *tape) decided(now time.Time, d engine.Decision) {
	answer, err := json.Marshal(d)
	if err != nil {
		t.end(now, "a decision could not be encoded: "+err.Error())
		return
	}
	t.keep(engine.Record{At: now, Decide: true, Decision: answer})
}

// keep appends one call, or the end.
func (t *tape) keep(r engine.Record) {
	line, err := engine.EncodeRecord(r)
	if err != nil {
		t.end(r.At, "a call could not be encoded: "+err.Error())
		return
	}
	if t.sets() != t.setsThen { // times before and after do not compare
		t.end(r.At, "the clock of the node was set")
		return
	}
	t.mu.Lock()
	full := t.kept.size >= t.limit
	if !full {
		t.write(line)
	}
	t.mu.Unlock()
	if full {
		t.end(r.At, fmt.Sprintf("the trace has reached %d bytes", t.limit))
	}
}

// end says why nothing more is kept; the rest of the calls is let go by.
func (t *tape) end(at time.Time, why string) {
	line, err := engine.EncodeRecord(engine.Record{At: at, End: why})
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.write(line)
	}
	t.ended = true
}

// write appends a line; the lock is held. Nothing in memory fails.
func (t *tape) write(line []byte) {
	if !t.ended {
		_, _ = t.zip.Write(line)
	}
}

// copy returns what is kept, as a whole gzip file, and whether there is anything.
func (t *tape) copy() (parts [][]byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.zip.Close()
	t.zip.Reset(&t.kept) // what follows is a further member of the file
	return t.kept.copy(), t.begun
}

// ServeHTTP implements http.Handler.
func (t *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.Error(w, "want GET", http.StatusMethodNotAllowed)
		return
	}
	parts, ok := t.copy()
	if !ok {
		// A follower decides nothing.
		w.Header().Set("Retry-After", "2")
		http.Error(w, string(core.NotLeader), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Content-Encoding", "gzip")
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			log.FromContext(r.Context()).V(1).Info("trace not sent", "cause", err.Error())
			return
		}
	}
}

// pageSize is how much memory a tape takes at a time.
const pageSize = 64 << 10

// pages are bytes that are never moved, so that a copy is made by their addresses.
type pages struct {
	full [][]byte
	last []byte
	size int
}

// Write implements io.Writer.
func (p *pages) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if len(p.last) == cap(p.last) {
			if len(p.last) > 0 {
				p.full = append(p.full, p.last)
			}
			p.last = make([]byte, 0, pageSize)
		}
		n := min(len(rest), cap(p.last)-len(p.last))
		p.last = append(p.last, rest[:n]...)
		rest = rest[n:]
	}
	p.size += len(b)
	return len(b), nil
}

func (p *pages) copy() [][]byte {
	// What is written is never changed, what follows is beyond the length of the copy.
	return append(slices.Clone(p.full), p.last)
}

// tapeServer serves a tape on the loopback address of the pod.
type tapeServer struct {
	tape    *tape
	address string
}

// NeedLeaderElection says that every replica answers, a follower that it has none.
func (s *tapeServer) NeedLeaderElection() bool { return false }

// Start serves until ctx ends. It implements manager.Runnable. A port that cannot be
// had costs the trace, and nothing else.
func (s *tapeServer) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		log.FromContext(ctx).Error(err, "trace not served", "address", s.address)
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle(tapePath, s.tape)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, WriteTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.FromContext(ctx).Error(err, "trace not served any more")
	}
	return nil
}
