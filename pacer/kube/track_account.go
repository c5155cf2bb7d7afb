package kube

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// announceAccounts brings the announced accounts up to date.
func (t *Tracker) announceAccounts() {
	clear(t.lists)
	next := map[core.AccountID]engine.Account{}
	t.budgetOf, t.egress = map[core.AccountID]string{}, map[string][]string{}
	for _, b := range t.rules.budgets {
		t.egress[b.name] = t.egressOf(b)
		for _, group := range t.egress[b.name] {
			a := b.account(group)
			if _, taken := next[a.ID]; !taken {
				next[a.ID], t.budgetOf[a.ID] = a, b.name
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(next)) {
		if a := next[id]; !reflect.DeepEqual(a, t.accounts[id]) {
			t.emit(engine.Event{Account: &a})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.accounts)) {
		if _, stays := next[id]; !stays {
			t.emit(engine.Event{AccountGone: id})
		}
	}
	t.accounts = next
}

// egressOf are the egress groups of a budget, sorted.
func (t *Tracker) egressOf(b *budget) []string {
	if !b.perNode {
		group := ""
		if b.nodes != nil {
			group = b.egressName
		}
		return []string{group}
	}
	var groups []string
	for _, n := range t.nodes {
		if group, ok := b.egress(n.object); ok {
			groups = append(groups, group)
		}
	}
	slices.Sort(groups)
	return groups
}

// perNode reports whether nodes are accounts of their own.
func (t *Tracker) perNode() bool {
	return slices.ContainsFunc(t.rules.budgets, func(b *budget) bool { return b.perNode })
}

// ownAccounts brings the accounts that a node has of its own up to date; nil: it is gone.
func (t *Tracker) ownAccounts(node string, object *corev1.Node) {
	group := perNodeGroup(node)
	draws := map[core.AccountID]*budget{}
	var ids []core.AccountID
	for _, b := range t.rules.budgets {
		if !b.perNode {
			continue
		}
		id, there := b.accountID(group), false
		if object != nil {
			_, there = b.egress(object)
		}
		t.setEgress(b.name, group, there)
		ids = append(ids, id)
		if there && draws[id] == nil {
			draws[id] = b
		}
	}
	for _, id := range ids {
		b, before := draws[id], t.accounts[id]
		switch {
		case b == nil && before.ID == "":
		case b == nil:
			delete(t.accounts, id)
			delete(t.budgetOf, id)
			t.emit(engine.Event{AccountGone: id})
		default:
			a := b.account(group)
			t.budgetOf[id] = b.name
			if !reflect.DeepEqual(a, before) {
				t.accounts[id] = a
				t.emit(engine.Event{Account: &a})
			}
		}
	}
}

// setEgress notes whether a PullBudget has an egress group.
func (t *Tracker) setEgress(budget, group string, there bool) {
	groups := t.egress[budget]
	i, was := slices.BinarySearch(groups, group)
	if was == there {
		return
	}
	if there {
		groups = slices.Insert(slices.Clip(groups), i, group)
	} else {
		groups = slices.Delete(slices.Clone(groups), i, i+1)
	}
	t.egress[budget], t.egressDirty = groups, true
	clear(t.lists)
}

// accountList is what pulls draw on that are of the same budgets.
type accountList struct {
	accounts []core.AccountID
	// name stands for the accounts in the names of groups: where each node is an account
	// there are thousands.
	name []core.AccountID
}

// listOf lists the accounts that a pull of the pod from the host may draw on. Pods whose
// pulls draw on the same share the list.
func (t *Tracker) listOf(host string, spec *corev1.PodSpec, namespaceLabels map[string]string) accountList {
	drawn := drawnOn(t.rules.budgets, host, spec, namespaceLabels)
	var key strings.Builder
	for _, b := range drawn {
		key.WriteString(b.name + "/")
	}
	list, known := t.lists[key.String()]
	if !known {
		list.accounts = accountsOf(drawn, t.egress)
		list.name = list.accounts
		if len(list.accounts) > 1 {
			list.name = []core.AccountID{core.AccountID(digest(list.accounts))}
		}
		t.lists[key.String()] = list
	}
	return list
}
