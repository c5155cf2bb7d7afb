package quota

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// Settings are the rules of one account's budget. The zero value of a field
// means its default where one is named.
type Settings struct {
	// Fixed is a limit declared for registries without headers; nil: observed.
	Fixed *Fixed `json:"fixed,omitempty"`
	// ReservePercent of the limit, rounded down, is left by rollouts; batch and
	// ci leave three times as much. RollbackReserve keeps room for rollbacks besides.
	ReservePercent  int  `json:"reservePercent,omitempty"`
	RollbackReserve bool `json:"rollbackReserve,omitempty"`
	// ProbeInterval while work waits (default 20 s, or a sixtieth of the window
	// where that is less), ProbeIdle otherwise (default 5 min).
	ProbeInterval time.Duration `json:"probeInterval,omitempty"`
	ProbeIdle     time.Duration `json:"probeIdle,omitempty"`
	// Fraction of what remains that this cluster may spend at a reading, of clusters
	// that share the account; of the limit in a window where that is counted and not
	// read; 0 is 1. Guard is kept back besides.
	Fraction float64    `json:"fraction,omitempty"`
	Guard    core.Units `json:"guard,omitempty"`
	// MaxPerWindow caps what this cluster spends in a window; 0: no cap.
	MaxPerWindow core.Units `json:"maxPerWindow,omitempty"`
	// Mirrored says that nodes ask a mirror first, so that pulls which do not show on
	// the account are no sign of somebody else's readings.
	Mirrored bool `json:"mirrored,omitempty"`
}

// Fixed is a declared limit: Pulls per Window, or Rate per second up to Burst. It counts
// pulls, however many manifests they ask for.
type Fixed struct {
	Pulls  core.Units    `json:"pulls,omitempty"`
	Window time.Duration `json:"window,omitempty"`
	Rate   float64       `json:"rate,omitempty"`
	Burst  core.Units    `json:"burst,omitempty"`
}

// Books is what an account's ledger says at one time.
type Books struct {
	Grade  Grade         `json:"grade"`
	Limit  core.Units    `json:"limit"`
	Window time.Duration `json:"window"`
	// Remaining is the last reading's, Source the identity it saw, SentAt its age.
	Remaining core.Units `json:"remaining"`
	Source    string     `json:"source,omitempty"`
	// Sources are the identities that readings of a window saw, where there is more
	// than one; Remaining is then that of the emptiest.
	Sources []string  `json:"sources,omitempty"`
	SentAt  time.Time `json:"sentAt,omitzero"`
	// Reserved is set aside for releases not yet covered by a reading, Ungated
	// for pods that were not held by us.
	Reserved core.Units `json:"reserved"`
	Ungated  core.Units `json:"ungated"`
	// Foreign is the margin for others on the account, ForeignPerHour their pace.
	Foreign        core.Units `json:"foreign"`
	ForeignPerHour float64    `json:"foreignPerHour"`
	// Available is what each class may spend now, indexed by core.Class.
	Available []core.Units `json:"available"`
	// Forecast is when more is expected; zero: not known or nothing is missing.
	Forecast Range `json:"forecast,omitzero"`
	// Unlimited says that nothing is held for this account.
	Unlimited bool `json:"unlimited,omitempty"`
	// Opened says that a limit that was known has been missing for a window, so that
	// pods go without it, one at each refill.
	Opened bool `json:"opened,omitempty"`
	// Doubt says why the readings may not be of what our pulls are charged to.
	Doubt Doubt `json:"doubt,omitempty"`
	// HeadsCharged is since when the registry is known to charge for a HEAD, so that it
	// is not asked any more; zero: it is not.
	HeadsCharged time.Time `json:"headsCharged,omitzero"`
	Flow         Flow      `json:"flow,omitzero"`
}
