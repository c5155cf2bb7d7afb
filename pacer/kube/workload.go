package kube

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/core/engine"
)

// revisionAnnotation numbers the ReplicaSets of a Deployment in the order in
// which they became current; a rollback gives the old one a new, higher number.
const revisionAnnotation = "deployment.kubernetes.io/revision"

// historyAnnotation lists the revisions that a ReplicaSet was before; that it was an
// earlier one than it is, only going back to it brings about.
const historyAnnotation = "deployment.kubernetes.io/revision-history"

// Owner is the workload of a pod that a person knows.
type Owner struct {
	Kind, Namespace, Name string
}

// String returns "Kind/namespace/name".
func (o Owner) String() string { return o.Kind + "/" + o.Namespace + "/" + o.Name }

// ParseOwner reads what String prints.
func ParseOwner(s string) (Owner, bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return Owner{}, false
	}
	return Owner{Kind: parts[0], Namespace: parts[1], Name: parts[2]}, true
}

// OwnerOf is the workload of a pod. A ReplicaSet whose name ends in the pod's
// template hash belongs to the Deployment, or the Rollout, named before it.
func OwnerOf(p *corev1.Pod) Owner {
	ref := metav1.GetControllerOf(p)
	if ref == nil {
		return Owner{Kind: "Pod", Namespace: p.Namespace, Name: podName(p)}
	}
	o := Owner{Kind: ref.Kind, Namespace: p.Namespace, Name: ref.Name}
	if ref.Kind != "ReplicaSet" {
		return o
	}
	hash := p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	if name, ok := strings.CutSuffix(ref.Name, "-"+hash); ok && hash != "" && name != "" {
		return Owner{Kind: "Deployment", Namespace: p.Namespace, Name: name}
	}
	hash = p.Labels[rolloutHashLabel]
	if name, ok := strings.CutSuffix(ref.Name, "-"+hash); ok && hash != "" && name != "" {
		return Owner{Kind: RolloutKind, Namespace: p.Namespace, Name: name}
	}
	return o
}

// podName is a pod's name; before admission has given it one, its prefix.
func podName(p *corev1.Pod) string {
	if p.Name != "" {
		return p.Name
	}
	return p.GenerateName
}

// revisionOf is the hash by which the workload's controller tells revisions apart.
func revisionOf(p *corev1.Pod) string {
	if hash := p.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; hash != "" {
		return hash
	}
	return cmp.Or(p.Labels[rolloutHashLabel], p.Labels[appsv1.ControllerRevisionHashLabelKey])
}

// replicaSet is what is remembered of a ReplicaSet to tell what its pods are for.
type replicaSet struct {
	owner    Owner
	name     string
	revision int
	created  time.Time
	// replicas is how many pods it wants, served the most that ever served at once
	// since it last wanted fewer, made how many it says to have.
	replicas, served, made int32
	// live counts its pods that are not finished; gone: it was deleted.
	live int
	gone bool
	// returned says that it was an earlier revision before.
	returned bool
	// template is what its pods run.
	template *corev1.PodTemplateSpec
}

// workload is what is remembered of a Deployment.
type workload struct {
	// object is the Deployment; nil: not seen yet.
	object *appsv1.Deployment
	paused bool
	// resumed is when a person last ordered it to go on.
	resumed time.Time
	// override is a person's order to let go of what is held, as written.
	override string
	replicas int32
	// settled says that its last rollout is complete.
	settled bool
	sets    map[string]*replicaSet
}

// observe takes in what the ReplicaSet says now.
func (r *replicaSet) observe(rs *appsv1.ReplicaSet) {
	r.revision, _ = strconv.Atoi(cmp.Or(rs.Annotations[revisionAnnotation], rs.Annotations[rolloutRevision]))
	r.created = rs.CreationTimestamp.Time
	r.template = &rs.Spec.Template
	r.returned = wasEarlier(r.revision, cmp.Or(rs.Annotations[historyAnnotation], rs.Annotations[rolloutHistory]))
	r.replicas = 1
	if rs.Spec.Replicas != nil {
		r.replicas = *rs.Spec.Replicas
	}
	r.served, r.made = min(max(r.served, rs.Status.ReadyReplicas), r.replicas), rs.Status.Replicas
}

// wasEarlier reports whether a history names a revision before one. Controllers note the
// revision itself too, whenever they copy another annotation: that of an order, say.
func wasEarlier(revision int, history string) bool {
	for text := range strings.SplitSeq(history, ",") {
		if n, err := strconv.Atoi(text); err == nil && n < revision {
			return true
		}
	}
	return false
}

// laneOf tells what a pod of the ReplicaSet is for, live being how many pods of
// it were seen, itself included. It may say to have more: pods and ReplicaSets are
// watched apart.
//
// Rollback: the ReplicaSet is the current revision and was an earlier one before, or
// an earlier revision of the same Deployment was created after it (times are whole
// seconds); only going back to an old template brings that about. It counts until
// the rollout is complete. Repair: no more pods than have served at once are alive,
// so that it replaces one that was lost. Both err towards Normal: after a restart
// only pods that serve now have served.
func (w *workload) laneOf(r *replicaSet, live int) engine.Lane {
	return engine.LaneOf(w != nil && w.isRollback(r), max(live, int(r.made)), int(r.served))
}

// before is the revision that a rollback of the rollout under way to r would go back
// to; nil when r is not current, or its rollout is complete.
func (w *workload) before(r *replicaSet) *replicaSet {
	if w.settled || !w.current(r) {
		return nil
	}
	var last *replicaSet
	for _, other := range w.sets {
		if other != r && (last == nil || other.revision > last.revision) {
			last = other
		}
	}
	return last
}

func (w *workload) isRollback(r *replicaSet) bool {
	back := false
	for _, other := range w.sets {
		if other == r {
			continue
		}
		if other.revision >= r.revision {
			return false
		}
		older := r.returned || other.created.After(r.created)
		back = back || (older && (other.replicas > 0 || !w.settled))
	}
	return back
}

// settled reports whether the last rollout of a Deployment is complete.
func settled(d *appsv1.Deployment) bool {
	if d.Status.ObservedGeneration < d.Generation {
		return false
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing {
			return c.Status == corev1.ConditionTrue && c.Reason == "NewReplicaSetAvailable"
		}
	}
	return false
}
