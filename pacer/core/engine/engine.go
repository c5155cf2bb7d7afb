package engine

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// Engine decides. Make one with New.
type Engine struct{}

// Config are the constants of an engine. The zero value is the default.
type Config struct {
	// Seed feeds the jitter of probes.
	Seed uint64
	// ParkAfter is how long a released pod may stay Unschedulable before its cost
	// stops blocking others. Default 3 min: longer than the boot of a node in the
	// measurements of docs/concepts.md.
	ParkAfter time.Duration
}

// World is everything that is known, for a start or a resync. What it does not
// name is gone; readings, foreign use and what was learned stay.
type World struct {
	Events []Event `json:"events"`
}

// State is what survives a restart, sorted by account; see Export. Reservations
// are not in it: they are read back from the marks on the pods.
type State struct {
	Accounts []AccountState `json:"accounts,omitempty"`
}

// AccountState is what survives of one account.
type AccountState struct {
	Account core.AccountID `json:"account"`
	quota.State
}

// New returns an engine that knows nothing.
func New(cfg Config) *Engine { return &Engine{} }

// Observe takes in one event.
func (e *Engine) Observe(now time.Time, ev Event) {}

// Replace makes w everything that is known. Nothing is granted until a reading
// was sent after it, plus lag.
func (e *Engine) Replace(now time.Time, w World) {}

// Decide answers for everything that is held. Without new events and at the same
// now it answers the same again.
func (e *Engine) Decide(now time.Time) Decision { return Decision{} }

// Export returns what must survive a restart.
func (e *Engine) Export() State { return State{} }

// Restore takes an exported state back, before Replace.
func (e *Engine) Restore(now time.Time, s State) {}
