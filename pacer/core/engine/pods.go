package engine

import (
	"fmt"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// maxManifests is how many manifest GETs a cold pull may send: the index and the
// platform's manifest.
const maxManifests = 2

// pod is a Pod in the books.
type pod struct {
	Pod
	// booked says that a release was decided and is being written.
	booked bool
	// overridden says that a person let it go at once, ordered that one let it go at
	// the pace of the refill.
	overridden, ordered bool
	// unschedulable is since when the scheduler finds no node; zero: it does.
	unschedulable time.Time
	pulls         []pullKey
	// started are the images of which a start was taken in.
	started []core.Image
}

// held reports whether the pod is one that we still hold.
func (p *pod) held() bool { return p.Phase == PodGated && !p.booked }

// waiting reports whether the pod is free to go and on no node yet.
func (p *pod) waiting() bool {
	return p.Phase == PodUnbound || p.Phase == PodUnschedulable || (p.Phase == PodGated && p.booked)
}

// ours reports whether we let the pod go, rather than never having held it.
func (p *pod) ours() bool { return p.booked || !p.ReleasedAt.IsZero() }

// group is a Group with its pods by what they need.
type group struct {
	Group
	held, waiting, bound map[core.PodID]*pod
	pulled               map[core.PodID]bool
	past                 int // the most pods seen past their pulls
	since                time.Time
	firstExpiry          time.Time
	refusedUntil         time.Time
	// pooled says that the books hold something for pods on no node yet.
	pooled bool
}

// imageAccount names an image as one account charges it.
type imageAccount struct {
	image   core.Image
	account core.AccountID
}

// pullKey names the pull of an image to a node.
type pullKey struct {
	imageAccount
	node core.NodeID
}

// pull is one expected or running pull and the pods that wait for it.
type pull struct {
	claim string
	pods  map[core.PodID]*pod
}

func (e *Engine) observeNode(now time.Time, n Node) {
	known := e.fleet.byID[n.ID] != nil
	e.fleet.upsert(now, n)
	if !known {
		e.rebuildPools()
		e.placeStrays(now)
	}
}

func (e *Engine) dropNode(now time.Time, id core.NodeID) {
	for _, key := range e.pullsOn(id) {
		e.endPull(now, key, quota.Gone)
	}
	e.fleet.drop(id)
	e.rebuildPools()
}

// rebuildPools makes every pool resolve its nodes again.
func (e *Engine) rebuildPools() {
	for _, p := range e.pools {
		p.bits = nil
	}
}

// nodesOf is the set of live nodes of a pool.
func (e *Engine) nodesOf(id core.PoolID) bitset {
	p := e.pools[id]
	if p == nil {
		return nil
	}
	if p.bits == nil {
		p.bits = make(bitset, len(e.fleet.alive))
		for _, name := range p.Nodes {
			if n := e.fleet.byID[name]; n != nil {
				p.bits.add(n.index)
			}
		}
	}
	return p.bits
}

func (e *Engine) observeGroup(now time.Time, g Group) {
	known := e.groups[g.ID]
	if known == nil {
		e.groups[g.ID] = &group{Group: g, held: map[core.PodID]*pod{}, waiting: map[core.PodID]*pod{},
			bound: map[core.PodID]*pod{}, pulled: map[core.PodID]bool{}}
		e.placeStrays(now)
		return
	}
	known.Group = g
}

// dropGroup forgets a group; its pods become strays until they are seen again.
func (e *Engine) dropGroup(id core.GroupID) {
	delete(e.groups, id)
	for pid, p := range e.pods {
		if p.Group == id {
			e.strays[pid] = true
		}
	}
}

// placeStrays tries again to place the pods whose group or node was missing.
func (e *Engine) placeStrays(now time.Time) {
	for _, id := range sortedKeys(e.strays) {
		if p := e.pods[id]; p != nil {
			e.place(now, p)
		}
	}
}

func (e *Engine) observePod(now time.Time, seen Pod) {
	p := e.pods[seen.ID]
	if p == nil {
		p = &pod{Pod: seen}
		e.pods[seen.ID] = p
	}
	e.lift(p)
	if p.Group != seen.Group {
		e.leavePulls(now, p)
	}
	released := p.ReleasedAt
	p.Pod = seen
	if p.ReleasedAt.IsZero() {
		p.ReleasedAt = released
	}
	if seen.Phase != PodGated {
		p.booked = false
	}
	switch {
	case seen.Phase != PodUnschedulable:
		p.unschedulable = time.Time{}
	case p.unschedulable.IsZero():
		p.unschedulable = now
	}
	e.place(now, p)
}

// lift takes a pod out of its group's sets; its pulls stay.
func (e *Engine) lift(p *pod) {
	g := e.groups[p.Group]
	if g == nil {
		return
	}
	delete(g.held, p.ID)
	delete(g.waiting, p.ID)
	delete(g.bound, p.ID)
	delete(g.pulled, p.ID)
	if len(g.held) == 0 {
		g.since, g.firstExpiry = time.Time{}, time.Time{}
	}
}

// place puts a pod where it belongs now and opens or ends its pulls.
func (e *Engine) place(now time.Time, p *pod) {
	delete(e.strays, p.ID)
	g := e.groups[p.Group]
	if g == nil {
		e.strays[p.ID] = true
		return
	}
	switch {
	case p.held():
		g.hold(p)
	case p.waiting():
		g.waiting[p.ID] = p
	case p.Phase == PodBound:
		g.bound[p.ID] = p
		e.placeOnNode(now, g, p)
	case p.Phase == PodPulled:
		g.pulled[p.ID] = true
		g.past = max(g.past, len(g.pulled))
		e.placeOnNode(now, g, p)
	}
}

// hold adds a held pod to its group.
func (g *group) hold(p *pod) {
	g.held[p.ID] = p
	if g.since.IsZero() || p.Created.Before(g.since) {
		g.since = p.Created
	}
	if !p.HoldUntil.IsZero() && (g.firstExpiry.IsZero() || p.HoldUntil.Before(g.firstExpiry)) {
		g.firstExpiry = p.HoldUntil
	}
}

// placeOnNode ends the pulls whose images have started and opens those that the
// pod still needs.
func (e *Engine) placeOnNode(now time.Time, g *group, p *pod) {
	n := e.fleet.byID[p.Node]
	if n == nil {
		e.strays[p.ID] = true
		return
	}
	if len(p.pulls) > 0 && p.pulls[0].node != p.Node {
		e.leavePulls(now, p)
	}
	for _, use := range g.Images {
		key := pullKey{imageAccount{use.Image, e.drawsOn(use, n)}, n.ID}
		started := p.Phase == PodPulled || containsImage(p.Started, use.Image)
		switch {
		case started:
			e.startUnseen(now, key, use, p)
			e.endPull(now, key, quota.Pulled)
			e.fleet.believe(now, n, use.Image)
		case key.account != "" && (e.pulls[key] != nil || !e.fleet.hasOn(use, n)):
			e.joinPull(now, key, p)
		}
	}
}

// startUnseen opens the pull of an image that started before its pod was ever seen to
// wait for it: of changes that come together only the last is seen. A world that is
// given at once tells nothing of when its pods pulled.
func (e *Engine) startUnseen(now time.Time, key pullKey, use ImageUse, p *pod) {
	if containsImage(p.started, use.Image) {
		return
	}
	p.started = append(p.started, use.Image)
	if n := e.fleet.byID[key.node]; !e.replacing && key.account != "" && e.pulls[key] == nil && !e.fleet.hasOn(use, n) {
		e.joinPull(now, key, p)
	}
}

func containsImage(images []core.Image, image core.Image) bool {
	for _, i := range images {
		if i == image {
			return true
		}
	}
	return false
}

// drawsOn is the account that pulling an image to a node is charged to.
func (e *Engine) drawsOn(use ImageUse, n *node) core.AccountID {
	for _, id := range use.Accounts {
		if a := e.accounts[id]; a != nil && (a.Egress == "" || a.Egress == n.Egress) {
			return id
		}
	}
	return ""
}

// joinPull makes a pod wait for a pull and books the pull if it is new. Kubelets
// ask once per image and node however many pods wait: the runtime shares it.
func (e *Engine) joinPull(now time.Time, key pullKey, p *pod) {
	running := e.pulls[key]
	if running == nil {
		e.nextID++
		running = &pull{claim: fmt.Sprintf("pull/%s/%s/%d", key.node, key.image, e.nextID), pods: map[core.PodID]*pod{}}
		e.pulls[key] = running
		e.claimedSet(key.imageAccount).add(e.fleet.byID[key.node].index)
	}
	if running.pods[p.ID] == nil {
		running.pods[p.ID] = p
		p.pulls = append(p.pulls, key)
	}
	e.setClaim(now, key, running, false)
}

// setClaim books a pull, unless no attempt of it can be charged at present; done
// says that one got through.
func (e *Engine) setClaim(now time.Time, key pullKey, running *pull, done bool) {
	ungated, free := true, !done
	for _, p := range running.pods {
		free = free && p.FailedFree
		ungated = ungated && !p.ours()
	}
	a := e.accounts[key.account]
	if a == nil {
		return
	}
	if free {
		a.ledger.Set(now, running.claim, quota.Claim{Ungated: ungated})
		return
	}
	a.ledger.Set(now, running.claim, quota.Claim{
		Units: e.price(key.image, key.account), Ungated: ungated, Manifests: e.manifests(key.image), Host: key.image.Host(),
	})
}

// price is what one cold pull of an image is charged on an account at most.
func (e *Engine) price(image core.Image, id core.AccountID) core.Units {
	return e.accounts[id].ledger.PerPull(image.Host(), e.manifests(image))
}

// manifests is how many manifests a cold pull of an image asks for; both an index
// and a platform's where nobody looked yet.
func (e *Engine) manifests(image core.Image) int {
	if m, ok := e.shapes[image]; ok {
		return m
	}
	return maxManifests
}

func (e *Engine) claimedSet(key imageAccount) *bitset {
	set := e.claimed[key]
	if set == nil {
		set = &bitset{}
		e.claimed[key] = set
	}
	return set
}

// endPull closes a pull for every pod that waited for it.
func (e *Engine) endPull(now time.Time, key pullKey, outcome quota.Outcome) {
	running := e.pulls[key]
	if running == nil {
		return
	}
	delete(e.pulls, key)
	if n := e.fleet.byID[key.node]; n != nil {
		e.claimedSet(key.imageAccount).remove(n.index)
	}
	if a := e.accounts[key.account]; a != nil {
		if outcome == quota.Pulled {
			e.setClaim(now, key, running, true)
		}
		a.ledger.Close(now, running.claim, outcome)
	}
	for _, p := range running.pods {
		p.forgetPull(key)
	}
}

func (p *pod) forgetPull(key pullKey) {
	for i, k := range p.pulls {
		if k == key {
			p.pulls = append(p.pulls[:i:i], p.pulls[i+1:]...)
			return
		}
	}
}

// leavePulls ends a pod's interest in its pulls; one that nobody waits for any
// more may still have been charged.
func (e *Engine) leavePulls(now time.Time, p *pod) {
	for _, key := range append([]pullKey(nil), p.pulls...) {
		running := e.pulls[key]
		if running == nil {
			continue
		}
		delete(running.pods, p.ID)
		if len(running.pods) == 0 {
			e.endPull(now, key, quota.Gone)
		}
	}
	p.pulls = nil
}

func (e *Engine) pullsOn(id core.NodeID) []pullKey {
	var keys []pullKey
	for key := range e.pulls {
		if key.node == id {
			keys = append(keys, key)
		}
	}
	return keys
}

func (e *Engine) dropPod(now time.Time, id core.PodID) {
	p := e.pods[id]
	if p == nil {
		return
	}
	e.lift(p)
	e.leavePulls(now, p)
	delete(e.pods, id)
	delete(e.strays, id)
}

func (e *Engine) override(o Override) {
	order := func(p *pod) {
		p.overridden = p.overridden || o.Now
		p.ordered = true
	}
	if p := e.pods[o.Pod]; p != nil {
		order(p)
	}
	if g := e.groups[o.Group]; g != nil {
		for _, p := range g.held {
			order(p)
		}
	}
}

// book notes that a pod is being let go.
func (e *Engine) book(now time.Time, b Booking) {
	p := e.pods[b.Pod]
	if p == nil || !p.held() {
		return
	}
	e.lift(p)
	p.booked, p.ReleasedAt = true, now
	e.place(now, p)
	e.serve(now, p, b.Decision)
}

// refuse takes a booking back.
func (e *Engine) refuse(now time.Time, id core.PodID) {
	p := e.pods[id]
	if p == nil || !p.booked {
		return
	}
	e.lift(p)
	p.booked, p.ReleasedAt = false, time.Time{}
	e.place(now, p)
	if g := e.groups[p.Group]; g != nil {
		g.refusedUntil = now.Add(e.cfg.RefusedPause)
	}
}
