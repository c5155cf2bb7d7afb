package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// account is one account of a registry as the cluster declares it.
type account struct {
	engine.Account
	id       core.AccountID
	index    int32
	registry model.RegistryID
	// addresses are those that its nodes leave the network by; each answer is about
	// one of them, and tells which where the registry meters by it.
	addresses []model.AddressID
	byAddress bool
	next      int // of the addresses
	limits    []scenario.Limiter
	asked     bool // an answer is awaited
	twice     bool // and another is to be asked for after it
	answers   []engine.Event
	hopeless  bool
}

// readBudgets declares accounts: one for each registry and, where a registry meters
// by address and nodes leave by several egress groups, one for each group, as an
// operator would.
func (h *host) readBudgets(budgets map[string]v1alpha1.PullBudgetSpec) error {
	groups := h.egressInUse()
	for i := range h.spec.Registries {
		r := &h.spec.Registries[i]
		budget := budgets[r.Name]
		spec := budget.DeepCopy()
		if spec.Match != nil || spec.Egress != nil {
			return fmt.Errorf("reading the budget of %q: nothing in a scenario has labels to select by", r.Name)
		}
		spec.Registry = cmp.Or(spec.Registry, r.Host)
		for _, m := range h.spec.Mirrors {
			if len(spec.Mirrors) == 0 && slices.Contains(m.For, r.Name) {
				spec.Mirrors = append(spec.Mirrors, m.Name+".mirror")
			}
		}
		byAddress := len(r.Limiters) > 0 && r.Limiters[0].Per == scenario.PerEgressIP
		var own []*account
		if byAddress && len(groups) > 1 {
			for _, g := range groups {
				own = append(own, h.declare(model.RegistryID(i), spec, []int{g}, h.spec.Egress[g].Name, true))
			}
		} else {
			own = append(own, h.declare(model.RegistryID(i), spec, groups, "", byAddress))
		}
		h.byRegistry = append(h.byRegistry, own)
	}
	return nil
}

// egressInUse are the egress groups that the cluster's pools are in.
func (h *host) egressInUse() []int {
	var used []int
	for i, e := range h.spec.Egress {
		if slices.ContainsFunc(h.spec.NodePools, func(p scenario.NodePool) bool { return p.Egress == e.Name && p.Cluster == h.cluster }) {
			used = append(used, i)
		}
	}
	return used
}

// declare adds an account for the nodes of some egress groups.
func (h *host) declare(r model.RegistryID, spec *v1alpha1.PullBudgetSpec, groups []int, egress string, byAddress bool) *account {
	identity := "anonymous"
	if spec.Identity == v1alpha1.Credentials {
		identity = "credentials"
	}
	id := spec.Registry + "/" + identity
	if egress != "" {
		id += "@" + egress
	}
	a := &account{id: core.AccountID(id), index: int32(len(h.accounts)), registry: r, byAddress: byAddress, limits: h.spec.Registries[r].Limiters}
	a.Account = engine.Account{ID: a.id, Host: spec.Registry, Egress: egress, Settings: spec.Settings(), Breaker: spec.BreakerSettings(),
		Credentials: spec.Identity == v1alpha1.Credentials}
	for _, g := range groups {
		first := 0
		for _, e := range h.spec.Egress[:g] {
			first += max(e.IPs, 1)
		}
		for ip := range max(h.spec.Egress[g].IPs, 1) {
			a.addresses = append(a.addresses, model.AddressID(first+ip))
		}
	}
	h.accounts = append(h.accounts, a)
	return a
}

// drawnBy are the accounts that a pull of an image may draw on.
func (h *host) drawnBy(image model.ImageID) []*account {
	if of := h.registryOf[image]; of != model.None {
		return h.byRegistry[of]
	}
	return nil
}

// nameImages gives images the names that nodes would list.
func (h *host) nameImages() {
	h.images = make([]core.Image, len(h.spec.Images))
	h.shaped = make([]bool, len(h.spec.Images))
	for i, image := range h.spec.Images {
		of := slices.IndexFunc(h.spec.Registries, func(r scenario.Registry) bool { return r.Name == image.Registry })
		h.registryOf = append(h.registryOf, model.RegistryID(of))
		if of >= 0 {
			h.images[i] = core.Image(h.spec.Registries[of].Host + "/" + image.Name)
		}
	}
}

// use is an image of a group.
func (h *host) use(image model.ImageID, always bool) engine.ImageUse {
	use := engine.ImageUse{Image: h.images[image], Always: always}
	for _, a := range h.drawnBy(image) {
		use.Accounts = append(use.Accounts, a.id)
	}
	return use
}

// accountAt is the account that a pull of an image to a node draws on.
func (h *host) accountAt(image model.ImageID, node model.NodeID) *account {
	for _, a := range h.drawnBy(image) {
		if a.Egress == "" || a.Egress == h.egressOf(node) {
			return a
		}
	}
	return nil
}

// ask sends a probe from the next of the account's addresses.
func (h *host) ask(a *account) {
	a.asked = true
	from := a.addresses[a.next%len(a.addresses)]
	a.next++
	h.world.Probe(int(h.seat), a.registry, from, h.probeRef(a.index))
}

// observation is an answer as the engine reads it.
func (a *account) observation(r model.Reading) quota.Observation {
	o := quota.Observation{SentAt: at(r.SentAt), Status: r.Status}
	if r.Known {
		o.Header = a.header(r.Limit, r.Remaining, r.Window, r.Address)
	}
	return o
}

func (a *account) header(limit, remaining int64, window time.Duration, from model.AddressID) quota.Header {
	header := quota.Header{Limit: core.Units(limit), HasLimit: true, Remaining: core.Units(remaining), HasRemaining: true, Window: window}
	if a.byAddress {
		header.Source = fmt.Sprintf("192.0.2.%d", from)
	}
	return header
}

// full is what a probe was answered before anything was charged.
func (a *account) full(sent time.Duration) quota.Observation {
	o := quota.Observation{SentAt: at(sent), Status: 200}
	for _, l := range a.limits {
		c := l.Config()
		if limit, window, ok := c.Says(); ok && c.Headers {
			o.Header = a.header(limit, limit, window, a.addresses[a.next%len(a.addresses)])
			a.next++
			break
		}
	}
	return o
}
