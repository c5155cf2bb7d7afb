package v1alpha1

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	kjson "sigs.k8s.io/json"
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

// mark marshals a value that cannot fail to marshal but for a year beyond 9999.
func mark(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}"
	}
	return string(text)
}

// ParseReleaseMark reads an annotation's value. With an error the mark is zero.
func ParseReleaseMark(value string) (ReleaseMark, error) {
	m, err := parseMark[ReleaseMark](value)
	if err != nil {
		return ReleaseMark{}, fmt.Errorf("reading release mark: %w", err)
	}
	if m.Time.IsZero() {
		return ReleaseMark{}, errors.New("reading release mark: it has no time")
	}
	for _, c := range m.Cost {
		if c.Account == "" || c.Units < 0 {
			return ReleaseMark{}, fmt.Errorf("reading release mark: cost of %d units of account %q", c.Units, c.Account)
		}
	}
	return m, nil
}

// ParseOrder reads an annotation's value. With an error the order is zero. A
// person may leave out any field.
func ParseOrder(value string) (Order, error) {
	o, err := parseMark[Order](value)
	if err != nil {
		return Order{}, fmt.Errorf("reading order: %w", err)
	}
	return o, nil
}

// parseMark reads one JSON object of bounded size with no field that is unknown
// or there twice, and nothing behind it.
func parseMark[T any](value string) (T, error) {
	var into T
	if len(value) > maxMark {
		return into, fmt.Errorf("%d bytes, want %d at most", len(value), maxMark)
	}
	strict, err := kjson.UnmarshalStrict([]byte(value), &into)
	return into, errors.Join(append(strict, err)...)
}
