package controller

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
)

// usable says whether an object can be used.
func usable(kind, name string, w *world) metav1.Condition {
	for _, invalid := range w.invalid {
		if invalid.Kind == kind && invalid.Name == name {
			return metav1.Condition{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Invalid", Message: cut(invalid.Err.Error(), maxMessage)}
		}
	}
	return metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Valid", Message: "in use"}
}

// noneSlipped says whether the webhook saw every pod that a policy holds.
func noneSlipped(s v1alpha1.PacePolicyStatus) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionNoneSlipped, Status: metav1.ConditionTrue, Reason: "AllSeen",
		Message: "the webhook saw every living pod that the policy would hold"}
	if s.Slipped > 0 {
		c.Status, c.Reason = metav1.ConditionFalse, "Slipped"
		c.Message = cut(fmt.Sprintf("the webhook never saw %s that the policy would hold: they started as if Pace were not there, and are counted as demand that was not held; the newest: %s",
			plural(int(s.Slipped), "living pod"), strings.Join(s.NewestSlipped, ", ")), maxMessage)
	}
	return c
}

// nodesHeld says whether the new nodes that a policy is to hold can be held; false: it
// is to hold none.
func nodesHeld(policy *v1alpha1.PacePolicy, w *world, rights *nodeRights) (metav1.Condition, bool) {
	c := metav1.Condition{Type: v1alpha1.ConditionNodesHeld, Status: metav1.ConditionFalse}
	if _, holds := policy.Spec.HoldsNodes(); !holds {
		return c, false
	}
	ruling, undeclared := w.tracker.NodePolicy(), w.tracker.Undeclared()
	switch {
	case ruling != policy.Name && ruling != "":
		c.Reason, c.Message = "OlderRules", fmt.Sprintf("PacePolicy %q is older and says how nodes are held", ruling)
	case rights != nil && !rights.may:
		c.Reason, c.Message = "Forbidden", "no node is held: "+cmp.Or(rights.why, "it is not known yet whether nodes may be patched")
	case len(undeclared) > 0:
		c.Reason = "TaintNotDeclared"
		c.Message = cut(fmt.Sprintf("nodes of NodePool %s are never held, only pods: startupTaints do not name %s:NoSchedule, and Karpenter would make another node for each that is held",
			strings.Join(undeclared[:min(len(undeclared), maxNamed)], ", "), v1alpha1.Taint), maxMessage)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, "Holding", "new nodes are held while what they pull is not within the budget"
	}
	return c, true
}

// ownImageApart says whether this program's own image comes from elsewhere than the
// account that the budget paces. Its pods are never held, but they would draw on what
// is kept for others, and could not start when that is used up.
func ownImageApart(budget string, w *world) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionOwnImageApart, Status: metav1.ConditionTrue, Reason: "Apart",
		Message: "Pace's own image is not drawn from here"}
	if image := w.pacesOwnImage(budget); image != "" {
		c.Status, c.Reason = metav1.ConditionFalse, "PacesOwnImage"
		c.Message = fmt.Sprintf("Pace itself runs %s, which is drawn from here: its pods are never held, but use what is kept for others and cannot start when that is used up; install it with --image-registry from elsewhere", image)
	}
	return c
}

// maxMessage bounds the message of a condition; the API allows 32768 bytes.
const maxMessage = 1024

// overlapped says that an older policy rules pods that this one selects.
func overlapped(older string) metav1.Condition {
	return metav1.Condition{Type: "Overlapped", Status: metav1.ConditionTrue, Reason: "OlderRules",
		Message: fmt.Sprintf("PacePolicy %q is older and rules pods that this one selects too: narrow one of them", older)}
}

// reading says whether what the registry says can be relied on: the worst of the
// accounts decides, and that pods carry the login that the budget is for.
func reading(accounts []v1alpha1.AccountStatus, budget *v1alpha1.PullBudget, anonymous []kube.Owner) metav1.Condition {
	if len(anonymous) > 0 {
		return metav1.Condition{Type: "Reading", Status: metav1.ConditionFalse, Reason: string(core.IdentityMismatch),
			Message: cut(anonymously+noSecret(budget, anonymous), maxMessage)}
	}
	if budget.Spec.Limit != nil && budget.Spec.Limit.Source == v1alpha1.Fixed {
		return metav1.Condition{Type: "Reading", Status: metav1.ConditionTrue, Reason: "Fixed", Message: "the limit is declared"}
	}
	worst := metav1.Condition{Type: "Reading", Status: metav1.ConditionUnknown, Reason: string(core.WaitingForReading), Message: "nothing read yet"}
	rank := 0
	for _, a := range accounts {
		c, r := gradeCondition(a, budget)
		if r >= rank {
			worst, rank = c, r
		}
	}
	return worst
}

// gradeCondition is the condition of one account and how bad it is.
func gradeCondition(a v1alpha1.AccountStatus, budget *v1alpha1.PullBudget) (metav1.Condition, int) {
	c := metav1.Condition{Type: "Reading"}
	switch grade := quota.Grade(a.Grade); {
	case a.Doubt != "" || grade == quota.GradeMismatch:
		c.Status, c.Reason = metav1.ConditionFalse, string(core.IdentityMismatch)
		c.Message = a.Account + ": " + doubt(a, budget)
		return c, 4
	case a.ProbesChargedSince != nil:
		c.Status, c.Reason = metav1.ConditionFalse, probesCharged
		c.Message = a.Account + ": " + charged(a)
		return c, 3
	case grade == quota.GradeOK:
		c.Status, c.Reason = metav1.ConditionTrue, "OK"
		c.Message = fmt.Sprintf("%s allows %d per %s", a.Account, a.Limit, a.Window.Duration)
		return c, 1
	case grade == quota.GradeNever:
		c.Status, c.Reason = metav1.ConditionTrue, "NoLimit"
		c.Message = a.Account + " sends no limit: unlimited for what can be known"
		return c, 1
	case grade == quota.GradeLost || grade == quota.GradeStale:
		c.Status, c.Reason = metav1.ConditionFalse, string(core.ReadingLost)
		c.Message = a.Account + ": " + lost(a)
		if grade == quota.GradeStale && strings.Contains(a.Account, "@") {
			c.Message += "; it is asked from its egress group: look at the pods pacer-probe in " + v1alpha1.Namespace
		}
		return c, 3
	}
	c.Status, c.Reason = metav1.ConditionUnknown, string(core.WaitingForReading)
	c.Message = a.Account + ": nothing read yet"
	return c, 2
}

// anonymously begins what is said of pulls that go out without their login.
const anonymously = "pulls go out anonymously: "

// noSecret names the workloads whose pods carry no pull secret of a budget.
func noSecret(budget *v1alpha1.PullBudget, owners []kube.Owner) string {
	names := make([]string, 0, maxNamed)
	for _, o := range owners[:min(len(owners), maxNamed)] {
		names = append(names, o.String())
	}
	text := strings.Join(names, ", ")
	if more := len(owners) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	secrets := "no pull secret"
	if m := budget.Spec.Match; m != nil && len(m.PullSecretNames) > 0 {
		secrets = "none of the pull secrets " + strings.Join(m.PullSecretNames, ", ")
	}
	return fmt.Sprintf("pods of %s carry %s, nor does their ServiceAccount", text, secrets)
}

// maxNamed bounds the workloads that a condition names.
const maxNamed = 5

// doubt says why readings may not be of what our pulls are charged to, and what
// follows.
func doubt(a v1alpha1.AccountStatus, budget *v1alpha1.PullBudget) string {
	login := budget.Spec.Identity == v1alpha1.Credentials
	var why string
	switch {
	case quota.Doubt(a.Doubt) == quota.DoubtSource:
		why = fmt.Sprintf("the registry takes Pace for anonymous (%s): it refuses or ignores the login of the Secret in %s", a.Source, v1alpha1.Namespace)
	case quota.Doubt(a.Doubt) == quota.DoubtUnseen && login:
		why = anonymously + "what was pulled does not show on the account; the login of the pull secrets is refused or not used. If a mirror answers, name it in spec.mirrors"
	case quota.Doubt(a.Doubt) == quota.DoubtUnseen:
		why = "what was pulled does not show on the account: the nodes leave through another address than the controller, or a mirror answers; name it in spec.mirrors, or say spec.egress"
	default:
		why = text(core.IdentityMismatch)
	}
	if a.Unlimited {
		why += "; nothing is held for it"
	}
	return why
}

// lost says what is done about a limit that cannot be read any more.
func lost(a v1alpha1.AccountStatus) string {
	why := "the registry stopped telling its limit"
	if quota.Grade(a.Grade) == quota.GradeStale {
		why = "the registry does not answer; check that the controller reaches it"
	}
	switch {
	case a.Unlimited:
		return why + "; nothing is held for it"
	case a.Opened:
		return why + "; it cannot be known any more, and pods are let go, one at each refill of the last limit"
	}
	return why + "; the last limit is counted here for a window, and for 10 minutes at least"
}

// probesCharged is the Reason of a limit that is not read because reading it costs.
const probesCharged = "ProbesCharged"

// charged says what is done about a registry that charges for what should be free.
func charged(a v1alpha1.AccountStatus) string {
	then := "the last limit is counted here for a window, and for 10 minutes at least"
	if a.Opened {
		then = "pods are let go, one at each refill of the last limit"
	}
	return "every HEAD that asked what is left took units of it, so that nobody asks any more: declare what the registry allows in spec.limit with source Fixed; until then " + then
}

// flowing says whether pulls may go on as far as the budget has units; where they may
// not, why, until when and what comes then.
func flowing(accounts []v1alpha1.AccountStatus) metav1.Condition {
	for _, a := range accounts {
		b := a.Breaker
		if b == nil || b.State == "ok" {
			continue
		}
		reason, message := core.BreakerOpen, b.State+": "+cmp.Or(b.Cause, text(core.BreakerOpen))
		switch {
		case b.Cause == string(core.Paused):
			reason, message = core.Paused, text(core.Paused)
		case b.Until != nil:
			message += "; tried again at " + b.Until.UTC().Format(time.RFC3339) + " at the soonest"
		}
		return metav1.Condition{Type: "Flowing", Status: metav1.ConditionFalse, Reason: string(reason), Message: cut(a.Account+": "+message, maxMessage)}
	}
	return metav1.Condition{Type: "Flowing", Status: metav1.ConditionTrue, Reason: "OK", Message: "pods go as the budget allows"}
}

// sufficient says whether the account gives what is asked of it.
func sufficient(accounts []v1alpha1.AccountStatus) metav1.Condition {
	for _, a := range accounts {
		if f := a.Flow; f != nil && f.HopelessSince != nil {
			return metav1.Condition{Type: "Sufficient", Status: metav1.ConditionFalse, Reason: string(core.Hopeless),
				Message: fmt.Sprintf("%s: %s, so that no queue drains: nothing is held for it until less is asked", a.Account, flow(f))}
		}
	}
	return metav1.Condition{Type: "Sufficient", Status: metav1.ConditionTrue, Reason: "OK", Message: "what is asked for drains"}
}

// flow says what is asked and given.
func flow(f *v1alpha1.FlowStatus) string {
	if f.Over.Duration <= 0 {
		return "more was asked than given before this controller started"
	}
	return fmt.Sprintf("%s units an hour are asked and %s given over the last %s", f.AskedPerHour, f.GivenPerHour, f.Over.Duration)
}
