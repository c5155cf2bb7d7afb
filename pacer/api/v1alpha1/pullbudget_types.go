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

// PullBudgetStatus is what is known of the budget.
type PullBudgetStatus struct {
	// Accounts that the budget stands for: one, or one for each egress group.
	// +optional
	// +listType=map
	// +listMapKey=account
	// +kubebuilder:validation:MaxItems=5000
	Accounts []AccountStatus `json:"accounts,omitempty"`
	// Overrides are the last ten orders of people.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Overrides []OverrideRecord `json:"overrides,omitempty"`
	// Conditions: Ready, Reading, Flowing, OwnImageApart, Sufficient.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// ObservedGeneration of the spec.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// AccountStatus is the books of one account.
type AccountStatus struct {
	// Account names it: host/identity, or host/identity@egress.
	Account string `json:"account"`
	// Grade of the last reading: OK, Never, Lost, Stale, Mismatch; empty: none yet.
	// +optional
	Grade string `json:"grade,omitempty"`
	// Doubt says why the readings may not be of what pulls are charged to: Source,
	// the registry names an address although credentials are set, or Unseen, what was
	// pulled does not show on the account.
	// +optional
	Doubt string `json:"doubt,omitempty"`
	// Limit and Window are what the registry allows.
	Limit int64 `json:"limit"`
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="window must be a duration"
	Window metav1.Duration `json:"window,omitempty"`
	// Remaining by the last reading, which was sent at SentAt and metered Source.
	Remaining int64 `json:"remaining"`
	// +optional
	Source string `json:"source,omitempty"`
	// Sources are the identities that the readings of a window metered, where there
	// is more than one; Remaining is that of the emptiest. Give the nodes behind each
	// address a PullBudget with spec.egress.
	// +optional
	// +listType=atomic
	Sources []string `json:"sources,omitempty"`
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}(Z|[+-][0-9]{2}:[0-9]{2})$`
	SentAt *metav1.MicroTime `json:"sentAt,omitempty"`
	// Reserved for releases that no reading covers yet, UngatedDemand for pods that
	// were not held, Open of both for pulls not seen to end.
	Reserved      int64 `json:"reserved"`
	UngatedDemand int64 `json:"ungatedDemand"`
	// +optional
	Open int64 `json:"open,omitempty"`
	// ForeignPerHour is the pace of others, ForeignMargin what is kept for them,
	// ForeignTaken what of the last reading was gone and not ours.
	// +optional
	ForeignPerHour string `json:"foreignPerHour,omitempty"`
	// +optional
	ForeignMargin int64 `json:"foreignMargin,omitempty"`
	// +optional
	ForeignTaken int64 `json:"foreignTaken,omitempty"`
	// Available to each class now.
	// +optional
	// +listType=map
	// +listMapKey=class
	Available []ClassUnits `json:"available,omitempty"`
	// Held counts pods that wait for the account, Demand what they may cost.
	// +optional
	Held int32 `json:"held,omitempty"`
	// +optional
	Demand int64 `json:"demand,omitempty"`
	// ChargePerPull is what pulls were found to cost.
	// +optional
	// +listType=atomic
	ChargePerPull []ChargePerPull `json:"chargePerPull,omitempty"`
	// Spent is what was spent in the window, for limits that are counted here.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Spent []SpentBucket `json:"spent,omitempty"`
	// UsedBy is who spent it: the workloads of this cluster whose pulls took most of the
	// window, and in sum, without a name, those that are not listed.
	// +optional
	// +kubebuilder:validation:MaxItems=33
	// +listType=atomic
	UsedBy []UseStatus `json:"usedBy,omitempty"`
	// Breaker tells whether the account is paused.
	// +optional
	Breaker *BreakerStatus `json:"breaker,omitempty"`
	// Forecast is when what waits may have its units.
	// +optional
	Forecast *Forecast `json:"forecast,omitempty"`
	// Unlimited says that nothing is held for the account.
	// +optional
	Unlimited bool `json:"unlimited,omitempty"`
	// Opened says that a limit that was known has been missing for a window: pods go
	// without it, one at each refill of what was known.
	// +optional
	Opened bool `json:"opened,omitempty"`
	// ProbesChargedSince is since when the registry is known to charge for the HEAD of a
	// reading, so that it is not asked any more; absent: it is not.
	// +optional
	ProbesChargedSince *metav1.Time `json:"probesChargedSince,omitempty"`
	// Flow compares what is asked of the account with what it gives.
	// +optional
	Flow *FlowStatus `json:"flow,omitempty"`
}

// FlowStatus is what is asked of an account and what it gives.
type FlowStatus struct {
	// AskedPerHour and GivenPerHour are units, seen over the last Over.
	// +optional
	AskedPerHour string `json:"askedPerHour,omitempty"`
	// +optional
	GivenPerHour string `json:"givenPerHour,omitempty"`
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="over must be a duration"
	Over metav1.Duration `json:"over,omitempty"`
	// HopelessSince is since when more is asked than any wait can bring: nothing is
	// held for the account.
	// +optional
	HopelessSince *metav1.Time `json:"hopelessSince,omitempty"`
}

// ClassUnits is what one class may spend.
type ClassUnits struct {
	Class string `json:"class"`
	Units int64  `json:"units"`
}

// ChargePerPull is the mean charge of a pull through a host that asks for so many
// manifests.
type ChargePerPull struct {
	// Host is that of the images: the registry, or one of upstreamOf.
	// +optional
	Host      string `json:"host,omitempty"`
	Manifests int32  `json:"manifests"`
	Mean      string `json:"mean"`
	Samples   int32  `json:"samples"`
	// Batches is in how many batches it was seen, Most the charge of the dearest.
	// +optional
	Batches int32 `json:"batches,omitempty"`
	// +optional
	Most int64 `json:"most,omitempty"`
}

// SpentBucket is units spent in the bucket of time that ends at End.
type SpentBucket struct {
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}(Z|[+-][0-9]{2}:[0-9]{2})$`
	End   metav1.MicroTime `json:"end"`
	Units int64            `json:"units"`
}

// UseStatus is what the pulls for one workload took of the window.
type UseStatus struct {
	// Workload is "Kind/namespace/name"; empty: of all that are not listed.
	// +optional
	// +kubebuilder:validation:MaxLength=600
	Workload string `json:"workload,omitempty"`
	Units    int64  `json:"units"`
	// Last is the end of the bucket of time in which it spent last.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}(Z|[+-][0-9]{2}:[0-9]{2})$`
	Last metav1.MicroTime `json:"last"`
}

// BreakerStatus is why and until when an account is paused.
type BreakerStatus struct {
	// State is ok, paused or trying one.
	State string `json:"state"`
	// +optional
	Cause string `json:"cause,omitempty"`
	// Until is when it tries one at the soonest.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// Kept is what must survive a restart; absent while no pull failed.
	// +optional
	Kept *BreakerKept `json:"kept,omitempty"`
}

// BreakerKept is the breaker of an account as the next leader takes it over. A person's
// pause is not part of it.
type BreakerKept struct {
	// State is ok, paused or trying one.
	State string `json:"state"`
	// Class and Kind are of the failures that opened it, FailedPods of Pods how many
	// failed where a rate did.
	// +optional
	Class string `json:"class,omitempty"`
	// +optional
	Kind string `json:"kind,omitempty"`
	// +optional
	FailedPods int32 `json:"failedPods,omitempty"`
	// +optional
	Pods int32 `json:"pods,omitempty"`
	// Head says that it was not a pull that failed, but the HEAD of a reading.
	// +optional
	Head bool `json:"head,omitempty"`
	// Since is when it came into the state, Until when it tries one at the soonest.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}(Z|[+-][0-9]{2}:[0-9]{2})$`
	Since *metav1.MicroTime `json:"since,omitempty"`
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}(Z|[+-][0-9]{2}:[0-9]{2})$`
	Until *metav1.MicroTime `json:"until,omitempty"`
	// Opened counts how often it was opened, Failed the tries in a row that failed,
	// Passed the pulls in a row that succeeded since.
	// +optional
	Opened int32 `json:"opened,omitempty"`
	// +optional
	Failed int32 `json:"failed,omitempty"`
	// +optional
	Passed int32 `json:"passed,omitempty"`
}

// Forecast is a range of time.
type Forecast struct {
	From metav1.Time `json:"from"`
	To   metav1.Time `json:"to"`
}

// OverrideRecord is an order of a person and what became of it.
type OverrideRecord struct {
	At     metav1.Time `json:"at"`
	By     string      `json:"by"`
	Action string      `json:"action"`
	Object string      `json:"object"`
	Reason string      `json:"reason"`
}
