package quota

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// Header is what a registry said of its limit in one answer. Absent fields are
// zero and HasLimit, HasRemaining tell which were there.
type Header struct {
	Limit        core.Units `json:"limit,omitempty"`
	HasLimit     bool       `json:"hasLimit,omitempty"`
	Remaining    core.Units `json:"remaining,omitempty"` // negative is possible and means overdrawn
	HasRemaining bool       `json:"hasRemaining,omitempty"`
	// Window is zero when the registry did not say.
	Window time.Duration `json:"window,omitempty"`
	// Source is the identity that the registry saw: an address, a prefix or an
	// account name; empty when it did not say.
	Source string `json:"source,omitempty"`
	// Reset is how long until the limit is whole again, zero when not said.
	Reset time.Duration `json:"reset,omitempty"`
	// RetryAfter is how long to stay away, zero when not said.
	RetryAfter time.Duration `json:"retryAfter,omitempty"`
}

// Observation is the outcome of one probe.
type Observation struct {
	// SentAt is when the request was sent; only what happened well before it is
	// in Remaining.
	SentAt time.Time `json:"sentAt"`
	// Status is the HTTP status of the answer, 0 when there was none.
	Status int    `json:"status"`
	Header Header `json:"header,omitzero"`
}

// Grade says how far a reading can be trusted.
type Grade string

// The grades; see docs/concepts.md for what each entails.
const (
	GradeNone     Grade = ""         // nothing read yet
	GradeOK       Grade = "OK"       // limit and remaining are known
	GradeNever    Grade = "Never"    // the registry sends no limit: unlimited for what we can know
	GradeLost     Grade = "Lost"     // the limit was sent before and is absent now
	GradeStale    Grade = "Stale"    // no answer for too long
	GradeMismatch Grade = "Mismatch" // the reading belongs to another identity
)

// Doubt is why readings may belong to another identity than the pulls.
type Doubt string

// The doubts.
const (
	DoubtNone Doubt = ""
	// DoubtSource: the registry names an address although credentials are set.
	DoubtSource Doubt = "Source"
	// DoubtUnseen: what was pulled does not show on the account.
	DoubtUnseen Doubt = "Unseen"
)

// Range is a span of time within which something is expected.
type Range struct {
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
}

// IsZero reports whether nothing is expected.
func (r Range) IsZero() bool { return r.From.IsZero() && r.To.IsZero() }
