package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ShadowStatus is what a policy in mode Shadow would have done.
type ShadowStatus struct {
	// Since is when the counting began.
	Since metav1.Time `json:"since"`
	// What was counted since then.
	ShadowCounts `json:",inline"`
	// Hours are the last ones in which anything was counted, a day at most.
	// +optional
	// +kubebuilder:validation:MaxItems=25
	// +listType=atomic
	Hours []ShadowHour `json:"hours,omitempty"`
	// Workloads are those of which most pods would have been held, most first.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Workloads []ShadowWorkload `json:"workloads,omitempty"`
	// Holds are what would be held now, in the order of release; the first ten.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Holds []ShadowHold `json:"holds,omitempty"`
}

// ShadowCounts are what Shadow saw.
type ShadowCounts struct {
	// Pods would have been held: the first decision after they were seen left them.
	// +optional
	Pods int64 `json:"pods,omitempty"`
	// Rollouts are the revisions of workloads that they are of.
	// +optional
	Rollouts int64 `json:"rollouts,omitempty"`
	// HeldForNothing are those of the pods whose pulls were not charged: their images
	// were on the node when they came there, or are known to cost nothing.
	// +optional
	HeldForNothing int64 `json:"heldForNothing,omitempty"`
	// Throttled are answers of 429 to pods that the policy rules, as the pods showed them.
	// +optional
	Throttled int64 `json:"throttled,omitempty"`
	// Saved are those of them that met pods which would still have been held.
	// +optional
	Saved int64 `json:"saved,omitempty"`
	// Paged are pods that would have been held for 15 minutes, after which the usual
	// alert KubePodNotReady fires.
	// +optional
	Paged int64 `json:"paged,omitempty"`
	// LongestSeconds is the longest hold that would have been.
	// +optional
	LongestSeconds int64 `json:"longestSeconds,omitempty"`
	// LongestWorkload is whose it was, as Kind/namespace/name.
	// +optional
	LongestWorkload string `json:"longestWorkload,omitempty"`
}

// ShadowHour is what was counted in one hour.
type ShadowHour struct {
	// Start of the hour.
	Start metav1.Time `json:"start"`
	// What was counted in it.
	ShadowCounts `json:",inline"`
}

// ShadowWorkload is how many pods of a workload would have been held.
type ShadowWorkload struct {
	// Workload as Kind/namespace/name.
	Workload string `json:"workload"`
	Pods     int64  `json:"pods"`
}

// ShadowHold is pods of one workload that would be held now for one Reason.
type ShadowHold struct {
	// Workload as Kind/namespace/name.
	Workload string `json:"workload"`
	Pods     int64  `json:"pods"`
	// Reason of the closed list, and its numbers.
	Reason  string `json:"reason"`
	Message string `json:"message"`
	// Since is when the oldest of them was created.
	Since metav1.Time `json:"since"`
	// Expected is when the last of them would be let go, where it is known.
	// +optional
	Expected *Forecast `json:"expected,omitempty"`
}
