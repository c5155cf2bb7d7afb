package engine

import (
	"testing"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// TestNothingStaysBookedForAGroupThatIsGone lets four pods go that are on no node yet,
// and takes away what they were of: scaled to nothing, or paced by another budget. What
// was booked for them must not be kept from others for ever.
func TestNothingStaysBookedForAGroupThatIsGone(t *testing.T) {
	t.Parallel()
	const other core.AccountID = "other"
	tests := map[string]func(m *machine, g Group, pods []core.PodID){
		"pods and group are gone": func(m *machine, g Group, pods []core.PodID) {
			for _, id := range pods {
				m.observe(Event{PodGone: id})
			}
			m.observe(Event{GroupGone: g.ID})
		},
		"the group is gone first": func(m *machine, g Group, pods []core.PodID) {
			m.observe(Event{GroupGone: g.ID})
			for _, id := range pods {
				m.observe(Event{PodGone: id})
			}
		},
		"the group draws on another account": func(m *machine, g Group, _ []core.PodID) {
			m.observe(Event{Account: &Account{ID: other, Host: "docker.io"}})
			g.Images = []ImageUse{{Image: "app", Accounts: []core.AccountID{other}}}
			m.observe(Event{Group: &g})
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(100, time.Hour, 10, quota.Settings{})
			g := Group{ID: "web", Namespace: "shop", Workload: "Deployment/shop/web", Class: core.ClassRollout, Pool: "all",
				Images: []ImageUse{{Image: "app", Accounts: []core.AccountID{hub}}}}
			m.observe(Event{Group: &g})
			pods := []core.PodID{"p1", "p2", "p3", "p4"}
			for _, id := range pods {
				m.observe(Event{Pod: &Pod{ID: id, Group: g.ID, Phase: PodUnbound, Created: m.now, ReleasedAt: m.now}})
			}
			if got := m.reserved(); got == 0 {
				t.Fatal("nothing is booked for pods that were let go")
			}
			change(m, g, pods)
			if got := m.reserved(); got != 0 {
				t.Errorf("%d units stay booked", got)
			}
		})
	}
}

// reserved is what the books of the hub keep for pods that were let go.
func (m *machine) reserved() core.Units {
	for _, v := range m.engine.Decide(m.now).Accounts {
		if v.Account == hub {
			return v.Reserved
		}
	}
	return 0
}
