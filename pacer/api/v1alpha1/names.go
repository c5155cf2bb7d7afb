package v1alpha1

// The names that Pace puts on objects in a cluster. They are API.
const (
	// Group and Version of PullBudget and PacePolicy.
	Group   = "pullpace.dev"
	Version = "v1alpha1"

	// Namespace is where Pace runs.
	Namespace = "pullpace-system"
	// FieldManager owns every field that Pace writes.
	FieldManager = "pullpace"
	// Heartbeat is the Lease that is renewed after every completed turn.
	Heartbeat = "pullpace-turn"
	// FailsafeHeartbeat is the Lease that the failsafe renews while it watches.
	FailsafeHeartbeat = "pullpace-failsafe"

	// Gate is the scheduling gate of a held pod.
	Gate = "pullpace.dev/budget"
	// Taint is the key of the taint of a held node; its effect is NoSchedule.
	Taint = "pullpace.dev/held"

	// LabelPace with value LabelPaceEnabled on a namespace opts it in.
	LabelPace        = "pullpace.dev/pace"
	LabelPaceEnabled = "enabled"
	// LabelPaceProof is the value on our own namespace: only dry runs of it are
	// shown to the webhook, and none of its pods is ever held.
	LabelPaceProof = "proof"
	// AnnotationPace with value AnnotationPaceOff on a namespace switches it off.
	AnnotationPace    = "pullpace.dev/pace"
	AnnotationPaceOff = "off"
	// LabelHeld is on every object that is held, so that a person can find and
	// free them all without Pace. Its value is "true".
	LabelHeld = "pullpace.dev/held"

	// AnnotationSeen says that the webhook saw the pod.
	AnnotationSeen = "pullpace.dev/seen"
	// AnnotationHoldUntil bounds a hold, RFC 3339.
	AnnotationHoldUntil = "pullpace.dev/hold-until"
	// AnnotationHoldReason says on a held Job why it waits, "Reason: words"; pods have
	// ConditionHeld for that, nodes ConditionPullBudgetGranted.
	AnnotationHoldReason = "pullpace.dev/hold-reason"
	// AnnotationRelease is the release mark, a ReleaseMark in JSON.
	AnnotationRelease = "pullpace.dev/release"
	// AnnotationSaved holds fields to restore.
	AnnotationSaved = "pullpace.dev/saved"
	// AnnotationQuote is the price that a dry run is answered with.
	AnnotationQuote = "pullpace.dev/quote"
	// AnnotationVersion is the version of the controller that completed the last
	// turn, on the heartbeat.
	AnnotationVersion = "pullpace.dev/version"
	// AnnotationProof with value AskProof on the dry run of a pod asks whether it
	// would be gated; the webhook answers with ProofGated, or with why not.
	AnnotationProof = "pullpace.dev/proof"
	AskProof        = "ask"
	ProofGated      = "gated"
	// AnnotationDisruption on a NodePool says since when Pace keeps Karpenter from
	// replacing its nodes, RFC 3339.
	AnnotationDisruption = "pullpace.dev/disruption-paused"
	// AnnotationWave names the wave of a release.
	AnnotationWave = "pullpace.dev/wave"
	// AnnotationPaused is a person's pause of a PullBudget or workload, an Order.
	AnnotationPaused = "pullpace.dev/paused"
	// AnnotationResumed is the end of the last pause, an Order.
	AnnotationResumed = "pullpace.dev/resumed"
	// AnnotationOverride is a person's release of a pod or workload, an Order.
	AnnotationOverride = "pullpace.dev/override"

	// ConditionHeld is the pod condition that explains a hold.
	ConditionHeld = "pullpace.dev/Held"
	// ConditionPullBudgetGranted is the node condition that says whether Pace has let the
	// node go: on every node while a policy holds nodes.
	ConditionPullBudgetGranted = "pullpace.dev/PullBudgetGranted"
	// ConditionNodesHeld of a PacePolicy says whether the new nodes that it is to hold
	// can be held.
	ConditionNodesHeld = "NodesHeld"
	// ConditionGateActive of a PacePolicy says whether the dry run of a pod came back
	// gated, ConditionNoneSlipped whether the webhook saw every pod that the policy
	// holds.
	ConditionGateActive  = "GateActive"
	ConditionNoneSlipped = "NoneSlipped"
	// ConditionOwnImageApart of a PullBudget says whether Pace's own image comes from
	// elsewhere.
	ConditionOwnImageApart = "OwnImageApart"
	// WebhookPort is where the controller answers admission.
	WebhookPort = 10250
	// TracePort is where the controller serves the calls of its engine, on the loopback
	// address of its pod, if it keeps them.
	TracePort = 8082
)
