package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Record is one call to an engine. A trace is records, one JSON object a line:
// the stream of events, not worlds, except where a restart began with one.
// Exactly one field besides At is set.
type Record struct {
	At      time.Time `json:"at"`
	Event   *Event    `json:"event,omitempty"`
	Replace *World    `json:"replace,omitempty"`
	Restore *State    `json:"restore,omitempty"`
	Decide  bool      `json:"decide,omitempty"`
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
	for _, set := range []bool{r.Event != nil, r.Replace != nil, r.Restore != nil, r.Decide} {
		if set {
			calls++
		}
	}
	if calls != 1 {
		return r, fmt.Errorf("want one of event, replace, restore, decide, have %d", calls)
	}
	return r, nil
}

// Replay makes the recorded calls on a new engine and returns its decisions.
// The same trace and configuration give the same decisions, byte for byte.
func Replay(cfg Config, records []Record) []Decision {
	e := New(cfg)
	var out []Decision
	for _, r := range records {
		switch {
		case r.Event != nil:
			e.Observe(r.At, *r.Event)
		case r.Replace != nil:
			e.Replace(r.At, *r.Replace)
		case r.Restore != nil:
			e.Restore(r.At, *r.Restore)
		case r.Decide:
			out = append(out, e.Decide(r.At))
		}
	}
	return out
}
