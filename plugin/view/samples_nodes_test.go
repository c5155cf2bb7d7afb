package view

// sampleNodeCost is a scale-up that needs more than is free.
func sampleNodeCost() NodeCost {
	return NodeCost{
		NodePool: "general", By: "Karpenter NodePool", Present: 117, Nodes: 40, Room: ptr[int64](30), Source: "client, free units by the controller",
		Verdict: "hold", Reason: "WaitingForBudget", Now: ptr[int32](16), Binds: "docker.io/anonymous",
		Images: []NodeImage{
			{Image: "docker.io/acme/agent:1", Workloads: []string{"DaemonSet logs/agent"}, Account: "docker.io/anonymous", ColdNodes: Units{40, 40}, Units: Units{40, 40}},
			{Image: "docker.io/acme/init:1", Workloads: []string{"DaemonSet logs/agent", "DaemonSet net/cni", "DaemonSet net/dns"}, Account: "docker.io/anonymous", ColdNodes: Units{0, 40}, Units: Units{0, 80}, Why: "not known whether nodes of the pool are born with it"},
			{Image: "ghcr.io/acme/dns:2", Workloads: []string{"DaemonSet net/dns"}, ColdNodes: Units{40, 40}, Why: "no PullBudget paces it"},
		},
		Accounts:    []Account{{Name: "docker.io/anonymous", Needs: Units{40, 120}, Free: ptr[int64](50), ReadAt: now, More: soon()}},
		WaitingPods: 3, Finish: soon(), Unknown: []string{"which budgets are of one namespace: namespaces may not be listed"},
	}
}

// paidNodeCost may all come.
func paidNodeCost() NodeCost {
	c := sampleNodeCost()
	c.Verdict, c.Reason, c.Binds, c.Finish, c.WaitingPods, c.Room, c.Unknown = "allow", "", "", Window{}, 0, nil, nil
	c.Now, c.Accounts[0].Free = ptr[int32](40), ptr[int64](500)
	return c
}

// unknownNodeCost is priced where no controller is.
func unknownNodeCost() NodeCost {
	c := paidNodeCost()
	c.Verdict, c.Source, c.Now, c.Accounts = "unknown", "client", nil, []Account{{Name: "docker.io/anonymous", Needs: Units{40, 120}}}
	c.Unknown = []string{"what is free now: no controller reads what the registry allows"}
	return c
}

func sampleNodesCheck() NodesCheck {
	return NodesCheck{Decision: "hold", Reason: "WaitingForBudget", RetryAfterSeconds: 1260, Need: Units{40, 120}, Free: ptr[int64](50), Expected: soon(),
		Pool: "general", Nodes: 40, Now: ptr[int32](16), Binds: "docker.io/anonymous", Unknown: []string{"namespaces may not be listed"}}
}

func blockedUninstall() Uninstall {
	return Uninstall{Blockers: Blockers{
		Blocked: []string{"NodePool general declares startup taint pullpace.dev/held"}, Edits: []string{"kubectl patch nodepool general --type json -p '[]'", "kubectl delete mutatingadmissionpolicy x"},
		Later: []string{"NodePool general: take the budget out again"}, Unknown: []string{"whether kubelets register with the taint"}, FailsafeFrees: true,
	}}
}
