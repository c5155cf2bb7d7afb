package view

import "time"

// sampleDiagnosis is a cluster that a registry refuses, with a pull secret that nobody
// uses.
func sampleDiagnosis() Diagnosis {
	return Diagnosis{
		Verdict: "RateLimited", Summary: "docker.io refuses pulls: its pull limit (20 pods, 20 nodes, 3 workloads)", Scope: "cluster", At: now,
		Cluster: DiagnosedCluster{
			Name: "prod-eu-1", Version: "v1.34.4", Nodes: 120, Controller: "absent",
			Architectures: []Counted{{"amd64", 114}, {"arm64", 6}},
			Runtimes: []RuntimeCost{
				{Runtime: "containerd://2.1.4", Nodes: 118, ColdPull: &Units{2, 2}, WarmAlways: &Units{}, OnThrottle: "up to 6 requests at once, without regard to Retry-After"},
				{Runtime: "rkt://1", Nodes: 2},
			},
		},
		Evidence: []Evidence{
			{Part: "pods", Count: 400}, {Part: "events", Count: 90, Oldest: now.Add(-time.Hour)}, {Part: "pullbudgets", Unread: "Pace is not installed"},
			{Part: "kubelets", Count: 2, Unread: "2 of 120 nodes were asked, one of each pool"},
		},
		Pulling: Pulling{Pods: 20, Nodes: 20, Causes: []Cause{
			{Kind: "NewNodes", Workload: "logs/daemonset/agent", Pods: 10, Nodes: 10, Since: now.Add(-time.Hour), Text: "logs/daemonset/agent: 10 pods on 10 nodes that came lately"},
			{Kind: "Rollout", Workload: "shop/web", Pods: 10, Nodes: 10, Since: now.Add(-time.Hour), Text: "shop/web: 10 pods on 10 nodes, a rollout"},
		}},
		Held: []Counted{{"ImageFailing", 4}},
		Findings: []Finding{{
			Check: "throttled", Severity: "FAIL", Class: "Throttled", Limiter: "pull", Registry: "docker.io", Text: "docker.io refuses pulls: its pull limit", Now: true,
			From: now.Add(-66 * time.Minute), To: now.Add(-7 * time.Minute), Pods: 20, Nodes: 20, Workloads: 3, Namespaces: 2,
			Facts:   []Fact{{"kubelet says", "toomanyrequests: You have reached your unauthenticated pull rate limit.", "pods"}, {"whose bucket", "anonymous, as the registry says", "pods"}},
			Objects: []string{"shop/web", "billing/api"}, Fix: "spend less of it or have more",
		}, {
			Check: "silently-anonymous", Severity: "WARN", Text: "pull secret shop/hub exists, and no pod or ServiceAccount uses it", Now: true, Pods: 40, Namespaces: 1,
			Facts: []Fact{}, Objects: []string{"shop/hub"}, Fix: "name it",
		}},
		Clear: []string{"dns", "tls"}, Unknown: []UnknownCheck{{"mirror-in-use", "node files are not in the API"}},
		Replay: &DiagnosisReplay{
			Registry: "docker.io", Limit: 100, WindowSeconds: 3600, Pods: 120, Nodes: 40, Seed: 42, Assumed: []string{"the account is full"},
			AsItIs: &Replayed{Throttled: 1604, HalfReadySeconds: ptr(300.0), AllReadySeconds: ptr(3780.0), HorizonSeconds: 86400},
		},
		Fixes: []Fix{
			{Number: 1, Kind: "UseSecret", Title: "use the pull secret you have (1 patch)", Change: "kubectl patch serviceaccount default -n shop\n", Replay: &Replayed{HalfReadySeconds: ptr(60.0), AllReadySeconds: ptr(180.0), HorizonSeconds: 86400}},
			{Number: 2, Kind: "Pin", Title: "ask only for images that are not there (IfNotPresent)", Change: "kubectl patch\n"},
			{Number: 3, Kind: "Pace", Title: "pace docker.io, nothing else", Change: "kind: PullBudget\n", Replay: &Replayed{HalfReadySeconds: ptr(300.0), HorizonSeconds: 86400}},
		},
	}
}

// narrowDiagnosis is of one workload whose password is refused.
func narrowDiagnosis() Diagnosis {
	d := sampleDiagnosis()
	d.Verdict, d.Summary = "NotRateLimiting", "the password is refused; pulls then go out as anonymous and meet that limit (11 pods, 9 nodes, 1 workload)"
	d.Scope, d.Namespace, d.Replay, d.Fixes = "deploy/billing", "billing", nil, nil
	d.Findings = []Finding{{Check: "auth", Severity: "FAIL", Class: "Auth", Registry: "docker.io", Text: "docker.io refuses the credentials, or the repository is not for them", Now: true,
		Pods: 11, Nodes: 9, Workloads: 1, Namespaces: 1, Facts: []Fact{{"kubelet says", "401 Unauthorized", "pods"}}, Objects: []string{"billing/billing"}, Fix: "renew the pull secret"}}
	d.Pulling = Pulling{Causes: []Cause{}}
	return d
}

// quietDiagnosis is of a cluster in which nothing is wrong.
func quietDiagnosis() Diagnosis {
	d := sampleDiagnosis()
	d.Verdict, d.Summary, d.Findings, d.Fixes, d.Replay, d.Pulling = "Healthy", "no pull fails, and nothing was found that would make one fail", nil, nil, nil, Pulling{}
	d.Held = nil
	d.Cluster.Controller = "working"
	return d
}
