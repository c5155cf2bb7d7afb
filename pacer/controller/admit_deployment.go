package controller

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// admitDeploymentsPath is where Deployments are admitted.
const admitDeploymentsPath = "/mutate-deployments"

// deploymentAdmitter makes a Deployment whose new pods may be held keep its old ones
// meanwhile, by the very write that changes its template, and keeps that up over
// later writes. The turn puts the fields back. It reads caches only and leaves a
// Deployment as it is whenever it is in doubt. It is safe for concurrent use.
type deploymentAdmitter struct {
	*admitter
	// own begins the names of Pace's own accounts.
	own string
}

// ownAccounts begins the names of the service accounts of a namespace.
func ownAccounts(namespace string) string { return "system:serviceaccount:" + namespace + ":" }

// Handle implements admission.Handler. A dry run is answered as a real one, so that
// tools which compare the two see no difference.
func (a *deploymentAdmitter) Handle(ctx context.Context, req admission.Request) admission.Response {
	var next appsv1.Deployment
	if err := a.decoder.Decode(req, &next); err != nil {
		log.FromContext(ctx).Error(err, "deployment not understood, let through")
		return admission.Allowed("")
	}
	if next.Namespace == "" {
		next.Namespace = req.Namespace
	}
	sent := next.DeepCopy()
	var warnings []string
	if strings.HasPrefix(req.UserInfo.Username, a.own) {
		// What we ask for is done here and not in our patch: a field that admission
		// sets stays the property of whoever wrote it.
		gate.Follow(&next)
	} else {
		old, err := a.before(req)
		if err != nil {
			log.FromContext(ctx).Error(err, "deployment not understood, let through")
			return admission.Allowed("")
		}
		warnings = a.admit(ctx, old, &next)
	}
	return admission.Patched("", deploymentPatch(sent, &next)...).WithWarnings(warnings...)
}

// before is the Deployment that is written over; nil: it is being created.
func (a *deploymentAdmitter) before(req admission.Request) (*appsv1.Deployment, error) {
	if len(req.OldObject.Raw) == 0 {
		return nil, nil
	}
	var old appsv1.Deployment
	if err := a.decoder.DecodeRaw(req.OldObject, &old); err != nil {
		return nil, fmt.Errorf("reading what was there: %w", err)
	}
	return &old, nil
}

// admit changes next, which somebody writes over old, and returns what that person
// should know.
func (a *deploymentAdmitter) admit(ctx context.Context, old, next *appsv1.Deployment) (warnings []string) {
	var was gate.Saved
	imposed := false
	if old != nil {
		was, imposed = gate.SavedOf(old)
		if text, marked := old.Annotations[v1alpha1.AnnotationSaved]; marked && !imposed {
			keepJunk(next, text) // the turn heals it, and says so
			return nil
		}
	}
	pausedUntil := stillPaused(old, next)
	gate.AsWished(old, next)
	strategy, deadline := was.Strategy(), was.Deadline
	if old == nil || !kube.SameTemplate(old, &next.Spec.Template) {
		verdict := a.judgeRollout(ctx, next)
		if verdict.Reason == core.Recreate {
			warnings = append(warnings, fmt.Sprintf("pace: deployment %s has strategy Recreate: all its pods are deleted first, so that the new ones are not held and may be refused by the registry", next.Name))
		}
		if verdict.Hold && a.beating() && !a.goesBack(ctx, next) {
			imposed, strategy, deadline = true, true, nil
			if verdict.Pause && old != nil && !next.Spec.Paused {
				strategy, pausedUntil = false, cmp.Or(pausedUntil, a.clock.Now().Add(verdict.MaxHold))
			}
		}
	}
	// Fields that the API server would refuse are left for it to refuse.
	if imposed && next.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType && gate.Possible(next) {
		gate.Impose(next, strategy, deadline)
		if !pausedUntil.IsZero() {
			gate.Pause(next, pausedUntil)
		}
	}
	return warnings
}

// stillPaused is until when we keep a rollout from starting, also after next; zero: we
// do not. A write that does nothing but resume it is a person's.
func stillPaused(old, next *appsv1.Deployment) time.Time {
	if old == nil || !old.Spec.Paused {
		return time.Time{}
	}
	if was, ok := gate.SavedOf(old); !ok || was.Paused == nil {
		return time.Time{}
	}
	resumed := old.DeepCopy()
	resumed.Spec.Paused = false
	if apiequality.Semantic.DeepEqual(resumed.Spec, next.Spec) {
		return time.Time{}
	}
	return gate.HoldUntil(old)
}

// keepJunk keeps what a Deployment had of our marks and nobody can read.
func keepJunk(d *appsv1.Deployment, text string) {
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[v1alpha1.AnnotationSaved] = text
}

// judgeRollout says whether pods of a Deployment would be held.
func (a *deploymentAdmitter) judgeRollout(ctx context.Context, d *appsv1.Deployment) kube.Verdict {
	rules := a.rules.Load()
	var namespace corev1.Namespace
	if rules == nil || a.reader.Get(ctx, client.ObjectKey{Name: d.Namespace}, &namespace) != nil {
		return kube.Verdict{Reason: core.NotOptedIn}
	}
	return rules.JudgeRollout(d, &namespace)
}

// goesBack reports whether a Deployment goes back to a template that it had before:
// a rollback is not held.
func (a *deploymentAdmitter) goesBack(ctx context.Context, d *appsv1.Deployment) bool {
	var sets appsv1.ReplicaSetList
	if d.UID == "" || a.reader.List(ctx, &sets, client.InNamespace(d.Namespace), client.UnsafeDisableDeepCopy) != nil {
		return false
	}
	return slices.ContainsFunc(sets.Items, func(rs appsv1.ReplicaSet) bool {
		owner := metav1.GetControllerOf(&rs)
		return owner != nil && owner.UID == d.UID && kube.SameTemplate(d, &rs.Spec.Template)
	})
}

// deploymentPatch is what admission changed. It names that and nothing else, so that
// fields which this program does not know are left as they are.
func deploymentPatch(before, after *appsv1.Deployment) []jsonpatch.Operation {
	ops := changeKeys("/metadata/annotations", before.Annotations, after.Annotations)
	ops = append(ops, changeKeys("/metadata/labels", before.Labels, after.Labels)...)
	set := func(path string, before, after any) {
		if !apiequality.Semantic.DeepEqual(before, after) {
			ops = append(ops, jsonpatch.NewOperation("add", path, after))
		}
	}
	set("/spec/progressDeadlineSeconds", before.Spec.ProgressDeadlineSeconds, after.Spec.ProgressDeadlineSeconds)
	set("/spec/paused", before.Spec.Paused, after.Spec.Paused)
	was, is := before.Spec.Strategy.RollingUpdate, after.Spec.Strategy.RollingUpdate
	switch {
	case is == nil:
	case was == nil:
		set("/spec/strategy/rollingUpdate", was, is)
	default:
		set("/spec/strategy/rollingUpdate/maxUnavailable", was.MaxUnavailable, is.MaxUnavailable)
		set("/spec/strategy/rollingUpdate/maxSurge", was.MaxSurge, is.MaxSurge)
	}
	return ops
}

// changeKeys makes of before what after is, sorted.
func changeKeys(path string, before, after map[string]string) []jsonpatch.Operation {
	var ops []jsonpatch.Operation
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[key]; !stays {
			ops = append(ops, jsonpatch.NewOperation("remove", path+"/"+pointer(key), nil))
		}
	}
	if len(after) == 0 {
		return ops
	}
	return append(ops, addKeys(path, before, after)...)
}
