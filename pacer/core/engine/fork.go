package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// Fork returns another engine that knows a world and what this one knows of the
// accounts, and goes on by itself: nothing that one of them books changes the other.
func (e *Engine) Fork(now time.Time, w World) *Engine {
	now = e.clock(now)
	f := New(e.cfg)
	f.now, f.nextID, f.events = now, e.nextID, e.events
	f.shapes = maps.Clone(e.shapes)
	f.fair = e.fair.Clone()
	for _, a := range e.accounts {
		f.addAccount(&account{Account: a.Account, ledger: a.ledger.Fork(), lastDrip: a.lastDrip, nextDrip: a.nextDrip,
			excused: maps.Clone(a.excused), excusedUntil: a.excusedUntil,
			breaker: a.breaker, trial: a.trial})
	}
	for _, r := range e.open {
		known := f.revisionOf(r.key.workload, r.key.revision)
		known.breaker, known.trial = r.breaker, r.trial
		f.setOpen(known)
	}
	f.replacing = true
	for _, ev := range eventsInOrder(w.Events) {
		f.Observe(now, ev)
	}
	f.replacing = false
	return f
}

// Readings are the times of an account that tell what its last reading contains.
type Readings struct {
	// SentAt is when the last reading with a limit was sent, zero before the first.
	SentAt time.Time
	// Lag is how much older a pull must be to be in it, Window for how long it is.
	Lag, Window time.Duration
}

// Follow takes over what another engine knows of the accounts that both have; see
// [quota.Ledger.Follow]. moved gives the units for each account.
func (e *Engine) Follow(now time.Time, from *Engine, moved func(core.AccountID, Readings) core.Units) {
	e.clock(now)
	for _, a := range e.listAccounts() {
		other := from.accounts[a.ID]
		if other == nil {
			continue
		}
		l := other.ledger
		a.ledger.Follow(l, moved(a.ID, Readings{SentAt: l.LastSent(), Lag: l.Lag(), Window: l.Window()}))
	}
}

// Pull is what pulling one image to one node is charged.
type Pull struct {
	Image   core.Image
	Account core.AccountID
	Units   core.Units
	// Running says that other pods wait there for the same pull.
	Running bool
}

// Pulls lists what a pod of the group would have to wait for on a node.
func (e *Engine) Pulls(group core.GroupID, id core.NodeID) []Pull {
	g, n := e.groups[group], e.fleet.find(id)
	if g == nil || n == nil {
		return nil
	}
	return e.pullsOn(g, n)
}

func (e *Engine) pullsOn(g *group, n *node) []Pull {
	var out []Pull
	uses := e.uses(g)
	for i := range uses {
		use := &uses[i]
		account := use.drawnOn(n)
		running := pullKey{imageAccount{use.image, account}, n}.running() != nil
		if account != nil && (running || !use.has(n)) {
			out = append(out, Pull{Image: use.image, Account: account.ID, Units: e.price(use.image, account), Running: running})
		}
	}
	return out
}

// Price is what one cold pull of an image is charged on an account at most, as far as
// is known by now.
func (e *Engine) Price(image core.Image, id core.AccountID) core.Units {
	a := e.accounts[id]
	if a == nil {
		return 0
	}
	return e.price(image, a)
}

// Knows reports whether the pod was seen and is not gone.
func (e *Engine) Knows(id core.PodID) bool { return e.pods.find(id) != nil }

// Uses reports whether pods of the group run the image.
func (e *Engine) Uses(group core.GroupID, image core.Image) bool {
	g := e.groups[group]
	return g != nil && slices.ContainsFunc(g.Images, func(u ImageUse) bool { return u.Image == image })
}
