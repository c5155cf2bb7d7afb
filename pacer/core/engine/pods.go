package engine

import (
	"slices"
	"strconv"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// maxManifests is how many manifest GETs a cold pull may send: the index and the
// platform's manifest.
const maxManifests = 2

// pullKey names the pull of an image to a node.
type pullKey struct {
	imageAccount
	node *node
}

// imageAccount names an image as one account charges it.
type imageAccount struct {
	image   core.Image
	account core.AccountID
}

// pull is one expected or running pull and the pods that wait for it.
type pull struct {
	pullKey
	claim string
	since stamp
	pods  []*pod
	first [1]*pod // most pulls are of one pod
}

func (e *Engine) observeNode(now time.Time, n Node) {
	known := e.fleet.find(n.ID) != nil
	e.fleet.upsert(now, n, e.replacing)
	if !known {
		e.rebuildPools()
		e.placeStrays(now)
	}
}

func (e *Engine) dropNode(now time.Time, id core.NodeID) {
	if n := e.fleet.find(id); n != nil {
		for _, running := range slices.Clone(n.pulls) {
			e.endPull(now, running, running.node.leaves())
		}
	}
	e.fleet.drop(id)
	e.rebuildPools()
}

// leaves is how a pull to the node ends that nobody waits for any more: it may have been
// charged, but for one to a node that never was there.
func (n *node) leaves() quota.Outcome {
	if n.Coming {
		return quota.Present
	}
	return quota.Gone
}

// rebuildPools makes every pool resolve its nodes again, and every group where its
// pods are.
func (e *Engine) rebuildPools() {
	for _, p := range e.pools {
		p.bits = nil
	}
	for _, g := range e.groups {
		g.places = places{}
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
			if n := e.fleet.find(name); n != nil {
				p.bits.add(n.index)
			}
		}
	}
	return p.bits
}

func (e *Engine) observeGroup(now time.Time, g Group) {
	known := e.groups[g.ID]
	if known == nil {
		fresh := newGroup(g)
		e.join(fresh)
		e.groups[g.ID] = fresh
		e.names.give(g.ID, fresh)
		e.sorted = nil
		e.placeStrays(now)
		return
	}
	if !slices.EqualFunc(known.Images, g.Images, ImageUse.drawsAs) ||
		e.growing > 0 && (known.Pool != g.Pool || (known.Room == nil) != (g.Room == nil)) {
		e.unpool(now, known)
	}
	if g.Resumed.After(known.Resumed) {
		known.of.breaker.Close(now)
	}
	moved := known.Workload != g.Workload || known.Revision != g.Revision
	if moved {
		e.part(known)
	}
	known.Group = g
	if moved {
		e.join(known)
	}
}

// drawsAs reports whether two uses are of the same image and accounts.
func (u ImageUse) drawsAs(v ImageUse) bool {
	return u.Image == v.Image && slices.Equal(u.Accounts, v.Accounts)
}

// dropGroup forgets a group; its pods become strays until they are seen again.
func (e *Engine) dropGroup(now time.Time, id core.GroupID) {
	g := e.groups[id]
	if g == nil {
		return
	}
	e.unpool(now, g)
	e.part(g)
	delete(e.groups, id)
	e.names.give(id, nil)
	e.sorted = nil
	for _, set := range g.sets() {
		for _, p := range set.pods {
			p.in = inNone
			e.strays[p.ID] = true
		}
	}
}

// placeStrays tries again to place the pods whose group or node was missing.
func (e *Engine) placeStrays(now time.Time) {
	for _, id := range sortedKeys(e.strays) {
		if p := e.pods.find(id); p != nil {
			e.place(now, p)
		}
	}
}

func (e *Engine) observePod(now time.Time, seen *Pod) {
	p := e.pods.find(seen.ID)
	if p == nil {
		p = e.pods.add(seen.ID)
	}
	lift(p)
	if p.group != nil && p.group.id != seen.Group {
		e.leavePulls(now, p, (*node).leaves)
		e.recover(now, p, "")
	}
	p.group, p.node = e.names.swap(p.group, seen.Group), e.fleet.names.swap(p.node, seen.Node)
	p.take(now, seen)
	e.place(now, p)
}

// lift takes a pod out of its group's sets; its pulls stay.
func lift(p *pod) {
	if g := p.group.of(); g != nil {
		g.remove(p)
	}
}

// place puts a pod where it belongs now and opens or ends its pulls.
func (e *Engine) place(now time.Time, p *pod) {
	if len(e.strays) > 0 {
		delete(e.strays, p.ID)
	}
	g := p.group.of()
	if g == nil {
		e.strays[p.ID] = true
		return
	}
	if p.in != inNone { // a stray is in its set already
		g.remove(p)
	}
	switch {
	case p.held():
		e.leavePulls(now, p, (*node).leaves)
		g.hold(p)
	case p.waiting() && !g.Pinned:
		g.wait(p)
	case p.phase == phaseBound || p.waiting():
		g.settle(&g.bound, p)
		e.placeOnNode(now, g, p)
	case p.phase == phasePulled:
		g.settle(&g.pulled, p)
		g.past = max(g.past, len(g.pulled.pods))
		e.placeOnNode(now, g, p)
	}
}

// placeOnNode ends the pulls whose images have started and opens those that the
// pod still needs.
func (e *Engine) placeOnNode(now time.Time, g *group, p *pod) {
	n := p.node.of()
	if n == nil {
		e.strays[p.ID] = true
		return
	}
	if pulls := p.pulls(); len(pulls) > 0 && pulls[0].node != n {
		e.leavePulls(now, p, (*node).leaves)
	}
	for i := range g.Images {
		use := &g.Images[i]
		key := pullKey{imageAccount{use.Image, e.drawsOn(use, n)}, n}
		started := p.phase == phasePulled || p.more != nil && slices.Contains(p.more.started, use.Image)
		switch {
		case started:
			e.startUnseen(now, key, use, p)
			e.endPull(now, key.running(), quota.Pulled)
			e.recover(now, p, use.Image)
			e.fleet.believe(now, n, use.Image)
		case key.account != "" && (key.running() != nil || !e.fleet.hasOn(use, n) || p.ours() && n.gainedSince(use.Image, p.since())):
			e.joinPull(now, key, p)
		default:
			n.account(use.Image) // it was there before
		}
	}
}

// running is the pull of that name; nil if there is none.
func (k pullKey) running() *pull {
	for _, p := range k.node.pulls {
		if p.imageAccount == k.imageAccount {
			return p
		}
	}
	return nil
}

// startUnseen opens the pull of an image that started before its pod was ever seen to
// wait for it: of changes that come together only the last is seen. The node may list it
// by then, and did not before the pod was let go. A world that is given at once tells
// nothing of when its pods pulled.
func (e *Engine) startUnseen(now time.Time, key pullKey, use *ImageUse, p *pod) {
	g := p.group.of()
	if p.started.has(use.Image) {
		return
	}
	p.started = g.startedWith(p.started, use.Image)
	if e.replacing || key.account == "" || key.running() != nil {
		return
	}
	if !e.fleet.hasOn(use, key.node) || key.node.gainedSince(use.Image, p.since()) {
		e.joinPull(now, key, p)
	}
}

// drawsOn is the account that pulling an image to a node is charged to.
func (e *Engine) drawsOn(use *ImageUse, n *node) core.AccountID {
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
	running := key.running()
	if running == nil {
		e.nextID++
		claim := "pull/" + string(key.node.ID) + "/" + string(key.image) + "/" + strconv.FormatUint(e.nextID, 10)
		running = &pull{pullKey: key, claim: claim, since: stampOf(now)}
		running.pods = running.first[:0]
		key.node.pulls = append(key.node.pulls, running)
		e.claimedSet(key.imageAccount).add(key.node.index)
	}
	if !slices.Contains(p.pulls(), running) {
		running.pods = append(running.pods, p)
		p.extra().pulls = append(p.extra().pulls, running)
	}
	e.setClaim(now, running, false)
}

// setClaim books a pull, unless no attempt of it can be charged at present; done
// says that one got through.
func (e *Engine) setClaim(now time.Time, running *pull, done bool) {
	ungated, free := true, !done
	for _, p := range running.pods {
		free = free && p.failsFree(running.image)
		ungated = ungated && !p.ours()
	}
	a := e.accounts[running.account]
	if a == nil {
		return
	}
	if free {
		a.ledger.Set(now, running.claim, quota.Claim{Ungated: ungated})
		return
	}
	a.ledger.Set(now, running.claim, quota.Claim{
		Units: e.price(running.image, running.account), Ungated: ungated, Manifests: e.manifests(running.image), Host: running.image.Host(), By: e.payer(running),
	})
}

// payer is the workload that a pull is for: of several that wait for it the first.
func (e *Engine) payer(running *pull) string {
	if len(running.pods) == 0 {
		return ""
	}
	if g := running.pods[0].group.of(); g != nil {
		return g.Workload
	}
	return ""
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

// endPull closes a pull, if there is one, for every pod that waited for it.
func (e *Engine) endPull(now time.Time, running *pull, outcome quota.Outcome) {
	if running == nil {
		return
	}
	running.node.forgetPull(running)
	e.claimedSet(running.imageAccount).remove(running.node.index)
	if a := e.accounts[running.account]; a != nil {
		if outcome == quota.Pulled {
			e.setClaim(now, running, true)
		}
		a.ledger.Close(now, running.claim, outcome)
	}
	if outcome == quota.Pulled {
		e.passes(now, running)
	}
	for _, p := range running.pods {
		if outcome == quota.Pulled {
			e.recover(now, p, running.image)
		}
		p.forgetPull(running)
	}
}

func (n *node) forgetPull(running *pull) {
	if i := slices.Index(n.pulls, running); i >= 0 {
		n.pulls = slices.Delete(n.pulls, i, i+1)
	}
}

func (p *pod) forgetPull(running *pull) {
	if i := slices.Index(p.pulls(), running); i >= 0 {
		p.more.pulls = slices.Delete(p.more.pulls, i, i+1)
	}
	p.forgetMore()
}

// forgetMore gives up what a pod has no more use for.
func (p *pod) forgetMore() {
	if p.more != nil && len(p.more.pulls) == 0 && len(p.more.started) == 0 && len(p.more.failures) == 0 && p.more.unschedulable == none {
		p.more = nil
	}
}

// leavePulls ends a pod's interest in its pulls; one that nobody waits for any
// more ends as the node says: it may still have been charged.
func (e *Engine) leavePulls(now time.Time, p *pod, end func(*node) quota.Outcome) {
	for _, running := range slices.Clone(p.pulls()) {
		if i := slices.Index(running.pods, p); i >= 0 {
			running.pods = slices.Delete(running.pods, i, i+1)
		}
		if len(running.pods) == 0 {
			e.endPull(now, running, end(running.node))
		}
	}
	if p.more != nil {
		p.more.pulls = nil
	}
	p.forgetMore()
}

func (e *Engine) dropPod(now time.Time, id core.PodID) {
	p := e.pods.find(id)
	if p == nil {
		return
	}
	lift(p)
	e.recover(now, p, "")
	e.leavePulls(now, p, (*node).leaves)
	delete(e.strays, id)
	e.names.leave(p.group)
	e.fleet.names.leave(p.node)
	e.pods.remove(p)
}

func (e *Engine) override(o Override) {
	order := func(p *pod) {
		g := p.group.of()
		held := g != nil && p.in == inHeld
		if held {
			g.count(p, -1)
		}
		p.overridden = p.overridden || o.Now
		p.ordered = true
		if held {
			g.count(p, 1)
		}
	}
	if p := e.pods.find(o.Pod); p != nil {
		order(p)
	}
	if g := e.groups[o.Group]; g != nil {
		for _, p := range g.held.pods {
			order(p)
		}
	}
}

// book notes that a pod is being let go.
func (e *Engine) book(now time.Time, b Booking) {
	p := e.pods.find(b.Pod)
	if p == nil || !p.held() {
		return
	}
	lift(p)
	if g := p.group.of(); g != nil {
		e.try(now, g, p)
	}
	p.booked, p.released = true, true
	e.place(now, p)
	e.serve(now, p, b.Decision)
}

// refuse takes a booking back.
func (e *Engine) refuse(now time.Time, id core.PodID) {
	p := e.pods.find(id)
	if p == nil || !p.booked {
		return
	}
	lift(p)
	p.booked, p.released = false, false
	e.leavePulls(now, p, func(*node) quota.Outcome { return quota.Present }) // of a node: it is held still
	e.place(now, p)
	if g := p.group.of(); g != nil {
		g.refusedUntil = now.Add(e.cfg.RefusedPause)
	}
}
