package quota

import (
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// State is what an account's ledger needs to go on after a restart, besides the
// reservations, which live on the pods.
type State struct {
	// Last is the last observation that carried a limit; nil: none yet.
	Last *Observation `json:"last,omitempty"`
	// Spent are units granted, for limits that are counted here; at most 64.
	Spent []Spent `json:"spent,omitempty"`
	// Use is whose they were, the most first.
	Use []Use `json:"use,omitempty"`
	// Open is what was set aside and not yet closed.
	Open core.Units `json:"open,omitempty"`
	// ForeignPerHour is the pace of others on the account.
	ForeignPerHour float64 `json:"foreignPerHour,omitempty"`
	// ForeignTaken is what of the last reading was gone and not ours.
	ForeignTaken core.Units `json:"foreignTaken,omitempty"`
	// Charges is what pulls were found to cost.
	Charges []Charge `json:"charges,omitempty"`
	// Hopeless is since when more is asked for than any wait can bring; zero: it is not.
	Hopeless time.Time `json:"hopeless,omitzero"`
	// HeadsCharged is since when the registry is known to charge for a HEAD; zero: it
	// is not.
	HeadsCharged time.Time `json:"headsCharged,omitzero"`
}

// Spent is units granted in the bucket of time that ends at End.
type Spent struct {
	End   time.Time  `json:"end"`
	Units core.Units `json:"units"`
}

// Charge is the learned price of pulls through a host that ask for so many
// manifests.
type Charge struct {
	Host      string  `json:"host,omitempty"`
	Manifests int     `json:"manifests"`
	Mean      float64 `json:"mean"`
	Samples   int     `json:"samples"`
	// Batches is in how many batches it was seen, 0 where they do not prove it yet;
	// Most the units per pull of the dearest.
	Batches int        `json:"batches"`
	Most    core.Units `json:"most"`
}
