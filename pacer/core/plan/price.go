package plan

import "github.com/pullpace/pace/pacer/core"

// Span is a count of units that is not known exactly: at least Min, at most Max.
type Span struct {
	Min core.Units `json:"min"`
	Max core.Units `json:"max"`
}

// Exact reports whether the span is a single number.
func (s Span) Exact() bool { return s.Min == s.Max }

// NodeCount says how many eligible nodes draw on an account, by what is known of
// their cache for one image.
type NodeCount struct {
	Account core.AccountID `json:"account"`
	// Cold nodes lack the image, Unknown nodes may have it (their list is cut),
	// Warm nodes have it.
	Cold    int `json:"cold"`
	Unknown int `json:"unknown"`
	Warm    int `json:"warm"`
}

// Order is pods that are to be priced: Pods of them, alike, with one image.
type Order struct {
	// Pods is how many pods will start.
	Pods int `json:"pods"`
	// OnePerNode says that no two of them share a node.
	OnePerNode bool `json:"onePerNode"`
	// PerPull is what one cold pull of the image is charged.
	PerPull Span `json:"perPull"`
	// Nodes are the eligible nodes by account, each account once.
	Nodes []NodeCount `json:"nodes"`
}

// Price returns what starting the pods may be charged on each account, in the
// order of o.Nodes. The scheduler is free to choose among the eligible nodes, so
// that the least is what remains when it packs onto nodes that have the image
// and the most when it seeks the ones that lack it.
func Price(o Order) []Span {
	total := 0
	for _, n := range o.Nodes {
		total += n.Cold + n.Unknown + n.Warm
	}
	spans := make([]Span, len(o.Nodes))
	for i, n := range o.Nodes {
		pods := o.Pods
		if o.OnePerNode {
			pods = min(pods, total)
		}
		most := min(pods, n.Cold+n.Unknown)
		least := o.leastPulls(n, total, pods)
		spans[i] = Span{Min: core.Units(least) * o.PerPull.Min, Max: core.Units(most) * o.PerPull.Max}
	}
	return spans
}

// leastPulls is how many cold nodes of n must be used whatever the scheduler
// does: with one pod a node those that the other nodes cannot take, otherwise
// one when there is nowhere else to go.
func (o Order) leastPulls(n NodeCount, total, pods int) int {
	elsewhere := total - n.Cold
	if o.OnePerNode {
		return max(0, pods-elsewhere)
	}
	if pods > 0 && elsewhere == 0 && n.Cold > 0 {
		return 1
	}
	return 0
}
