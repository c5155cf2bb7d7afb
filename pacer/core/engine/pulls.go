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
	account *account
}

// pull is one expected or running pull and the pods that wait for it.
type pull struct {
	pullKey
	claim string
	since stamp
	pods  []*pod
	first [1]*pod // most pulls are of one pod
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

// joinPull makes a pod wait for a pull and books the pull if it is new. Kubelets
// ask once per image and node however many pods wait: the runtime shares it.
func (e *Engine) joinPull(now time.Time, key pullKey, p *pod) {
	running := key.running()
	if running == nil {
		e.nextID++
		running = &pull{pullKey: key, claim: claimOf(key, e.nextID), since: stampOf(now)}
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

// claimOf names what is booked for a pull.
func claimOf(key pullKey, number uint64) string {
	var scratch [96]byte
	name := append(append(scratch[:0], "pull/"...), key.node.ID...)
	name = append(append(append(name, '/'), key.image...), '/')
	return string(strconv.AppendUint(name, number, 10))
}

// setClaim books a pull, unless no attempt of it can be charged at present; done
// says that one got through.
func (e *Engine) setClaim(now time.Time, running *pull, done bool) {
	ungated, free := true, !done
	for _, p := range running.pods {
		free = free && p.failsFree(running.image)
		ungated = ungated && !p.ours()
	}
	l := running.account.ledger
	if free {
		l.Set(now, running.claim, quota.Claim{Ungated: ungated})
		return
	}
	l.Set(now, running.claim, quota.Claim{
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
func (e *Engine) price(image core.Image, a *account) core.Units {
	return a.ledger.PerPull(image.Host(), e.manifests(image))
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
	if outcome == quota.Pulled {
		e.setClaim(now, running, true)
	}
	running.account.ledger.Close(now, running.claim, outcome)
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
