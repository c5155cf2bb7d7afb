package view

import "time"

func ptr[T any](v T) *T { return &v }

func alive() Controller {
	return Controller{Installed: true, Heartbeat: now.Add(-4 * time.Second), Image: "ghcr.io/pullpace/pacer@sha256:9f2c41", Ready: 2, Wanted: 2}
}

func soon() Window { return Window{From: now.Add(21 * time.Minute), To: now.Add(42 * time.Minute)} }

// chargedBudgets is an account that is not read because reading it costs.
func chargedBudgets() Budgets {
	b := sampleBudgets().Items[0]
	b.Grade, b.Held, b.Forecast, b.ProbesChargedSince = "Stale", 0, Window{}, now.Add(-time.Minute)
	b.Problems = []Condition{{Type: "Reading", Reason: "ProbesCharged", Message: "docker.io/anonymous: every HEAD that asked what is left took units of it"}}
	return Budgets{Controller: alive(), Items: []Budget{b}}
}

func sampleBudgets() Budgets {
	return Budgets{Controller: alive(), Items: []Budget{{
		Name: "hub", Registry: "docker.io", Account: "docker.io/anonymous", Held: 20, Demand: 30, Identity: "Anonymous", SeenAs: "203.0.113.42",
		Limit: ptr[int64](100), WindowSeconds: 3600, Remaining: ptr[int64](58),
		Available: map[string]int64{"node-critical": 58, "serving": 58, "rollout": 50, "batch": 40, "ci": 40},
		Reserved:  3, UngatedDemand: 1, OthersPerHour: "9", Forecast: soon(),
		Flow: Flow{AskedPerHour: "61.00", GivenPerHour: "100.00", OverSeconds: 6 * 3600}, Share: "0.5 of what remains",
		PerPull: []Charge{{Host: "docker.io", Manifests: 2, Mean: "1.00", Samples: 131}, {Host: "cache.corp", Manifests: 1, Mean: "0.00", Samples: 9}}, ReadAt: now.Add(-12 * time.Second), Grade: "OK",
		Spent: []Spent{{End: now.Add(-time.Minute), Units: 22}, {End: now, Units: 11}},
		Window: &Usage{Used: 42, NotThisCluster: ptr[int64](9), UnderWay: 4, Namespaces: []NamespaceUse{
			{"ci", 22, []WorkloadUse{{"Job/nightly", 20}, {"Pod/build-7", 2}}}, {"shop", 11, []WorkloadUse{{"Deployment/api", 11}}},
		}},
	}, {
		Name: "busy", Registry: "docker.io", Account: "docker.io/busy", Identity: "Credentials", Grade: "OK", Limit: ptr[int64](100), WindowSeconds: 3600, Remaining: ptr[int64](0),
		ReadAt: now.Add(-5 * time.Second), Mirrors: []string{"mirror.corp"}, Window: &Usage{Used: 100, NotThisCluster: ptr[int64](100), Namespaces: []NamespaceUse{}},
		Flow:     Flow{AskedPerHour: "150.00", GivenPerHour: "100.00", OverSeconds: 6 * 3600, HopelessSince: now.Add(-time.Hour)},
		Problems: []Condition{{Type: "Sufficient", Reason: "Hopeless", Message: "150 units an hour are asked and 100 given"}},
	}, {
		Name: "silent", Registry: "docker.io", Account: "docker.io/silent", Identity: "Credentials", SeenAs: "acme", Grade: "OK", Doubt: "Unseen",
		Limit: ptr[int64](200), WindowSeconds: 3600, Remaining: ptr[int64](200), ReadAt: now.Add(-5 * time.Second),
		Problems: []Condition{{Type: "Reading", Reason: "IdentityMismatch", Message: "pulls go out anonymously: what was pulled does not show on the account"}},
	}, {
		Name: "ghcr", Registry: "ghcr.io", Identity: "Anonymous", Grade: "Never", ReadAt: now.Add(-40 * time.Second),
		Problems: []Condition{{Type: "Ready", Reason: "NoLimitHeader", Message: "three readings carried no limit"}},
	}, {
		Name: "ecr", Registry: "1.dkr.ecr.eu-west-1.amazonaws.com", Identity: "NodeCredentials", Grade: "OK", Limit: ptr[int64](20), Remaining: ptr[int64](0),
		Breaker: Breaker{State: "paused", Cause: "Throttled", Until: now.Add(time.Minute)},
	}}}
}

func sampleCost() Cost {
	return Cost{
		Namespace: "shop", Workload: "deploy/api", Replicas: 80, Pods: 80, Source: "controller", Verdict: "hold", Reason: "WaitingForBudget",
		Images: []Image{
			{Image: "docker.io/acme/api:2.4.1", Account: "docker.io/anonymous", ColdNodes: Units{80, 80}, Units: Units{80, 80}},
			{Image: "docker.io/envoyproxy/envoy", Account: "docker.io/anonymous", ColdNodes: Units{0, 2}, Units: Units{0, 2}, Why: "2 nodes report only 50 images"},
		},
		Accounts: []Account{{Name: "docker.io/anonymous", Needs: Units{80, 82}, Free: ptr[int64](50), ReadAt: now.Add(-12 * time.Second),
			Limit: 100, WindowSeconds: 3600, SeenAs: "203.0.113.42", More: soon()}},
		Class: "rollout", Nodes: 117, Finish: soon(), HoldUntil: now.Add(24 * time.Hour), Gated: 450, MaxGated: 500,
		Breaks: []Clock{
			{Name: "helm --wait", Limit: "5m0s", Breaks: "yes", Why: "its default; set --timeout"},
			{Name: "progressDeadlineSeconds", Limit: "10m0s", Breaks: "no", Why: "lifted while held"},
		},
		Surge:  20,
		Quotas: []Quota{{"compute", "pods", "20", "92", "150", true}, {"compute", "requests.cpu", "10", "45", "50", false}},
	}
}

// recreateCost is never held.
func recreateCost() Cost {
	c := sampleCost()
	c.NotHeld, c.HoldUntil, c.Quotas = "Recreate", time.Time{}, nil
	return c
}

func cheapCost() Cost {
	c := sampleCost()
	c.Verdict, c.Reason, c.Finish, c.Breaks = "allow", "", Window{}, nil
	c.Accounts = []Account{{Name: "docker.io/anonymous", Needs: Units{80, 82}, Free: ptr[int64](90), ReadAt: now}, {Name: "ghcr.io/anonymous", Unlimited: true}}
	return c
}

func clientCost() Cost {
	c := sampleCost()
	c.Source, c.Verdict, c.Finish, c.HoldUntil, c.Quotas, c.MaxGated = "client", "unknown", Window{}, time.Time{}, nil, 0
	c.Accounts = []Account{{Name: "docker.io", Needs: Units{80, 82}}}
	c.Unknown = []string{"what is free: no controller reads the registry's limit"}
	return c
}

// guarding is a failsafe that looked a moment ago.
func guarding() Failsafe { return Failsafe{Replicas{1, 1}, now.Add(-8 * time.Second)} }

func sampleStatus() Status {
	return Status{
		Controller: alive(), Failsafe: guarding(), Webhook: true,
		Policies: []Policy{{"default", "Enforce", 500}}, Namespaces: []string{"billing", "shop"},
		Held: []HeldGroup{{
			Namespace: "shop", Workload: "deploy/api", Pods: 20, Reason: "WaitingForBudget", Message: "needs 30 units, 8 free",
			Since: now.Add(-21 * time.Minute), Until: now.Add(55 * time.Minute),
		}},
		HeldNodes: []HeldNode{{Name: "node-7", Reason: "WaitingForBudget", Message: "its bundle needs 12 units, 8 free", Since: now.Add(-time.Minute), Until: now.Add(9 * time.Minute)}},
		Accounts:  sampleBudgets().Items,
		Gate:      Gate{State: GateActive, Reason: "Proven", Message: "a dry-run pod came back gated in 7 ms", AskedAt: now.Add(-40 * time.Second)},
		Slipped:   Slipped{Pods: 7, Newest: []string{"shop/api-7d9f8c6b5-1", "shop/api-7d9f8c6b5-2"}},
		Problems:  []Condition{{Type: "Ready", Reason: "Invalid", Message: "reading PacePolicy \"old\": spec.mode"}},
		Unknown:   []string{"nodes: may not list"},
	}
}

func idleStatus() Status {
	return Status{Controller: alive(), Failsafe: guarding(), Webhook: true, Policies: []Policy{{"default", "Shadow", 500}}}
}

func brokenStatus() Status {
	s := sampleStatus()
	s.Gate = Gate{State: GateBroken, Reason: "NotCalled", Message: "a dry-run pod came back without the gate after 2001 ms", AskedAt: now.Add(-3 * time.Second)}
	return s
}

func deadStatus() Status {
	s := sampleStatus()
	s.Controller.Heartbeat = now.Add(-time.Hour)
	s.Gate.AskedAt = s.Controller.Heartbeat
	s.Failsafe = Failsafe{Replicas{0, 1}, now.Add(-time.Hour)}
	return s
}

func guardedStatus() Status {
	s := deadStatus()
	s.Failsafe = guarding()
	return s
}

func unguardedExplanation() Explanation {
	e := sampleExplanation()
	e.Failsafe = &Failsafe{}
	return e
}

func sampleExplanation() Explanation {
	return Explanation{
		Namespace: "shop", Object: "pod/api-7d9f8c6b5-x2lqp", Answer: "Held", Reason: "WaitingForBudget",
		Meaning: "the account has fewer free units than the pod may cost", Message: "needs 1, 0 free of docker.io/anonymous",
		Remedy: "wait for the refill", Since: now.Add(-21 * time.Minute), Until: now.Add(time.Hour), Workload: "deploy/api", Decision: "5c1e",
		Accounts: []Account{{Name: "docker.io/anonymous", Needs: Units{1, 1}, Free: ptr[int64](0), ReadAt: now.Add(-9 * time.Second), More: soon()}},
		History:  []Entry{{At: now.Add(-21 * time.Minute), Reason: "WaitingForBudget", Note: "held"}},
		Groups:   sampleStatus().Held, Failsafe: ptr(guarding()), Unknown: []string{"events: may not list"},
	}
}

// pausedExplanation waits for an account that failing pulls have paused.
func pausedExplanation() Explanation {
	e := sampleExplanation()
	e.Reason, e.Meaning, e.Remedy = "BreakerOpen", "failing pulls have paused the account", "wait, it is tried again by itself"
	e.Message = "docker.io/anonymous is paused: a pull was answered by 429"
	e.Accounts[0].Breaker = Breaker{State: "paused", Cause: "a pull was answered by 429", Until: now.Add(40 * time.Second)}
	return e
}

// failingExplanation is of a pod that went and whose image is not there.
func failingExplanation() Explanation {
	return Explanation{
		Namespace: "shop", Object: "pod/api-1", Answer: "Released", Reason: "Budget", Decision: "d7", Workload: "deploy/api", Meaning: "the account has the units",
		Failing: []FailingPull{{
			Container: "api", Image: "docker.io/acme/api:2.4.9", Class: "NotFound", Words: `failed to resolve image: docker.io/acme/api:2.4.9: not found`,
			Text: "the registry does not have that image or tag", Pauses: "that revision of the workload, and never the account", Remedy: "fix the reference or push the image", Pods: 1,
		}, {
			Container: "proxy", Image: "docker.io/envoyproxy/envoy:1", Class: "Throttled", Kind: "Pull", Also: "Auth", Words: "429 Too Many Requests\n\x1b[2Jtoomanyrequests",
			Text: "the registry answered 429: a limit of it was met", Pauses: "the account", Remedy: "wait, it resumes by itself", Pods: 4,
		}},
		Accounts: []Account{{Name: "docker.io/anonymous", Free: ptr[int64](0), ReadAt: now.Add(-9 * time.Second), Breaker: Breaker{State: "trying one", Cause: "a pull was answered by 429"}}},
	}
}

func sampleRollout() Rollout {
	return Rollout{
		Namespace: "shop", Workload: "deploy/api", From: "41", To: "42", State: HeldState,
		Images:   []ImageChange{{"api", "docker.io/acme/api:2.4.0", "docker.io/acme/api:2.4.1"}},
		Replicas: 80, Ready: 80, Least: 60, New: Progress{Ready: 50, Held: 20, ToCome: 10}, OldReady: 30,
		Reason: "WaitingForBudget", Message: "needs 30, free 0", Until: now.Add(time.Hour), Next: soon(),
		Accounts: []Account{{Name: "docker.io/anonymous", Free: ptr[int64](0), ReadAt: now.Add(-9 * time.Second)}},
		Errors:   Failures{Throttled: 1, Pull: 2}, Started: now.Add(-200 * time.Second), At: now,
		Log: []string{"14:09:10 held: WaitingForBudget"},
	}
}

func doneRollout() Rollout {
	r := sampleRollout()
	r.State, r.New, r.OldReady, r.Reason, r.Next = Done, Progress{Ready: 80}, 0, "", Window{}
	r.Errors, r.HeldMax = Failures{}, 26*time.Minute+12*time.Second
	return r
}

func sampleCheck() Check {
	return Check{Decision: "hold", Reason: "WaitingForBudget", RetryAfterSeconds: 1260, Need: Units{80, 82}, Free: ptr[int64](50), Expected: soon(),
		Namespace: "shop", Workload: "deploy/api", Message: "docker.io/anonymous has 50 of 82 units"}
}

func sampleOrder() Order {
	return Order{Verb: "release", Reason: "the shop is down", By: "kim@example.com", DryRun: true, Objects: []Ordered{
		{Namespace: "shop", Object: "deploy/api", Change: "released", Note: "20 held pods"}, {Object: "budget/hub", Change: "unchanged"},
	}}
}

func sampleInstall() Install {
	return Install{Server: "v1.37.2", Image: "ghcr.io/pullpace/pacer:v0.3.0", Mode: "Shadow", Objects: []Applied{
		{Kind: "Namespace", Name: "pullpace-system", Change: "created"},
		{Kind: "Deployment", Namespace: "pullpace-system", Name: "pacer", Change: "configured"},
	}, Controller: Replicas{2, 2}, Apart: Apart{2, 2}, Failsafe: Replicas{1, 1}, ImageApart: true,
		Proof: Proof{7, 2, "Ignore", 10250}, Notes: []string{"Kueue found: its pods are left alone"},
		Found: &Found{Pods: 2790, Registries: 3, Budgets: []FoundBudget{
			{Name: "docker-hub", Registry: "docker.io", Pods: 2600, Change: "created"},
			{Name: "docker-hub-hub", Registry: "docker.io", Identity: "Credentials", Pods: 80, Change: "created"},
			{Name: "quay", Registry: "quay.io", Pods: 190, Change: "kept"},
		}}}
}

// shownInstall is a dry run.
func shownInstall() Install {
	i := sampleInstall()
	i.DryRun, i.Controller, i.Failsafe, i.Notes, i.Apart, i.Proof = true, Replicas{}, Replicas{}, nil, Apart{}, Proof{}
	i.Found = &Found{Pods: 7, Registries: 1, Budgets: []FoundBudget{{Name: "ghcr", Registry: "ghcr.io", Pods: 7, Change: "would create",
		Manifest: "apiVersion: pullpace.dev/v1alpha1\nkind: PullBudget\nmetadata:\n  name: ghcr\nspec:\n  registry: ghcr.io\n"}}}
	return i
}

func sampleUninstall() Uninstall {
	return Uninstall{Released: 20, Restored: 1, Untainted: 1, Stripped: 7,
		Deleted:  []Applied{{Kind: "Deployment", Namespace: "pullpace-system", Name: "pacer", Change: "deleted"}},
		Searched: Searched{Nodes: 120, Pods: 4310, Workloads: 388}, Kept: Kept{CRDs: 2, Budgets: 4, Policies: 1}}
}

func leftUninstall() Uninstall {
	u := sampleUninstall()
	u.Left, u.Notes = Left{Gates: 1}, []string{"pod shop/api-1: may not patch"}
	return u
}

func sampleShadow() Shadow {
	return Shadow{
		Policies: []string{"default"}, Watching: []string{"default"}, Since: now.Add(-24 * time.Hour), Namespaces: 2,
		Pods: 37, Rollouts: 4, LongestSeconds: 1320, LongestWorkload: "shop/deploy/api", Throttled: 1912, Saved: 1910, HeldForNothing: 1, Paged: 2,
		Holds: []ShadowHold{{Policy: "default", Namespace: "shop", Workload: "deploy/api", Pods: 12, Reason: "WaitingForBudget",
			Message: "12 pods like this: 12 units of docker.io/anonymous needed at most, 0 free", Since: now.Add(-5 * time.Minute), Expected: soon()}},
		Workloads: []ShadowWorkload{{"shop", "deploy/api", 30}, {"shop", "deploy/web", 7}},
	}
}

func sampleReplay() Replay {
	return Replay{
		File: "decisions.jsonl", Recorded: "v0.3.0", Replayed: "v0.3.0", Calls: 9412, Starts: 1, Decisions: 1204,
		From: now.Add(-4*time.Minute - 31*time.Second), To: now,
		Limits: []ReplayLimit{
			{Account: "docker.io/anonymous", Limit: 100, WindowSeconds: 21600, Readings: 812, Rules: []ReplayRule{
				{"RollingLog", 0.984}, {"FixedWindow", 0.016}, {"TokenBucket", 0}, {"SlidingCounter", 0}}},
			{Account: "quay.io/anonymous", Limit: 20, WindowSeconds: 60, Readings: 1},
		},
	}
}

func differingReplay() Replay {
	r := sampleReplay()
	r.Replayed, r.Decisions, r.Ended = "v0.4.0", 17, "the trace has reached 67108864 bytes"
	head := `{"id":"81ba7fd2","at":"2026-03-02T14:06:02Z","holds":[{"group":"shop/api","count":20,"reason":"WaitingForBudget","need":20,"free":`
	r.Difference = &ReplayDifference{
		Decision: 17, At: now.Add(-238 * time.Second), Byte: len(head), Recorded: head + `0,"ahead":0}]}`, Replayed: head + `1,"ahead":0}]}`,
	}
	return r
}

func samplePrediction() Prediction {
	of := func(v float64) *float64 { return &v }
	return Prediction{
		File: "run.jsonl", Recorded: "v0.3.0", Cluster: "v1.37.2", Scenario: "fidelity", Policy: "none", Replications: 200, Seed: 1, Pods: 24,
		Rows: []PredictionRow{
			{Metric: "unitsCharged", Predicted: of(24), Min: of(24), Max: of(24)},
			{Metric: "pulls", Actual: of(24), Predicted: of(24), Min: of(24), Max: of(24), Error: of(0), Within: true},
			{Metric: "throttledAttempts", Actual: of(1024), Predicted: of(1000), Min: of(980), Max: of(1010), Error: of(-24)},
			{Metric: "podReadySeconds.p50", Actual: of(16.01), Predicted: of(18.05), Min: of(15.9), Max: of(19.5), Error: of(2.04), Within: true},
			{Metric: "podReadySeconds.max", Actual: of(46.5)},
		},
	}
}
