package follow

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// World is what the API server holds of one rollout.
type World struct {
	Deployment *appsv1.Deployment
	// Argo is the Argo Rollout that Deployment stands for, Steps where it is; nil: it is
	// a Deployment.
	Argo  *cluster.Argo
	Steps *view.Steps
	// Generation is the least that the Deployment must have to tell of the rollout.
	Generation int64
	Sets       []appsv1.ReplicaSet
	Pods       []corev1.Pod
	// Accounts are the budgets that can be read; empty where they cannot.
	Accounts []view.Account
}

// State says how the rollout stands at now.
func (w World) State(now time.Time) view.Rollout {
	d := w.Deployment
	current, previous := cluster.Current(d, w.Sets)
	if w.unobserved() {
		current, previous = nil, current // the newest revision is still that of before
	}
	r := view.Rollout{
		Namespace: d.Namespace, Workload: cluster.WorkloadOf(d).String(), At: now,
		Replicas: cluster.Replicas(d), Ready: d.Status.ReadyReplicas, Accounts: w.Accounts, Steps: w.Steps,
	}
	r.Least = r.Replicas - unavailable(d, r.Replicas)
	if current != nil {
		r.To = strconv.FormatInt(cluster.Revision(current), 10)
		r.Images = changes(previous, d)
		if previous != nil {
			r.From = strconv.FormatInt(cluster.Revision(previous), 10)
		}
	}
	w.count(&r, current)
	switch {
	case r.New.Held > 0:
	case w.Steps.Held():
		r.Reason, r.Message = w.Steps.Gate.Reason, w.Steps.Gate.Message
	case w.Steps.Frozen():
		r.Reason, r.Message = w.Steps.Health.Reason, w.Steps.Health.Message
	}
	if w.Argo != nil {
		r.State, r.Message = w.verdictOfArgo(r)
	} else {
		r.State, r.Message = w.verdict(r)
	}
	switch {
	case w.Steps.Held() && !w.Steps.Gate.Expected.IsZero():
		r.Next = w.Steps.Gate.Expected
	case len(r.Accounts) > 0:
		r.Next = r.Accounts[0].More
	}
	return r
}

// unobserved reports whether the Deployment's controller has not seen the change yet.
func (w World) unobserved() bool {
	return w.Deployment.Status.ObservedGeneration < max(w.Deployment.Generation, w.Generation)
}

// count sorts the pods into those of the new revision and the others.
func (w World) count(r *view.Rollout, current *appsv1.ReplicaSet) {
	reasons := map[string]int{}
	for i := range w.Pods {
		pod := &w.Pods[i]
		if pod.DeletionTimestamp != nil {
			continue
		}
		if current == nil || !metav1.IsControlledBy(pod, current) {
			if ready(pod) {
				r.OldReady++
			}
			continue
		}
		switch {
		case gate.Gated(pod):
			r.New.Held++
			w.note(r, pod, reasons)
		case ready(pod):
			r.New.Ready++
		default:
			r.New.Pulling++
			failures(&r.Errors, pod)
		}
	}
	r.New.ToCome = max(r.Replicas-r.New.Ready-r.New.Pulling-r.New.Held, 0)
}

// note keeps the reason that most held pods have, and the latest hold-until.
func (w World) note(r *view.Rollout, pod *corev1.Pod, reasons map[string]int) {
	hold := cluster.HoldOf(pod)
	reasons[hold.Reason]++
	best := reasons[r.Reason]
	if n := reasons[hold.Reason]; n > best || n == best && hold.Reason <= r.Reason {
		r.Reason, r.Message = hold.Reason, hold.Message
	}
	if hold.Until.After(r.Until) {
		r.Until = hold.Until
	}
}

// verdict names the state and, where it needs one, says why.
func (w World) verdict(r view.Rollout) (state, message string) {
	d := w.Deployment
	switch {
	case w.unobserved():
		return view.Progressing, ""
	case d.Status.UpdatedReplicas == r.Replicas && d.Status.Replicas == r.Replicas && d.Status.AvailableReplicas == r.Replicas:
		return view.Done, ""
	case cluster.PausedBy(d) != "":
		return view.PausedState, cluster.PausedBy(d)
	case d.Spec.Paused:
		return view.PausedState, "spec.paused is set"
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && r.New.Held == 0 {
			return view.Failed, c.Message
		}
	}
	if r.New.Held > 0 && r.New.Pulling == 0 {
		return view.HeldState, r.Message
	}
	return view.Progressing, r.Message
}

// verdictOfArgo is verdict of an Argo Rollout: what its gate says goes before what Argo
// makes of it, for which a step that waits is one that runs.
func (w World) verdictOfArgo(r view.Rollout) (state, message string) {
	a := w.Argo
	switch {
	case w.unobserved():
		return view.Progressing, ""
	case a.Aborted && w.Steps.BadImage() != nil:
		return view.Failed, w.Steps.BadImage().Message
	case a.Aborted:
		return view.Failed, cmp.Or(a.Message, "it was aborted")
	case a.Phase == "Healthy" && a.Hash == a.Stable:
		return view.Done, ""
	case cluster.PausedBy(a.Object) != "":
		return view.PausedState, cluster.PausedBy(a.Object)
	case w.Steps.Held() || w.Steps.Frozen() || r.New.Held > 0 && r.New.Pulling == 0:
		return view.HeldState, r.Message
	case a.Phase == "Degraded":
		return view.Failed, a.Message
	case len(a.Paused) > 0 && w.Steps.ForPerson():
		return view.PausedState, "it waits for a person at step " + strconv.Itoa(w.Steps.Number) + ": kubectl argo rollouts promote " + a.Name
	}
	return view.Progressing, cmp.Or(r.Message, a.Message)
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// failures counts a pod whose image cannot be pulled, by what the kubelet says, and keeps
// its words of the first.
func failures(sum *view.Failures, pod *corev1.Pod) {
	failing := kube.Failing(pod)
	if len(failing) == 0 {
		return
	}
	if slices.ContainsFunc(failing, func(f kube.PullFailure) bool { return f.Class == feedback.Throttled }) {
		sum.Throttled++
	}
	sum.Pull++
	sum.Words = cmp.Or(sum.Words, failing[0].Message)
}

// unavailable is how many pods the strategy may take away at once.
func unavailable(d *appsv1.Deployment, replicas int32) int32 {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return replicas
	}
	if d.Spec.Strategy.RollingUpdate == nil || d.Spec.Strategy.RollingUpdate.MaxUnavailable == nil {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(d.Spec.Strategy.RollingUpdate.MaxUnavailable, int(replicas), false)
	if err != nil || n < 0 {
		return 0
	}
	return min(int32(n), replicas)
}

// changes lists containers whose image differs from the previous revision.
func changes(previous *appsv1.ReplicaSet, d *appsv1.Deployment) []view.ImageChange {
	if previous == nil {
		return nil
	}
	before := map[string]string{}
	for _, c := range previous.Spec.Template.Spec.Containers {
		before[c.Name] = c.Image
	}
	var list []view.ImageChange
	for _, c := range d.Spec.Template.Spec.Containers {
		if old, ok := before[c.Name]; ok && old != c.Image {
			list = append(list, view.ImageChange{Container: c.Name, From: old, To: c.Image})
		}
	}
	return list
}
