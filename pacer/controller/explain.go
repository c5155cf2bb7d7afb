package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// explanationsPerSecond is how many pods have their condition written; a hold is
// a matter of minutes, and releases must not wait behind explanations.
const explanationsPerSecond = 5

// explainer says on pods and workloads why they are held: a condition on each pod
// and one Event for each object and Reason. It writes in the background; what
// changed twice before it was written is written once.
type explainer struct {
	client client.Client
	events recorder.EventRecorder
	clock  clock.PassiveClock
	pace   *rate.Limiter
	signal chan struct{}

	// groups is what was said of each group last, refusals why the last release of
	// each was not written, workloads the Reason that the last Event of each workload
	// gave; pruned is when what was told of pods that are gone was dropped. Only the
	// turn uses them.
	groups    map[core.GroupID]said
	refusals  map[core.GroupID]string
	workloads map[kube.Owner]core.Reason
	pruned    time.Time

	mu sync.Mutex
	// queue are the pods to write, todo what to write, told what was written.
	queue []core.PodID
	todo  map[core.PodID]explanation
	told  map[core.PodID]explanation
}

// explanation is the condition that a pod should have.
type explanation struct {
	namespace, name string
	uid             types.UID
	reason          core.Reason
	message         string
	held            bool
	// job says that it is for a Job and not for a pod, node for a node.
	job, node bool
	// quiet says that no Event tells it: one on the workload does.
	quiet bool
}

// said is the essence of what was said of a group and of how many pods.
type said struct {
	essence string
	pods    int
}

func newExplainer(c client.Client, events recorder.EventRecorder, clk clock.PassiveClock) *explainer {
	return &explainer{
		client: c, events: events, clock: clk,
		pace: rate.NewLimiter(explanationsPerSecond, 2*explanationsPerSecond), signal: make(chan struct{}, 1),
		todo: map[core.PodID]explanation{}, told: map[core.PodID]explanation{},
		groups: map[core.GroupID]said{}, refusals: map[core.GroupID]string{}, workloads: map[kube.Owner]core.Reason{},
	}
}

// explain takes in the holds of a decision. Pods of groups of which the same was
// said before are not looked at.
func (e *explainer) explain(ctx context.Context, t *kube.Tracker, d engine.Decision) {
	seen := map[core.GroupID]bool{}
	holding := map[kube.Owner]bool{}
	for _, group := range holdsByGroup(d.Holds) {
		id := group[0].Group
		seen[id] = true
		causes, kinds := causesOf(t, d, group)
		e.quoteRefusal(group, causes)
		more := 0
		if g, ok := t.Group(id); ok {
			more = g.More
			if owner, ok := kube.ParseOwner(g.Workload); ok {
				holding[owner] = true
				e.sayOnWorkload(ctx, t, owner, group[0], causes[0])
			}
		}
		now := said{essence: essence(group) + kinds, pods: count(group)}
		if t.IsNodeGroup(id) {
			now.pods = len(t.HeldNodes(id)) // those that are held in truth by now
		}
		if e.groups[id] == now {
			continue
		}
		e.groups[id] = now
		if t.IsNodeGroup(id) {
			e.explainNodes(t, id, group, causes)
			continue
		}
		pods := t.HeldPods(id)
		if len(pods) > 0 {
			if _, _, step := t.StepOf(kube.PodID(pods[0])); step {
				continue // its caller is told
			}
			if job, _ := t.JobOf(kube.PodID(pods[0])); job != nil {
				e.tellJob(job, group[0], causes[0])
				continue
			}
		}
		e.explainPods(pods, more, group, causes)
	}
	for id := range e.groups {
		if !seen[id] {
			delete(e.groups, id)
		}
	}
	for owner := range e.workloads {
		if !holding[owner] {
			delete(e.workloads, owner)
		}
	}
	e.prune(t)
}

// refused takes in why a release of a group was not written. The whole group rests then,
// also those of it that were not tried.
func (e *explainer) refused(id core.GroupID, err error) {
	e.refusals[id] = refusedText(err)
}

// refusedText says why a release was not written. The words may be of an admission
// webhook of somebody else.
func refusedText(err error) string {
	if !refusal(err) {
		return cut("the release could not be written: "+err.Error(), maxNote)
	}
	return cut(text(core.ReleaseRefused)+": "+err.Error(), maxNote)
}

// quoteRefusal puts what the API server said to the causes of the holds of a group that
// rests for it.
func (e *explainer) quoteRefusal(holds []engine.Hold, causes []string) {
	for i, h := range holds {
		if h.Reason == core.ReleaseRefused {
			causes[i] = e.refusals[h.Group]
		}
	}
}

// pruneEvery is how often what was told of pods that are gone is dropped.
const pruneEvery = 5 * time.Minute

func (e *explainer) prune(t *kube.Tracker) {
	now := e.clock.Now()
	if now.Sub(e.pruned) < pruneEvery {
		return
	}
	e.pruned = now
	maps.DeleteFunc(e.refusals, func(id core.GroupID, _ string) bool {
		_, known := t.Group(id)
		return !known
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.told {
		if !t.Known(id) && !t.KnownNode(id) {
			delete(e.told, id)
		}
	}
}

// holdsByGroup puts the holds of each group together, in the order of release.
func holdsByGroup(holds []engine.Hold) [][]engine.Hold {
	var out [][]engine.Hold
	at := map[core.GroupID]int{}
	for _, h := range holds {
		i, ok := at[h.Group]
		if !ok {
			i = len(out)
			at[h.Group] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], h)
	}
	return out
}

// essence is what of a group's holds is worth a new explanation. Numbers that
// change with every reading are not.
func essence(holds []engine.Hold) string {
	text := ""
	for _, h := range holds {
		text += fmt.Sprintf("%s %s %d;", h.Reason, h.Account, h.Expected.To.Truncate(10*time.Minute).Unix())
	}
	return text
}

func count(holds []engine.Hold) int {
	n := 0
	for _, h := range holds {
		n += h.Count
	}
	return n
}

// explainPods hands out the holds of a group to its pods: foreign gates to those
// that have one, the others by age. More pods are still to be made.
func (e *explainer) explainPods(pods []*corev1.Pod, more int, holds []engine.Hold, causes []string) {
	quiet := len(pods)+more > eachAtOnce && toldOn(kube.OwnerOf(pods[0]))
	left := make([]int, len(holds))
	for i, h := range holds {
		left[i] = h.Count
	}
	for _, pod := range pods {
		for i, h := range holds {
			if left[i] == 0 || (h.Reason == core.ForeignGate) != gate.ForeignGate(pod) {
				continue
			}
			left[i]--
			e.tell(pod, explanation{reason: h.Reason, message: cut(message(h, causes[i], gate.HoldUntil(pod)), maxMessage), held: true, quiet: quiet})
			break
		}
	}
}

// message explains a hold: what caused it where pulls fail or a release was refused, its
// numbers where it waits for an account, what its Reason means where it does not.
func message(h engine.Hold, cause string, until time.Time) string {
	return messageOf("pod", h, cause, until)
}

// messageOf explains a hold of things of that name.
func messageOf(thing string, h engine.Hold, cause string, until time.Time) string {
	text := text(h.Reason)
	switch {
	case cause != "":
		text = cause
	case h.Account != "":
		text = fmt.Sprintf("%s like this: %s of %s needed at most, %d free", plural(h.Count, thing), plural(int(h.Need), "unit"), h.Account, h.Free)
		if h.Ahead > 0 {
			text += fmt.Sprintf("; %s before", plural(h.Ahead, thing))
		}
	}
	if !h.Expected.IsZero() {
		text += fmt.Sprintf("; expected %s - %s UTC", h.Expected.From.UTC().Format(time.TimeOnly), h.Expected.To.UTC().Format(time.TimeOnly))
	}
	if !until.IsZero() {
		text += "; at the latest " + until.UTC().Format(time.RFC3339)
	}
	return text
}

// plural writes a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// released notes that a pod was let go; its condition is taken back if it had one.
func (e *explainer) released(pod *corev1.Pod, reason core.Reason) {
	e.tell(pod, explanation{reason: reason, message: "let go: " + text(reason)})
}

// tell queues what a pod should say of itself.
func (e *explainer) tell(pod *corev1.Pod, x explanation) {
	x.namespace, x.name, x.uid = pod.Namespace, pod.Name, pod.UID
	e.enqueue(kube.PodID(pod), x, hasCondition(pod))
}

// enqueue queues an explanation; shown says that the object shows an older one.
func (e *explainer) enqueue(id core.PodID, x explanation, shown bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, queued := e.todo[id]
	switch {
	case !x.held && e.told[id].reason == "" && !shown:
		delete(e.todo, id)
		return
	case e.told[id] == x && !queued:
		return
	}
	e.todo[id] = x
	if !queued {
		e.queue = append(e.queue, id)
	}
	select {
	case e.signal <- struct{}{}:
	default:
	}
}

func hasCondition(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == v1alpha1.ConditionHeld {
			return true
		}
	}
	return false
}

// pop takes the next explanation to write.
func (e *explainer) pop() (core.PodID, explanation, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) > 0 {
		id := e.queue[0]
		e.queue = e.queue[1:]
		if x, ok := e.todo[id]; ok {
			delete(e.todo, id)
			return id, x, true
		}
	}
	return "", explanation{}, false
}

// NeedLeaderElection says that the leader explains.
func (e *explainer) NeedLeaderElection() bool { return true }

// Start writes explanations until ctx ends. It implements manager.Runnable.
func (e *explainer) Start(ctx context.Context) error {
	for {
		id, x, ok := e.pop()
		if !ok {
			select {
			case <-ctx.Done():
				return nil
			case <-e.signal:
			}
			continue
		}
		if e.pace.Wait(ctx) != nil {
			return nil
		}
		if err := e.write(ctx, x); err != nil {
			log.FromContext(ctx).V(1).Info("explanation not written", "pod", id, "cause", err.Error())
			continue
		}
		e.note(id, x)
	}
}

// note remembers what was written; of pods that were let go nothing.
func (e *explainer) note(id core.PodID, x explanation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.told[id]
	if !x.held {
		delete(e.told, id)
		return
	}
	e.told[id] = x
	if before.reason != x.reason && !x.job && !x.node && !x.quiet {
		pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Namespace: x.namespace, Name: x.name, UID: x.uid}}
		e.events.Eventf(pod, nil, corev1.EventTypeNormal, string(x.reason), "Hold", "%s", cut("held: "+x.message, maxNote))
	}
}

// write sets the condition of one pod, or the annotation of one Job.
func (e *explainer) write(ctx context.Context, x explanation) error {
	switch {
	case x.job:
		return e.writeOnJob(ctx, x)
	case x.node:
		return e.writeOnNode(ctx, x)
	}
	status := corev1.ConditionFalse
	if x.held {
		status = corev1.ConditionTrue
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": x.uid},
		"status": map[string]any{"conditions": []corev1.PodCondition{{
			Type: v1alpha1.ConditionHeld, Status: status, Reason: string(x.reason), Message: x.message,
			LastTransitionTime: metav1.NewTime(e.clock.Now()),
		}}},
	})
	if err != nil {
		return fmt.Errorf("encoding a condition: %w", err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: x.namespace, Name: x.name}}
	err = e.client.Status().Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, patch), client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // gone, or another pod of the same name
	}
	return err
}

// sayOnWorkload records an Event on a workload when the Reason of its hold changes.
func (e *explainer) sayOnWorkload(ctx context.Context, t *kube.Tracker, owner kube.Owner, h engine.Hold, cause string) {
	if !toldOn(owner) || e.workloads[owner] == h.Reason {
		return
	}
	if h.Reason == core.ImageFailing {
		e.workloads[owner] = h.Reason // that the image fails is told already
		return
	}
	object := e.workload(ctx, t, owner)
	if object == nil {
		return // a later turn says it
	}
	e.workloads[owner] = h.Reason
	e.events.Eventf(object, nil, corev1.EventTypeNormal, string(h.Reason), "Hold", "%s", cut("held: "+message(h, cause, time.Time{}), maxNote))
}
