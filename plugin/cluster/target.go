package cluster

import (
	"fmt"
	"strings"
)

// Kind is a kind that a person may name on the command line.
type Kind string

// The kinds that Pace knows by name.
const (
	Deployment  Kind = "Deployment"
	StatefulSet Kind = "StatefulSet"
	DaemonSet   Kind = "DaemonSet"
	ReplicaSet  Kind = "ReplicaSet"
	Job         Kind = "Job"
	CronJob     Kind = "CronJob"
	Rollout     Kind = "Rollout"
	Pod         Kind = "Pod"
	Node        Kind = "Node"
	PullBudget  Kind = "PullBudget"
	NodePool    Kind = "NodePool"
)

// words are the names of each kind, as kubectl takes them.
var words = map[Kind][]string{
	Deployment:  {"deploy", "deployment", "deployments", "deployments.apps", "deployment.apps"},
	StatefulSet: {"sts", "statefulset", "statefulsets", "statefulsets.apps", "statefulset.apps"},
	DaemonSet:   {"ds", "daemonset", "daemonsets", "daemonsets.apps", "daemonset.apps"},
	ReplicaSet:  {"rs", "replicaset", "replicasets", "replicasets.apps", "replicaset.apps"},
	Job:         {"job", "jobs", "jobs.batch", "job.batch"},
	CronJob:     {"cj", "cronjob", "cronjobs", "cronjobs.batch", "cronjob.batch"},
	Rollout:     {"rollout", "rollouts", "rollouts.argoproj.io", "rollout.argoproj.io"},
	Pod:         {"po", "pod", "pods"},
	Node:        {"no", "node", "nodes"},
	PullBudget:  {"budget", "budgets", "pullbudget", "pullbudgets", "pullbudgets.pullpace.dev", "pullbudget.pullpace.dev"},
	NodePool:    {"nodepool", "nodepools", "nodepools.karpenter.sh", "nodepool.karpenter.sh"},
}

// short is how the plugin prints a kind, always with a name: deploy/api.
var short = map[Kind]string{
	Deployment: "deploy", StatefulSet: "sts", DaemonSet: "ds", ReplicaSet: "rs", Job: "job", CronJob: "cronjob",
	Rollout: "rollout", Pod: "pod", Node: "node", PullBudget: "budget", NodePool: "nodepool",
}

// Target is an object that a person named.
type Target struct {
	Kind Kind
	Name string
}

// String returns it as the plugin prints it: deploy/api.
func (t Target) String() string { return short[t.Kind] + "/" + t.Name }

// ParseTarget reads TYPE/NAME.
func ParseTarget(arg string) (Target, error) {
	word, name, ok := strings.Cut(arg, "/")
	if !ok || word == "" || name == "" || strings.Contains(name, "/") {
		return Target{}, fmt.Errorf("%q is not TYPE/NAME, such as deploy/api", arg)
	}
	for kind, names := range words {
		for _, candidate := range names {
			if strings.EqualFold(candidate, word) {
				return Target{Kind: kind, Name: name}, nil
			}
		}
	}
	return Target{}, fmt.Errorf("unknown kind %q: Pace knows deploy, rollout, sts, ds, job, pod, node and budget", word)
}

// Paced complains about a kind whose rollouts Pace does not drive.
func (t Target) Paced() error {
	switch t.Kind {
	case Deployment, Rollout:
		return nil
	case StatefulSet, DaemonSet:
		return fmt.Errorf("%s: updates of a %s are priced and counted against the budget, but not driven; Deployments and Argo Rollouts are paced (deploy/NAME, rollout/NAME)", t, t.Kind)
	case Job, CronJob:
		return fmt.Errorf("%s: a %s is held as it is created where its namespace is opted in, there is no rollout to drive; Deployments and Argo Rollouts are paced (deploy/NAME, rollout/NAME)", t, t.Kind)
	case NodePool:
		return fmt.Errorf("%s: nodes of a pool are priced with cost and checked with check scaleup; Deployments and Argo Rollouts are paced (deploy/NAME, rollout/NAME)", t)
	}
	return fmt.Errorf("%s: a %s has no rollout; Deployments and Argo Rollouts are paced (deploy/NAME, rollout/NAME)", t, t.Kind)
}
