package core

import "slices"

// Reason says why a pod, step or node is held, was released or is not held. The
// list is closed: conditions, Events, metric labels, CLI text and the reference
// page derive from it.
type Reason string

// Answer is what a Reason explains.
type Answer string

// The three answers.
const (
	Held     Answer = "Held"
	Released Answer = "Released"
	NotHeld  Answer = "NotHeld"
)

// Reasons of a hold.
const (
	WaitingForBudget  Reason = "WaitingForBudget"
	WaitingForReading Reason = "WaitingForReading"
	ReadingLost       Reason = "ReadingLost"
	IdentityMismatch  Reason = "IdentityMismatch"
	BreakerOpen       Reason = "BreakerOpen"
	Canary            Reason = "Canary"
	WaveFull          Reason = "WaveFull"
	Reserve           Reason = "Reserve"
	NodeHeld          Reason = "NodeHeld"
	ImageFailing      Reason = "ImageFailing"
	Paused            Reason = "Paused"
	ForeignGate       Reason = "ForeignGate"
	ReleaseRefused    Reason = "ReleaseRefused"
	Unverified        Reason = "Unverified"
	NotLeader         Reason = "NotLeader"
)

// Reasons of a release.
const (
	Warm        Reason = "Warm"
	Budget      Reason = "Budget"
	Repair      Reason = "Repair"
	Rollback    Reason = "Rollback"
	Override    Reason = "Override"
	HoldExpired Reason = "HoldExpired"
	FailOpen    Reason = "FailOpen"
	Failsafe    Reason = "Failsafe"
)

// Reasons for not holding at all.
const (
	Shadow     Reason = "Shadow"
	NoBudget   Reason = "NoBudget"
	NotOptedIn Reason = "NotOptedIn"
	Recreate   Reason = "Recreate"
	Excluded   Reason = "Excluded"
	Hopeless   Reason = "Hopeless"
)

// ReasonInfo documents one Reason.
type ReasonInfo struct {
	Reason Reason
	Answer Answer
	// Text completes "held because ...", "released because ..." or "not held
	// because ..." for a person.
	Text string
	// Remedy says what a person can do about it; empty where there is nothing to do.
	Remedy string
}

// reasons is the one list, in the order of the reference page.
var reasons = []ReasonInfo{
	{WaitingForBudget, Held, "the account has fewer free units than the pod may cost", "wait for the refill, authenticate, use a mirror, or `kubectl pace release --reason`"},
	{WaitingForReading, Held, "no reading of the account is recent enough to decide on", "check that the controller reaches the registry: `kubectl pace budget`"},
	{ReadingLost, Held, "the registry stopped telling its limit; the last limit is kept as a local log for one window", "check `kubectl pace budget`; set limit.source Fixed if the registry sends no headers"},
	{IdentityMismatch, Held, "the readings belong to another identity than the pulls", "fix identity, credentials or egress of the PullBudget"},
	{BreakerOpen, Held, "failing pulls have paused the account: a 429, or too many that failed alike", "wait, it is tried again by itself: `kubectl pace budget` says when; `kubectl pace resume budget/NAME --reason` goes on at once"},
	{Canary, Held, "the first nodes of this revision have not all pulled it yet", "wait for the canary, or look at its pods"},
	{WaveFull, Held, "as many nodes as the policy allows are pulling", "wait for the wave, or raise waves.size"},
	{Reserve, Held, "what is left is kept for serving pods, repairs and rollbacks", "wait for the refill, or lower reserve.percent"},
	{NodeHeld, Held, "a held node goes first", "wait for the node"},
	{ImageFailing, Held, "an image of this revision cannot be pulled for a reason that waiting does not cure", "fix the image or its credentials; the workload resumes by itself, or at once by `kubectl pace resume --reason`"},
	{Paused, Held, "a person paused it", "`kubectl pace resume --reason`"},
	{ForeignGate, Held, "another owner's scheduling gate is on the pod", "the other owner must take its gate off"},
	{ReleaseRefused, Held, "the API server refused the release", "read the refusal: often a policy engine denies the patch"},
	{Unverified, Held, "the caller of the gate endpoint could not be verified", "call from a running AnalysisRun that names this rollout"},
	{NotLeader, Held, "this replica does not lead; ask again", ""},
	{Warm, Released, "every node it may use has its images", ""},
	{Budget, Released, "the account has the units", ""},
	{Repair, Released, "it replaces a pod that was serving", ""},
	{Rollback, Released, "it goes back to an earlier revision", ""},
	{Override, Released, "a person asked for it", ""},
	{HoldExpired, Released, "its hold-until passed", ""},
	{FailOpen, Released, "the limit cannot be known any more", "see the conditions of the PullBudget"},
	{Failsafe, Released, "the controller was gone and the failsafe let go", "see the pods in pullpace-system"},
	{Shadow, NotHeld, "the policy only watches", "set mode Enforce"},
	{NoBudget, NotHeld, "no PullBudget matches its images", "`kubectl pace budget` shows what is paced"},
	{NotOptedIn, NotHeld, "its namespace is not opted in", "label the namespace pullpace.dev/pace=enabled"},
	{Recreate, NotHeld, "its Deployment deletes all pods first", "use strategy RollingUpdate"},
	{Excluded, NotHeld, "system pods, bound pods, mirror pods and other owners' pods are never held", ""},
	{Hopeless, NotHeld, "it asks for more than the account ever allows, or allows before its hold must end, so that waiting cannot help", "authenticate, mirror, or pin images"},
}

// Reasons returns the closed list in the order of the reference page.
func Reasons() []ReasonInfo { return slices.Clone(reasons) }

// Info returns the documentation of r, false for a Reason outside the list.
func (r Reason) Info() (ReasonInfo, bool) {
	i := slices.IndexFunc(reasons, func(info ReasonInfo) bool { return info.Reason == r })
	if i < 0 {
		return ReasonInfo{}, false
	}
	return reasons[i], true
}
