package scenario

import (
	"time"

	"github.com/pullpace/pace/simulate/limiter"
)

// Kind is the kind of a scenario file.
const Kind = "Scenario"

// Scenario is a file: a cluster, what happens to it, and the policies that meet
// it.
type Scenario struct {
	// APIVersion is pullpace.dev/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Kind is Scenario.
	Kind     string   `json:"kind"`
	Metadata Metadata `json:"metadata"`
	Spec     Spec     `json:"spec"`

	// defaulted are the fields that the file left to their defaults.
	defaulted []Row
}

// Metadata names a scenario.
type Metadata struct {
	// Name of the scenario: letters, digits and any of . _ / : @ - between them, as all
	// names of a scenario.
	Name string `json:"name"`
	// Story says in a line what happens, for lists.
	Story string `json:"story,omitempty"`
}

// Spec is what a scenario says.
type Spec struct {
	// Seed of all that is random. The same file, seed and version give the same
	// result, to the bit.
	Seed uint64 `json:"seed,omitempty"`
	// Replications of the run, each with its own draws; top-level figures are those of
	// the first.
	Replications int `json:"replications,omitempty"`
	// Horizon ends the run.
	Horizon time.Duration `json:"horizon,omitempty"`
	// Cluster is the pace of the control plane.
	Cluster Cluster `json:"cluster,omitempty"`
	// Clusters are the names of several that pull from the same registries, by the same
	// mirrors and egress groups, and know nothing of each other: each has a control plane
	// and what a policy says of its own. Node pools and workloads say whose they are.
	// Empty is one cluster without a name.
	Clusters []string `json:"clusters,omitempty"`
	// Registries that images come from.
	Registries []Registry `json:"registries,omitempty"`
	// Egress groups: nodes that leave the network by the same addresses.
	Egress []Egress `json:"egress,omitempty"`
	// Mirrors that nodes ask before a registry.
	Mirrors []Mirror `json:"mirrors,omitempty"`
	// NodePools of alike nodes.
	NodePools []NodePool `json:"nodePools,omitempty"`
	// Images that workloads and daemonSets run.
	Images []Image `json:"images,omitempty"`
	// Workloads that own pods.
	Workloads []Workload `json:"workloads,omitempty"`
	// Timeline is what people and autoscalers of pods do.
	Timeline []Entry `json:"timeline,omitempty"`
	// Faults are what goes wrong.
	Faults []Fault `json:"faults,omitempty"`
	// Policies that meet the scenario, side by side.
	Policies []Policy `json:"policies,omitempty"`
	// Goals that must hold, in every replication.
	Goals []Goal `json:"goals,omitempty"`
}

// Cluster is the pace of the control plane: a token bucket for the creation of
// pods, one for binding them. A QPS of 0 is unlimited.
type Cluster struct {
	// CreateQPS is how many pods controllers create per second.
	CreateQPS float64 `json:"createQPS,omitempty"`
	// CreateBurst is how many they create at once.
	CreateBurst int `json:"createBurst,omitempty"`
	// BindQPS is how many pods the scheduler binds per second.
	BindQPS float64 `json:"bindQPS,omitempty"`
	// BindBurst is how many it binds at once.
	BindBurst int `json:"bindBurst,omitempty"`
}

// Registry is a host that serves images.
type Registry struct {
	// Name that images, mirrors, faults and budgets use.
	Name string `json:"name"`
	// Host as in image references. docker.io, index.docker.io and registry-1.docker.io
	// are one.
	Host string `json:"host"`
	// Limiters must all allow a request before any is charged. Every account starts
	// full.
	Limiters []Limiter `json:"limiters,omitempty"`
	// RTT is drawn once for every HTTP request, the token service's included.
	RTT Distribution `json:"rtt,omitempty"`
	// Bandwidth of the registry's edge, shared by all who download; 0 is unlimited.
	Bandwidth Bandwidth `json:"bandwidth,omitempty"`
}

// LimiterType is the rule of a limiter.
type LimiterType string

// The rules.
const (
	// RollingLog allows Limit units in any Window.
	RollingLog LimiterType = "RollingLog"
	// FixedWindow allows Limit units between two edges, Window apart.
	FixedWindow LimiterType = "FixedWindow"
	// TokenBucket refills at Rate up to Burst.
	TokenBucket LimiterType = "TokenBucket"
	// SlidingCounter weighs the last window's units by what is left of it.
	SlidingCounter LimiterType = "SlidingCounter"
	// Concurrency allows Limit requests in flight.
	Concurrency LimiterType = "Concurrency"
)

// Scope is whose account a limiter keeps.
type Scope string

// The scopes.
const (
	PerEgressIP Scope = "EgressIP"
	PerAccount  Scope = "Account"
	PerRegistry Scope = "Registry"
)

// Counting is what a limiter counts.
type Counting string

// What is counted.
const (
	// CountPull is 1 at the first manifest GET of a cold pull; the GET of the platform's
	// manifest is free.
	CountPull Counting = "Pull"
	// CountManifestGET is 1 for each GET of a manifest.
	CountManifestGET Counting = "ManifestGET"
	// CountRequest is 1 for every request to the host, but not the token service.
	CountRequest Counting = "Request"
)

// HeadWhenEmpty is what an empty limiter answers to HEAD.
type HeadWhenEmpty string

// The answers.
const (
	HeadAllow HeadWhenEmpty = "Allow"
	HeadDeny  HeadWhenEmpty = "Deny"
)

// Limiter is a limit of a registry.
type Limiter struct {
	// Type is RollingLog, FixedWindow, TokenBucket, SlidingCounter or Concurrency.
	Type LimiterType `json:"type"`
	// Per is whose account it keeps: EgressIP, Account or Registry.
	Per Scope `json:"per,omitempty"`
	// Counts is Pull, ManifestGET or Request.
	Counts Counting `json:"counts,omitempty"`
	// Limit of a window, or of requests in flight; 0 is none allowed.
	Limit int64 `json:"limit,omitempty"`
	// Window that Limit is for.
	Window time.Duration `json:"window,omitempty"`
	// Rate that a TokenBucket refills at; 0 is unlimited.
	Rate Rate `json:"rate,omitempty"`
	// Burst that a TokenBucket holds; 0 is none allowed.
	Burst int64 `json:"burst,omitempty"`
	// Phase is the first edge of a window after the start; 0s puts edges at 0, one
	// window, two windows.
	Phase time.Duration `json:"phase,omitempty"`
	// CountsDenied charges requests that are refused.
	CountsDenied bool `json:"countsDenied,omitempty"`
	// Headers says that answers tell the limit and what remains.
	Headers bool `json:"headers,omitempty"`
	// HeadWhenEmpty is the answer to HEAD when nothing remains: Allow or Deny.
	HeadWhenEmpty HeadWhenEmpty `json:"headWhenEmpty,omitempty"`
}

// Egress is a group of addresses by which nodes leave the network. Node i of a
// pool is behind address i mod IPs.
type Egress struct {
	// Name that pools, mirrors and faults use.
	Name string `json:"name"`
	// IPs are the group's addresses.
	IPs int `json:"ips,omitempty"`
	// Bandwidth of the group together; 0 is unlimited.
	Bandwidth Bandwidth `json:"bandwidth,omitempty"`
	// Foreign is use of the same accounts by others.
	Foreign Foreign `json:"foreign,omitempty"`
}

// Foreign is use by others, evenly spaced, the first at half a step. What is
// refused is lost and counted.
type Foreign struct {
	// PerWindow units in each window of the limiter.
	PerWindow int64 `json:"perWindow,omitempty"`
	// Per units in each Every, for limiters without a window.
	Per int64 `json:"per,omitempty"`
	// Every is the time that Per is for.
	Every time.Duration `json:"every,omitempty"`
}

// Mirror is a pull-through cache that nodes ask before the registry; without it
// they ask the registry themselves.
type Mirror struct {
	// Name that faults use.
	Name string `json:"name"`
	// For are the registries that it mirrors.
	For []string `json:"for,omitempty"`
	// SingleFlight fetches once what many miss at the same time.
	SingleFlight bool `json:"singleFlight,omitempty"`
	// Warm are images that it holds at the start.
	Warm []string `json:"warm,omitempty"`
	// Bandwidth to the nodes; 0 is unlimited.
	Bandwidth Bandwidth `json:"bandwidth,omitempty"`
	// Egress group by which it asks the registry.
	Egress string `json:"egress,omitempty"`
	// RTT of a request to the mirror.
	RTT Distribution `json:"rtt,omitempty"`
}

// Config is the limiter as the package limiter runs it.
func (l Limiter) Config() limiter.Config {
	c := limiter.Config{
		Type: limiter.Type(l.Type), Limit: l.Limit, Window: l.Window, Phase: l.Phase,
		CountsDenied: l.CountsDenied, Headers: l.Headers, DenyHeadWhenEmpty: l.HeadWhenEmpty == HeadDeny,
	}
	if l.Type == TokenBucket {
		c.Limit, c.Refill, c.Every = l.Burst, l.Rate.Units, l.Rate.Every
	}
	return c
}

// Windowed reports whether the limiter has a window.
func (l Limiter) Windowed() bool {
	return l.Type == RollingLog || l.Type == FixedWindow || l.Type == SlidingCounter
}
