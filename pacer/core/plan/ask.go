package plan

import "github.com/pullpace/pace/pacer/core"

// Ask is what pods of one kind may be charged for one image on one account.
type Ask struct {
	Account core.AccountID
	Image   core.Image
	// Price is of one cold pull, Cold how many nodes that the pods may use would
	// still cause one: they lack the image, and no pull of it is under way to them.
	Price core.Units
	Cold  int
	// Grows says that nodes may be added for pods that find no room, and that pulls to
	// them draw on the account too. Room is how many pods the nodes that are there take.
	Grows bool
	Room  int
}

// UpTo is what n pods may be charged at most, wherever they land: one pull for
// each cold node, as a runtime pulls an image once however many pods wait for it.
// Of the pods beyond the room each may bring a node of its own, which is cold.
func (a Ask) UpTo(n int) core.Units {
	beyond := 0
	if a.Grows {
		beyond = max(0, n-a.Room)
	}
	return core.Units(min(n-beyond, a.Cold)+beyond) * a.Price
}

// More is what more pods beyond n may add.
func (a Ask) More(n, more int) core.Units { return a.UpTo(n+more) - a.UpTo(n) }

// Pulls reports whether a pod may cause a pull at all.
func (a Ask) Pulls() bool { return a.Cold > 0 || a.Grows }

// Marginal is what more pods beyond n may add on each account. Accounts on which
// they add nothing are left out: the pods cost nothing there.
func Marginal(asks []Ask, n, more int) map[core.AccountID]core.Units {
	sum := map[core.AccountID]core.Units{}
	for _, a := range asks {
		if d := a.More(n, more); d > 0 {
			sum[a.Account] += d
		}
	}
	return sum
}
