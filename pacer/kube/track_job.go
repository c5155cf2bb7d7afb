package kube

import (
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// trackedJob is what is remembered of a Job.
type trackedJob struct {
	object *batchv1.Job
	// made counts the pods of it that were seen, standIns those that stand for pods
	// to come.
	made, standIns int
}

// jobKind is the kind of Jobs in an Owner.
const jobKind = "Job"

func jobOwner(namespace, name string) Owner {
	return Owner{Kind: jobKind, Namespace: namespace, Name: name}
}

// Job takes in a Job. now is when it was seen.
func (t *Tracker) Job(now time.Time, j *batchv1.Job) []engine.Event {
	owner := jobOwner(j.Namespace, j.Name)
	known := t.jobs[owner]
	if known != nil && known.object.UID != j.UID {
		t.forgetJob(owner, known)
		known = nil
	}
	if known == nil {
		known = &trackedJob{}
		t.jobs[owner] = known
	}
	known.object = j
	if gate.Resumed(j) {
		t.resumed[owner] = true
	} else {
		delete(t.resumed, owner)
	}
	t.setStandIns(now, owner, known)
	// What was seen of its pods before: whether they go together, and whether we
	// let them go, is what the Job says.
	for _, id := range t.podsOf(owner) {
		t.translate(t.pods[id])
	}
	t.noteOrders(owner, j)
	return t.take()
}

// podsOf are the pods of a workload, sorted.
func (t *Tracker) podsOf(owner Owner) []core.PodID {
	var ids []core.PodID
	for group := range t.byOwner[owner] {
		ids = slices.AppendSeq(ids, maps.Keys(t.groups[group].pods))
	}
	slices.Sort(ids)
	return ids
}

// JobGone takes in the end of a Job; its pods tell of their own end.
func (t *Tracker) JobGone(namespace, name string) []engine.Event {
	owner := jobOwner(namespace, name)
	if known := t.jobs[owner]; known != nil {
		t.forgetJob(owner, known)
	}
	return t.take()
}

func (t *Tracker) forgetJob(owner Owner, known *trackedJob) {
	for i := range known.standIns {
		t.podGone(PodID(standIn(known.object, i)))
	}
	delete(t.jobs, owner)
	delete(t.resumed, owner)
	delete(t.workloads, owner)
}

// setStandIns brings the pods that stand for those to come up to date.
func (t *Tracker) setStandIns(now time.Time, owner Owner, known *trackedJob) {
	had, want := known.standIns, known.missing()
	known.standIns = want
	for i := range max(had, want) {
		p := standIn(known.object, i)
		if i < want {
			t.standIns[PodID(p)] = owner
			t.pod(now, p)
		} else {
			t.podGone(PodID(p))
		}
	}
}

// missing is how many pods a Job that we hold or let go is still to make. Only pods
// that were seen take the place of others, so that what we let go is at no time
// forgotten.
func (k *trackedJob) missing() int {
	j := k.object
	switch {
	case ended(j):
		return 0
	case gate.Suspended(j):
		return JobPods(j)
	case j.Spec.Suspend != nil && *j.Spec.Suspend, gate.JobReleasedAt(j).IsZero(), j.Status.Succeeded+j.Status.Failed > 0:
		return 0
	}
	return max(0, JobPods(j)-k.made)
}

// noteMade counts a pod that a Job made and takes a stand-in away for it.
func (t *Tracker) noteMade(now time.Time, p *trackedPod) {
	known := t.jobs[p.owner]
	if known == nil || t.standIns[PodID(p.object)] != (Owner{}) || !metav1.IsControlledBy(p.object, known.object) {
		return
	}
	known.made++
	t.setStandIns(now, p.owner, known)
}

// releasedAt is when we let a pod go, itself or with its Job or step.
func (t *Tracker) releasedAt(p *trackedPod) time.Time {
	if at := gate.ReleasedAt(p.object); !at.IsZero() {
		return at
	}
	if !p.stepGone.IsZero() {
		return p.stepGone
	}
	known := t.jobs[p.owner]
	if known == nil || gate.Gated(p.object) || !metav1.IsControlledBy(p.object, known.object) {
		return time.Time{}
	}
	return gate.JobReleasedAt(known.object)
}

// whole reports whether the pods of a workload go together or not at all.
func (t *Tracker) whole(owner Owner) bool {
	known := t.jobs[owner]
	return owner.Kind == RolloutKind || known != nil && HasDeadline(known.object)
}

// noteOrders takes in what people ordered for a Job.
func (t *Tracker) noteOrders(owner Owner, j *batchv1.Job) {
	paused, override := j.Annotations[v1alpha1.AnnotationPaused] != "", j.Annotations[v1alpha1.AnnotationOverride]
	if t.workloads[owner] == nil && !paused && override == "" {
		return
	}
	w := t.workload(owner)
	ordered := override != "" && override != w.override
	w.paused, w.override = paused, override
	t.refreshGroups(owner)
	if ordered {
		t.letGo(owner, override)
	}
}

// JobOf is the Job that a pod stands for, with all that stand for its pods; nil: it
// is a pod.
func (t *Tracker) JobOf(id core.PodID) (*batchv1.Job, []core.PodID) {
	known := t.jobs[t.standIns[id]]
	if known == nil {
		return nil, nil
	}
	var ids []core.PodID
	for i := range known.standIns {
		ids = append(ids, PodID(standIn(known.object, i)))
	}
	return known.object, ids
}

// Resumed are the Jobs that somebody else let go while we held them, sorted; our
// marks are on them still.
func (t *Tracker) Resumed() []*batchv1.Job {
	var jobs []*batchv1.Job
	for owner := range t.resumed {
		jobs = append(jobs, t.jobs[owner].object)
	}
	slices.SortFunc(jobs, func(a, b *batchv1.Job) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	})
	return jobs
}
