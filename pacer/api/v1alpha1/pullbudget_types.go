package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PullBudget declares what one registry allows one identity. Pace reads the rest
// from the registry's own headers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=pb,categories=pace
// +kubebuilder:printcolumn:name="Registry",type=string,JSONPath=`.spec.registry`
// +kubebuilder:printcolumn:name="Limit",type=integer,JSONPath=`.status.accounts[0].limit`
// +kubebuilder:printcolumn:name="Left",type=integer,JSONPath=`.status.accounts[0].remaining`
// +kubebuilder:printcolumn:name="Reserved",type=integer,JSONPath=`.status.accounts[0].reserved`
// +kubebuilder:printcolumn:name="Grade",type=string,JSONPath=`.status.accounts[0].grade`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PullBudget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PullBudgetSpec   `json:"spec"`
	Status PullBudgetStatus `json:"status,omitempty"`
}

// PullBudgetList is a list of PullBudgets.
//
// +kubebuilder:object:root=true
type PullBudgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PullBudget `json:"items"`
}

// Identity says what the registry sees when a kubelet pulls.
//
// +kubebuilder:validation:Enum=Anonymous;Credentials;NodeCredentials
type Identity string

// The identities.
const (
	// Anonymous pulls are metered by the address that they come from.
	Anonymous Identity = "Anonymous"
	// Credentials come from a pull secret; the same are given to Pace in
	// spec.credentials for its readings.
	Credentials Identity = "Credentials"
	// NodeCredentials come from a credential provider on the node.
	NodeCredentials Identity = "NodeCredentials"
)

// PullBudgetSpec says which pulls draw on the budget and how to learn its limit.
//
// +kubebuilder:validation:XValidation:rule="self.identity != 'Credentials' || has(self.credentials) || (has(self.limit) && self.limit.source == 'Fixed')",message="identity Credentials needs spec.credentials.secretName, a Secret in pullpace-system that Pace reads the limit with; or declare limit.source Fixed"
// +kubebuilder:validation:XValidation:rule="!has(self.credentials) || self.identity == 'Credentials'",message="spec.credentials is only for identity Credentials"
// +kubebuilder:validation:XValidation:rule="!has(self.credentials) || !has(self.probe) || !has(self.probe.endpoint)",message="an endpoint override carries no credentials: remove spec.probe.endpoint or spec.credentials"
type PullBudgetSpec struct {
	// Registry is the host as in image references. docker.io, index.docker.io and
	// registry-1.docker.io are one.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?$`
	Registry string `json:"registry"`

	// UpstreamOf are hosts whose misses are fetched from this registry on this
	// budget, such as a pull-through cache.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?$`
	// +listType=set
	UpstreamOf []string `json:"upstreamOf,omitempty"`

	// Mirrors are hosts that nodes ask before the registry, as the hosts.toml of
	// containerd says. Pulls that do not show on the account are then a mirror's hits
	// and no sign that they go out as somebody else. How much a mirror answers is
	// learned from what pulls are charged, whether it is named here or not.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?$`
	// +listType=set
	Mirrors []string `json:"mirrors,omitempty"`

	// Match narrows the budget to some pods. Without any field it is the anonymous
	// default of the registry. Of two budgets that match, the more specific wins.
	// +optional
	Match *BudgetMatch `json:"match,omitempty"`

	// Identity is what the registry sees. Default Anonymous.
	// +optional
	// +kubebuilder:default=Anonymous
	Identity Identity `json:"identity,omitempty"`

	// Credentials let Pace read the limit of an account.
	// +optional
	Credentials *BudgetCredentials `json:"credentials,omitempty"`

	// Egress narrows the budget to nodes that share a source address.
	// +optional
	Egress *Egress `json:"egress,omitempty"`

	// Limit says where the limit is learned. Default: observed.
	// +optional
	Limit *Limit `json:"limit,omitempty"`

	// Probe says how the registry is asked.
	// +optional
	Probe *Probe `json:"probe,omitempty"`

	// Reserve is what rollouts leave for what is more urgent.
	// +optional
	Reserve *Reserve `json:"reserve,omitempty"`

	// Share is for accounts that other clusters use too.
	// +optional
	Share *Share `json:"share,omitempty"`

	// Breaker says when failing pulls pause the account: when many fail, and at the
	// first 429. It is tried again by itself, one pod at a time.
	// +optional
	Breaker *Breaker `json:"breaker,omitempty"`
}

// BudgetMatch selects the pods whose pulls draw on a budget. All fields that are
// set must match.
type BudgetMatch struct {
	// PullSecretNames match pods that name one of these Secrets in imagePullSecrets.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	PullSecretNames []string `json:"pullSecretNames,omitempty"`
	// ServiceAccounts match pods that run as one of these.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	ServiceAccounts []string `json:"serviceAccounts,omitempty"`
	// NamespaceSelector matches pods of namespaces with these labels.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// NodeSelector matches pulls to nodes with these labels.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
}

// BudgetCredentials names a Secret of type kubernetes.io/dockerconfigjson.
type BudgetCredentials struct {
	// SecretName is a Secret in pullpace-system.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	SecretName string `json:"secretName"`
}

// Egress says which nodes share a source address.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.perNode) && self.perNode) || !has(self.name)",message="perNode makes a group of each node; a name is for a group of several"
type Egress struct {
	// Name of the group, for people. Default: the budget's name.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`
	// NodeSelector selects the nodes of the group.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
	// PerNode says that each node has an address of its own.
	// +optional
	PerNode bool `json:"perNode,omitempty"`
}

// LimitSource says where a limit is learned.
//
// +kubebuilder:validation:Enum=Observed;Fixed
type LimitSource string

// The sources of a limit.
const (
	Observed LimitSource = "Observed"
	Fixed    LimitSource = "Fixed"
)

// Limit declares a limit, for registries that send no headers.
//
// +kubebuilder:validation:XValidation:rule="!has(self.source) || self.source != 'Fixed' || (has(self.pulls) && has(self.window) && !has(self.rate) && !has(self.burst)) || (has(self.rate) && has(self.burst) && !has(self.pulls) && !has(self.window))",message="limit.source Fixed needs either pulls and window, or rate and burst"
// +kubebuilder:validation:XValidation:rule="(has(self.source) && self.source == 'Fixed') || !(has(self.pulls) || has(self.window) || has(self.rate) || has(self.burst))",message="pulls, window, rate and burst are only for limit.source Fixed: an observed limit is read from the registry"
type Limit struct {
	// Source is Observed (the registry's headers) or Fixed.
	// +optional
	// +kubebuilder:default=Observed
	Source LimitSource `json:"source,omitempty"`
	// Pulls allowed in any Window, each of one image however many manifests it has.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	Pulls int64 `json:"pulls,omitempty"`
	// Window of Pulls.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="limit.window must be a duration above zero, such as 6h"
	Window *metav1.Duration `json:"window,omitempty"`
	// Rate of pulls per second, counted likewise, such as "10" or "0.5".
	// +optional
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",message="limit.rate must be a number above zero, such as 10 or 0.5"
	Rate *resource.Quantity `json:"rate,omitempty"`
	// Burst that Rate fills up to.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000000
	Burst int64 `json:"burst,omitempty"`
}

// Probe says how a registry is asked for its limit: by HEAD of a manifest, which
// is free where pulls are counted.
type Probe struct {
	// Repository whose manifest is asked for, with or without a tag. Default: on
	// docker.io ratelimitpreview/test, elsewhere an image that waits.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Repository string `json:"repository,omitempty"`
	// Interval while work waits. Default 20s, less for windows of minutes.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="probe.interval must be a duration of 1s at least"
	Interval *metav1.Duration `json:"interval,omitempty"`
	// Endpoint is asked instead of the registry's host. It gets no credentials.
	// +optional
	// +kubebuilder:validation:Pattern=`^https://[^/@?#]+$`
	// +kubebuilder:validation:MaxLength=300
	Endpoint string `json:"endpoint,omitempty"`
	// CABundle holds further trusted certificates, PEM.
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	CABundle string `json:"caBundle,omitempty"`
	// TokenRealmHosts are further hosts that tokens may be fetched from with the
	// credentials. The registry's own host always is one.
	// +optional
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?$`
	// +listType=set
	TokenRealmHosts []string `json:"tokenRealmHosts,omitempty"`
}

// RollbackReserve says whether room is kept for a rollback.
//
// +kubebuilder:validation:Enum=Auto;None
type RollbackReserve string

// The rollback reserves.
const (
	RollbackAuto RollbackReserve = "Auto"
	RollbackNone RollbackReserve = "None"
)

// Reserve is what less urgent classes leave.
type Reserve struct {
	// Percent of the limit, rounded down, that rollouts leave; batch and ci leave
	// three times as much. Default 5.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=30
	Percent *int32 `json:"percent,omitempty"`
	// Rollback Auto keeps what a rollback of every live rollout would pull now.
	// +optional
	Rollback RollbackReserve `json:"rollback,omitempty"`
}

// Share bounds what this cluster takes of an account that others use too.
type Share struct {
	// FractionOfRemaining that may be spent at a reading, such as "0.1"; of a limit that
	// is not read it is of the limit, in any window. For k clusters that do not know each
	// other 1/(2k+2) of each, with a guard of k-1, shares an account evenly and leaves
	// none of it unused. Default 1.
	// +optional
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0')) && !quantity(string(self)).isGreaterThan(quantity('1'))",message="share.fractionOfRemaining must be above 0 and at most 1"
	FractionOfRemaining *resource.Quantity `json:"fractionOfRemaining,omitempty"`
	// Guard is kept back besides. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Guard int64 `json:"guard,omitempty"`
	// MaxPerWindow caps what this cluster spends in a window; 0: no cap. Clusters whose
	// caps make the limit together never overspend, whatever each of them does.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxPerWindow int64 `json:"maxPerWindow,omitempty"`
}

// Breaker says when failing pulls pause an account.
//
// +kubebuilder:validation:XValidation:rule="!has(self.base) || !has(self.max) || duration(self.base) <= duration(self.max)",message="breaker.base must not be above breaker.max"
type Breaker struct {
	// FailurePercent of pulls that opens it. Default 20.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	FailurePercent *int32 `json:"failurePercent,omitempty"`
	// Base is the first time that it stays open. Default 30s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="breaker.base must be a duration above zero, such as 30s"
	Base *metav1.Duration `json:"base,omitempty"`
	// Max is the longest. Default 30m.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s')",message="breaker.max must be a duration above zero, such as 30m"
	Max *metav1.Duration `json:"max,omitempty"`
}
