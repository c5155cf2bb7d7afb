package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// Record is one call to an engine. A trace is records, one JSON object a line:
// the stream of events, not worlds, except where a restart began with one.
// Besides At exactly one call is set, or what begins or ends the trace.
type Record struct {
	At time.Time `json:"at"`
	// Begin makes a new engine; End says why nothing was recorded from here on.
	Begin   *Begin `json:"begin,omitempty"`
	End     string `json:"end,omitempty"`
	Event   *Event `json:"event,omitempty"`
	Replace *World `json:"replace,omitempty"`
	Restore *State `json:"restore,omitempty"`
	Decide  bool   `json:"decide,omitempty"`
	// Decision is what Decide answered, where it is known.
	Decision json.RawMessage `json:"decision,omitempty"`
	// Export is a call too: what was booked counts as waiting from then on.
	Export bool `json:"export,omitempty"`
}

// Begin is what an engine was made of.
type Begin struct {
	// Version is that of the program that decided.
	Version string `json:"version"`
	Config  Config `json:"config"`
}

// maxTraceLine bounds a line of a trace; a world of ten thousand nodes fits.
const maxTraceLine = 256 << 20

// EncodeRecord returns a record as one line, with its line feed.
func EncodeRecord(r Record) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encoding trace record: %w", err)
	}
	return append(line, '\n'), nil
}

// DecodeTrace reads a whole trace. Unknown fields, and lines that are not one
// call, are errors that name the line.
func DecodeTrace(trace []byte) ([]Record, error) {
	var records []Record
	for number := 1; len(trace) > 0; number++ {
		line, rest, _ := bytes.Cut(trace, []byte{'\n'})
		trace = rest
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		r, err := decodeRecord(line)
		if err != nil {
			return nil, fmt.Errorf("decoding trace line %d: %w", number, err)
		}
		records = append(records, r)
	}
	return records, nil
}

func decodeRecord(line []byte) (Record, error) {
	var r Record
	if len(line) > maxTraceLine {
		return r, fmt.Errorf("line of %d bytes is longer than %d", len(line), maxTraceLine)
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, err
	}
	if dec.More() {
		return r, fmt.Errorf("more than one record")
	}
	calls := 0
	for _, set := range []bool{r.Begin != nil, r.End != "", r.Event != nil, r.Replace != nil, r.Restore != nil, r.Decide, r.Export} {
		if set {
			calls++
		}
	}
	switch {
	case calls != 1:
		return r, fmt.Errorf("want one of begin, end, event, replace, restore, decide, export, have %d", calls)
	case r.Decision != nil && !r.Decide:
		return r, fmt.Errorf("a decision, and nothing was to be decided")
	}
	return r, nil
}

// Replay makes the recorded calls on a new engine and returns its decisions.
// The same trace and configuration give the same decisions, byte for byte.
func Replay(cfg Config, records []Record) []Decision {
	e := New(cfg)
	var out []Decision
	for _, r := range records {
		if r.Begin != nil {
			e = New(r.Begin.Config)
		}
		if d := e.call(r); d != nil {
			out = append(out, *d)
		}
	}
	return out
}

// call makes a recorded call; nil: it was not to decide.
func (e *Engine) call(r Record) *Decision {
	switch {
	case r.Event != nil:
		e.Observe(r.At, *r.Event)
	case r.Replace != nil:
		e.Replace(r.At, *r.Replace)
	case r.Restore != nil:
		e.Restore(r.At, *r.Restore)
	case r.Export:
		e.Export()
	case r.Decide:
		d := e.Decide(r.At)
		return &d
	}
	return nil
}

// Checked is how the decisions of a trace compare with those made again.
type Checked struct {
	// Calls, Restarts and Decisions count what the trace holds; Decisions those with
	// an answer to compare. Restarts are whole worlds that were taken in.
	Calls, Restarts, Decisions int
	// Readings are the answers that stated a limit, in order.
	Readings []CheckedReading
	// First is the first decision that differs; nil: all are the same, byte for byte.
	First *Difference
}

// CheckedReading is a reading with what the books knew of their own charges.
type CheckedReading struct {
	Account core.AccountID
	quota.Observation
	// Spent is what these books saw charged in all, Open whether more may have been
	// that they have not seen.
	Spent core.Units
	Open  bool
}

// Difference is a decision that was made otherwise.
type Difference struct {
	// Decision counts from 1. At is when it was made.
	Decision int
	At       time.Time
	// Recorded and Replayed are the two, as JSON.
	Recorded, Replayed []byte
}

// read keeps a reading that was taken in.
func (c *Checked) read(e *Engine, r Record) {
	if r.Event == nil || r.Event.Reading == nil || !r.Event.Reading.Header.HasLimit || !r.Event.Reading.Header.HasRemaining {
		return
	}
	reading := r.Event.Reading
	if a := e.accounts[reading.Account]; a != nil {
		spent, open := a.ledger.Spent()
		c.Readings = append(c.Readings, CheckedReading{Account: reading.Account, Observation: reading.Observation, Spent: spent, Open: open})
	}
}

// Check makes the recorded calls again and compares what was decided, up to the
// first difference: those after it follow from it.
func Check(records []Record) (Checked, error) {
	var c Checked
	var e *Engine
	for _, r := range records {
		if r.Begin != nil {
			e = New(r.Begin.Config)
			continue
		}
		if r.End != "" {
			continue
		}
		if e == nil {
			return c, fmt.Errorf("replaying: the trace does not say what the engine was made of")
		}
		c.Calls++
		if r.Replace != nil {
			c.Restarts++
		}
		d := e.call(r)
		c.read(e, r)
		if d == nil || r.Decision == nil {
			continue
		}
		c.Decisions++
		again, err := json.Marshal(d)
		if err != nil {
			return c, fmt.Errorf("encoding a decision: %w", err)
		}
		if !bytes.Equal(again, r.Decision) {
			c.First = &Difference{Decision: c.Decisions, At: r.At, Recorded: r.Decision, Replayed: again}
			return c, nil
		}
	}
	return c, nil
}
