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

// Quote is the value of AnnotationQuote: what starting all pods of a workload may
// be charged, and whether it would wait.
//
// +kubebuilder:object:generate=false
type Quote struct {
	// Verdict is "allow", "hold" or "unknown"; Reason is one of the closed list.
	Verdict  string         `json:"verdict"`
	Reason   string         `json:"reason,omitempty"`
	Pods     int32          `json:"pods"`
	Accounts []QuoteAccount `json:"accounts,omitempty"`
}

// QuoteAccount is what the pods need of one account.
//
// +kubebuilder:object:generate=false
type QuoteAccount struct {
	Account string `json:"account"`
	// Min and Max units; they differ where it is not known what a node has.
	Min int64 `json:"min"`
	Max int64 `json:"max"`
	// Free is what the class may spend now by a reading sent at ReadAt; absent:
	// not known.
	Free   *int64    `json:"free,omitempty"`
	ReadAt time.Time `json:"readAt,omitzero"`
	// From and To are when the last of the pods may go; zero: not known.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Unlimited says that nothing is held for the account.
	Unlimited bool `json:"unlimited,omitempty"`
}

// String returns the annotation's value.
func (m ReleaseMark) String() string { return mark(m) }

// String returns the annotation's value.
func (o Order) String() string { return mark(o) }

// String returns the annotation's value.
func (q Quote) String() string { return mark(q) }

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

// ParseQuote reads an annotation's value. With an error the quote is zero.
func ParseQuote(value string) (Quote, error) {
	q, err := parseMark[Quote](value)
	if err != nil {
		return Quote{}, fmt.Errorf("reading quote: %w", err)
	}
	switch q.Verdict {
	case "allow", "hold", "unknown":
	default:
		return Quote{}, fmt.Errorf("reading quote: unknown verdict %q", q.Verdict)
	}
	if q.Pods < 0 {
		return Quote{}, fmt.Errorf("reading quote: %d pods", q.Pods)
	}
	for _, a := range q.Accounts {
		if a.Account == "" || a.Min < 0 || a.Max < a.Min {
			return Quote{}, fmt.Errorf("reading quote: %d to %d units of account %q", a.Min, a.Max, a.Account)
		}
	}
	return q, nil
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
