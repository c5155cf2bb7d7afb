package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// maxMark bounds what is read of an annotation that anybody may have written.
const maxMark = 16 << 10

// ReleaseMark is the value of AnnotationRelease: which decision let a pod go, when
// and at what price.
//
// +kubebuilder:object:generate=false
type ReleaseMark struct {
	Decision string     `json:"decision"`
	Time     time.Time  `json:"time"`
	Reason   string     `json:"reason"`
	Cost     []MarkCost `json:"cost,omitempty"`
}

// MarkCost is units of one account.
//
// +kubebuilder:object:generate=false
type MarkCost struct {
	Account string `json:"account"`
	Units   int64  `json:"units"`
}

// Order is the value of AnnotationPaused and AnnotationOverride: who wants it and
// why.
//
// +kubebuilder:object:generate=false
type Order struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	// Now asks for all at once, without regard to what is left.
	Now bool `json:"now,omitempty"`
}

// String returns the annotation's value.
func (m ReleaseMark) String() string { return mark(m) }

// String returns the annotation's value.
func (o Order) String() string { return mark(o) }

// mark marshals a value that cannot fail to marshal.
func mark(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(text)
}

// ParseReleaseMark reads an annotation's value.
func ParseReleaseMark(value string) (ReleaseMark, error) {
	var m ReleaseMark
	err := parseMark(value, &m)
	return m, err
}

// ParseOrder reads an annotation's value.
func ParseOrder(value string) (Order, error) {
	var o Order
	err := parseMark(value, &o)
	return o, err
}

func parseMark(value string, into any) error {
	if len(value) > maxMark {
		return fmt.Errorf("reading mark: %d bytes, want %d at most", len(value), maxMark)
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(value)))
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("reading mark: %w", err)
	}
	return nil
}
