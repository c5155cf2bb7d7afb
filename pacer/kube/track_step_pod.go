package kube

import (
	"fmt"
	"maps"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/plan"
)

// setStepPods brings the pods that stand for those of a step up to date: as many as
// the step opens, less those that are there. Where all of them are to be, those that
// were there before are looked at again.
func (t *Tracker) setStepPods(now time.Time, c *trackedStep, all bool) {
	known := t.steps.rollouts[c.step.owner()]
	pods, _, _ := known.Opens(c.step.Index)
	had, want := c.standIns, plan.StandIns(pods, t.livePods(c.step))
	c.standIns = want
	if had != want {
		c.heard = now
	}
	for i := range max(had, want) {
		id := c.podID(i)
		if i >= want {
			t.podGone(id)
			continue
		}
		if all || i >= had {
			t.steps.pods[id] = c.step
			t.pod(now, t.stepPod(known, c, i))
		}
	}
}

// setOfStep is the ReplicaSet of a step's pods.
func setOfStep(s Step) Owner {
	return Owner{Kind: "ReplicaSet", Namespace: s.Namespace, Name: s.Rollout + "-" + s.Hash}
}

func (t *Tracker) livePods(s Step) int {
	if r := t.sets[setOfStep(s)]; r != nil {
		return r.live
	}
	return 0
}

// stepGone is when the step was let go that a pod is of; zero: it is of none that was.
func (t *Tracker) stepGone(p *trackedPod) time.Time {
	for _, c := range t.claimsOf(p.owner) {
		// Objects tell their times in whole seconds.
		if !c.released.IsZero() && setOfStep(c.step) == p.set && !p.object.CreationTimestamp.Time.Before(c.released.Truncate(time.Second)) {
			return c.released
		}
	}
	return time.Time{}
}

// stands reports whether a pod stands for one that a step is still to make.
func (t *Tracker) stands(id core.PodID) bool {
	_, is := t.steps.pods[id]
	return is
}

func (c *trackedStep) podName(i int) string {
	return fmt.Sprintf("%s-%s-step-%s-%d", c.step.Rollout, c.step.Hash, c.step.Index, i)
}

func (c *trackedStep) podUID(i int) types.UID {
	return types.UID(fmt.Sprintf("%s/%s/%s/%d", c.step.UID, c.step.Hash, c.step.Index, i))
}

func (c *trackedStep) podID(i int) core.PodID {
	return core.PodID(c.step.Namespace + "/" + c.podName(i) + "/" + string(c.podUID(i)))
}

// stepPod is pod number i of those that passing the gate at a step brings about, as
// far as it can be told: held while the step is; let go, and on its way, afterwards.
func (t *Tracker) stepPod(known *trackedRollout, c *trackedStep, i int) *corev1.Pod {
	template := &known.Template
	if r := t.sets[setOfStep(c.step)]; r != nil && r.template != nil {
		template = r.template // it is whole where the Rollout only names a Deployment
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.step.Namespace, Name: c.podName(i), UID: c.podUID(i),
			Labels: map[string]string{}, CreationTimestamp: metav1.NewTime(c.since), Annotations: map[string]string{},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "ReplicaSet", Name: setOfStep(c.step).Name, Controller: new(true)}},
		},
		Spec: template.Spec,
	}
	maps.Copy(p.Labels, template.Labels)
	p.Labels[rolloutHashLabel] = c.step.Hash
	if p.Spec.ServiceAccountName == "" {
		p.Spec.ServiceAccountName = "default"
	}
	p.Spec.SchedulingGates = nil
	if c.released.IsZero() {
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.Gate}}
		if !c.until.IsZero() {
			p.Annotations[v1alpha1.AnnotationHoldUntil] = c.until.UTC().Format(time.RFC3339)
		}
		return p
	}
	p.Annotations[v1alpha1.AnnotationRelease] = c.mark.String()
	if c.idle {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}
	}
	return p
}

// stepLane tells what the pods of a step are for: never to replace one that served,
// whatever the counts say.
func (t *Tracker) stepLane(p *trackedPod) engine.Lane {
	r := t.sets[p.set]
	if r == nil {
		return engine.LaneNormal
	}
	return t.workloads[p.owner].laneOf(r, math.MaxInt)
}
