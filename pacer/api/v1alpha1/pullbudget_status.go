package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
