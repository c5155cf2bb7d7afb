package engine

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/core/quota"
)

// ParkAfter is longer than the boot of a node: 45 s median with Karpenter, 120 s
// with cluster-autoscaler.
const ParkAfter = 3 * time.Minute

// Config are the constants of an engine. The zero value is the default.
type Config struct {
	// Seed feeds the jitter of probes.
	Seed uint64 `json:"seed"`
	// ParkAfter is how long a released pod may stay Unschedulable before its cost
	// stops blocking others; it is taken again when the pod is bound. Default
	// ParkAfter.
	ParkAfter time.Duration `json:"parkAfter,omitempty"`
	// RefusedPause is how long a group rests after a refused release. Default 10 s.
	RefusedPause time.Duration `json:"refusedPause,omitempty"`
	// Aged is how long a group waits at most behind groups that unlock more pods
	// per unit; then the oldest goes first. Default 10 min.
	Aged time.Duration `json:"aged,omitempty"`
}

func (c Config) withDefaults() Config {
	if c.ParkAfter <= 0 {
		c.ParkAfter = ParkAfter
	}
	if c.RefusedPause <= 0 {
		c.RefusedPause = 10 * time.Second
	}
	if c.Aged <= 0 {
		c.Aged = 10 * time.Minute
	}
	return c
}

// Engine decides. Make one with New.
type Engine struct {
	cfg Config
	// now is the latest time seen; it never runs backwards.
	now    time.Time
	events uint64

	fleet    fleet
	accounts map[core.AccountID]*account
	listed   []*account // the accounts in order; nil: to be listed again
	edition  int        // how often an account came or went
	pools    map[core.PoolID]*pool
	groups   map[core.GroupID]*group
	names    names[core.GroupID, group] // of groups
	latest   *name[core.GroupID, group] // of the pod that was seen last
	sorted   []*group                   // the groups in order; nil: to be sorted again
	pods     roster
	// claimed are the nodes on which an open pull of an image and account is.
	claimed map[imageAccount]*bitset
	// growing counts the pools that nodes are added to; lined are the groups with pods on
	// no node yet, kept where there are such pools.
	growing int
	lined   []*group
	nextID  uint64
	shapes  map[core.Image]int

	// revisions are those of the groups, and those that fail; open are those of which
	// the breaker is not closed and sick the nodes that failures are put down to, both
	// in order. egresses are the rates of egress groups.
	revisions map[string]*revision
	open      []*revision
	sick      []*node
	egresses  map[string]*feedback.Rate

	// replacing says that a whole world is being taken in.
	replacing bool
	// strays are pods whose group or node has not been seen yet.
	strays map[core.PodID]bool
	// fair is how much each namespace was served, per class.
	fair plan.Fair
	last Decision
	turn turn
}

// account is an Account with its books.
type account struct {
	Account
	ledger *quota.Ledger
	// breaker stops what draws on it while its pulls fail; trial is the pod that it
	// tries, rate the share of pods whose pulls fail.
	breaker feedback.Breaker
	trial   trial
	rate    feedback.Rate
	// excused are pods whose pulls were under way when a person last ordered to go on:
	// what one of them shows next is from before, until excusedUntil.
	excused      map[core.PodID]bool
	excusedUntil time.Time
	// lastDrip is when an expired hold went, nextDrip when the next may go.
	lastDrip, nextDrip time.Time
	turn               tally
	// lot is what its name adds to lots that are drawn.
	lot uint64
}

// pool is a Pool as a set of node indices, built when needed.
type pool struct {
	Pool
	bits bitset
}

// State is what survives a restart, sorted by account; see Export. Reservations
// are not in it: they are read back from the marks on the pods.
type State struct {
	Accounts []AccountState `json:"accounts,omitempty"`
	// Revisions are the breakers of workload revisions that are not closed, sorted.
	// What is lost of them is found again in the pods that fail.
	Revisions []RevisionState `json:"revisions,omitempty"`
}

// RevisionState is what survives of a workload revision whose pulls fail.
type RevisionState struct {
	Workload string        `json:"workload"`
	Revision string        `json:"revision"`
	Breaker  feedback.Kept `json:"breaker"`
}

// AccountState is what survives of one account.
type AccountState struct {
	Account core.AccountID `json:"account"`
	quota.State
	// Breaker is nil while it is closed and knows of nothing.
	Breaker *feedback.Kept `json:"breaker,omitempty"`
}

// New returns an engine that knows nothing.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg.withDefaults(), accounts: map[core.AccountID]*account{}, fair: plan.Fair{}}
	e.clear()
	return e
}

// clear forgets the cluster and keeps the accounts' books.
func (e *Engine) clear() {
	e.fleet = newFleet()
	e.pools = map[core.PoolID]*pool{}
	e.growing, e.lined = 0, nil
	e.groups = map[core.GroupID]*group{}
	e.names, e.latest = names[core.GroupID, group]{}, nil
	e.pods = roster{}
	e.sorted = nil
	e.claimed = map[imageAccount]*bitset{}
	e.strays = map[core.PodID]bool{}
	if e.shapes == nil {
		e.shapes = map[core.Image]int{}
	}
	e.sick = nil
	e.egresses = map[string]*feedback.Rate{}
	e.keepOpen()
}

// clock clamps now so that time never runs backwards.
func (e *Engine) clock(now time.Time) time.Time {
	if now.After(e.now) {
		e.now = now
	}
	return e.now
}

// Observe takes in one event.
func (e *Engine) Observe(now time.Time, ev Event) {
	now = e.clock(now)
	e.events++
	e.observeCluster(now, &ev)
	switch {
	case ev.Account != nil:
		e.observeAccount(now, *ev.Account)
	case ev.AccountGone != "":
		e.dropAccount(ev.AccountGone)
	case ev.Reading != nil:
		if a := e.accounts[ev.Reading.Account]; a != nil {
			e.setPools(now)
			a.ledger.Read(now, ev.Reading.Observation)
			a.hear(ev.Reading.Observation)
		}
	case ev.Failed != nil:
		e.observeFailed(now, *ev.Failed)
	case ev.Shape != nil:
		e.shape(now, *ev.Shape)
	}
}

// observeCluster takes in events about nodes, pods and groups.
func (e *Engine) observeCluster(now time.Time, ev *Event) {
	switch {
	case ev.Node != nil:
		e.observeNode(now, *ev.Node)
	case ev.NodeGone != "":
		e.dropNode(now, ev.NodeGone)
	case ev.Pool != nil:
		e.setPool(*ev.Pool)
	case ev.PoolGone != "":
		e.dropPool(ev.PoolGone)
	case ev.Group != nil:
		e.observeGroup(now, *ev.Group)
	case ev.GroupGone != "":
		e.dropGroup(now, ev.GroupGone)
	case ev.Pod != nil:
		e.observePod(now, ev.Pod)
	case ev.PodGone != "":
		e.dropPod(now, ev.PodGone)
	case ev.Override != nil:
		e.override(*ev.Override)
	case ev.Released != nil:
		e.book(now, *ev.Released)
	case ev.Refused != "":
		e.refuse(now, ev.Refused)
	case ev.Withdrawn != "":
		e.withdraw(now, ev.Withdrawn)
	}
}

func (e *Engine) observeAccount(now time.Time, a Account) {
	if known := e.accounts[a.ID]; known != nil {
		known.ledger.Configure(a.Settings, a.Credentials)
		if a.Resumed.After(known.Resumed) && (known.Host != "" || a.Resumed.After(known.breaker.Since)) {
			e.resume(now, known)
		}
		if known.Generation != 0 && known.Generation != a.Generation && a.Settings.Fixed == nil {
			known.ledger.Anew()
		}
		known.Account = a
		return
	}
	e.addAccount(&account{Account: a, ledger: quota.New(now, a.Settings, a.Credentials)})
	e.replaceBound(now, a.ID)
}

func (e *Engine) addAccount(a *account) {
	e.accounts[a.ID], e.listed = a, nil
	e.edition++
	a.lot = e.named(string(a.ID))
}

// replaceBound books the pulls of pods that were bound before their account was
// known.
func (e *Engine) replaceBound(now time.Time, id core.AccountID) {
	for _, g := range e.inOrder() {
		if !slices.ContainsFunc(g.Images, func(u ImageUse) bool { return slices.Contains(u.Accounts, id) }) {
			continue
		}
		for _, pid := range g.bound.ids(func(*pod) bool { return true }) {
			e.placeOnNode(now, g, e.pods.find(pid))
		}
	}
}

// dropAccount forgets an account; pulls that drew on it cost nothing any more.
func (e *Engine) dropAccount(id core.AccountID) {
	gone := e.accounts[id]
	delete(e.accounts, id)
	e.listed = nil
	e.edition++
	e.everyPull(func(running *pull) {
		if running.account != gone {
			return
		}
		running.node.forgetPull(running)
		for _, p := range running.pods {
			p.forgetPull(running)
		}
	})
	for key := range e.claimed {
		if key.account == gone {
			delete(e.claimed, key)
		}
	}
}

// shape learns how many manifests an image is made of.
func (e *Engine) shape(now time.Time, s ImageShape) {
	e.shapes[s.Image] = min(max(s.Manifests, 1), maxManifests)
	e.everyPull(func(running *pull) {
		if running.image == s.Image {
			e.setClaim(now, running, false)
		}
	})
}

// everyPull calls do for every pull, which it may forget.
func (e *Engine) everyPull(do func(*pull)) {
	for _, n := range e.fleet.byIndex {
		if n == nil {
			continue
		}
		for _, running := range slices.Clone(n.pulls) {
			do(running)
		}
	}
}

// inOrder are the groups, sorted by id.
func (e *Engine) inOrder() []*group {
	if e.sorted == nil {
		for _, id := range sortedKeys(e.groups) {
			e.sorted = append(e.sorted, e.groups[id])
		}
	}
	return e.sorted
}

// Replace makes w everything that is known. Nothing is granted until a reading
// was sent after it, plus lag.
func (e *Engine) Replace(now time.Time, w World) {
	now = e.clock(now)
	e.clear()
	for _, a := range e.listAccounts() {
		a.ledger.Reset()
	}
	named := map[core.AccountID]bool{}
	e.replacing = true
	events := eventsInOrder(w.Events)
	e.fleet.reserve(events)
	for i := range events {
		if a := events[i].Account; a != nil {
			named[a.ID] = true
		}
		e.Observe(now, events[i])
	}
	e.replacing = false
	for _, a := range e.listAccounts() {
		if !named[a.ID] {
			e.dropAccount(a.ID)
		}
	}
	e.setPools(now)
	e.findTried(now)
	for _, a := range e.listAccounts() {
		a.ledger.Reopened(now)
		a.ledger.Distrust(now)
	}
}

// Export returns what must survive a restart, what was booked since the last
// decision included.
func (e *Engine) Export() State {
	e.setPools(e.now)
	var s State
	for _, a := range e.listAccounts() {
		s.Accounts = append(s.Accounts, AccountState{Account: a.ID, State: a.ledger.Export(e.now), Breaker: a.breaker.Export()})
	}
	for _, r := range e.open {
		s.Revisions = append(s.Revisions, RevisionState{Workload: r.key.workload, Revision: r.key.revision, Breaker: *r.breaker.Export()})
	}
	return s
}

// Restore takes an exported state back, before Replace.
func (e *Engine) Restore(now time.Time, s State) {
	now = e.clock(now)
	for _, a := range s.Accounts {
		known := e.accounts[a.Account]
		if known == nil {
			known = &account{Account: Account{ID: a.Account}, ledger: quota.New(now, quota.Settings{}, false)}
			e.addAccount(known)
		}
		known.ledger.Restore(now, a.State)
		if a.Breaker != nil {
			known.breaker.Restore(now, *a.Breaker)
		}
	}
	for _, r := range s.Revisions {
		known := e.revisionOf(r.Workload, r.Revision)
		if known.breaker.Restore(now, r.Breaker); !known.breaker.Closed() {
			e.setOpen(known)
		}
	}
}

// listAccounts lists the accounts in order of their ids; nobody changes the list.
func (e *Engine) listAccounts() []*account {
	if e.listed == nil {
		for _, id := range sortedKeys(e.accounts) {
			e.listed = append(e.listed, e.accounts[id])
		}
	}
	return e.listed
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
