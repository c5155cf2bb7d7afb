package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// restoreAgain is how long a Deployment is left alone after the API server refused
// to have its fields put back.
const restoreAgain = 10 * time.Second

// restorer puts the fields of Deployments back that admission changed, when nothing
// of them is held any more. All it goes by is on the objects: a new leader goes on
// where the last one ended. Only the turn uses it.
type restorer struct {
	client client.Client
	events recorder.EventRecorder
	// price quotes the start of so many pods; nil: nothing can be priced.
	price func(context.Context, kube.Template, int) (v1alpha1.PodQuote, error)
	mu    sync.Mutex
	// refused is when a Deployment may be tried again, resting are those of which pods are
	// held and nothing is due before they change: a turn is taken for each pod of others.
	refused map[types.UID]time.Time
	resting map[types.UID]*appsv1.Deployment
}

func newRestorer(c client.Client, events recorder.EventRecorder, price func(context.Context, kube.Template, int) (v1alpha1.PodQuote, error)) *restorer {
	return &restorer{client: c, events: events, price: price, refused: map[types.UID]time.Time{}, resting: map[types.UID]*appsv1.Deployment{}}
}

// settle brings the fields of all Deployments to what they should be at now. What
// cannot be written is tried again in a later turn.
func (r *restorer) settle(ctx context.Context, now time.Time, tracker *kube.Tracker) {
	var group errgroup.Group
	group.SetLimit(patchesInFlight)
	all := tracker.Altered()
	rests := r.keepResting(all)
	for _, a := range all {
		if !rests[a.Deployment.UID] && r.mayTry(a.Deployment, now) {
			group.Go(func() error { r.note(ctx, a.Deployment, now, r.settleOne(ctx, now, a)); return nil })
		}
	}
	for _, rs := range tracker.Copies() {
		if r.mayTry(rs, now) {
			group.Go(func() error { r.note(ctx, rs, now, r.strip(ctx, rs)); return nil })
		}
	}
	_ = group.Wait() // every error was noted
}

// keepResting leaves of those that rest the ones that are as they were, and tells which.
func (r *restorer) keepResting(all []kube.Altered) map[types.UID]bool {
	still, rests := map[types.UID]*appsv1.Deployment{}, map[types.UID]bool{}
	for _, a := range all {
		if uid := a.Deployment.UID; a.May && a.Held && r.resting[uid] == a.Deployment {
			still[uid], rests[uid] = a.Deployment, true
		}
	}
	r.resting = still
	return rests
}

// rest notes that nothing is due of a Deployment.
func (r *restorer) rest(a kube.Altered) {
	if !a.May || !a.Held || a.Paused() {
		return // time alone may change what is due
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resting[a.Deployment.UID] = a.Deployment
}

func (r *restorer) mayTry(o client.Object, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until, refused := r.refused[o.GetUID()]; refused && now.Before(until) {
		return false
	}
	delete(r.refused, o.GetUID())
	return true
}

// note remembers and tells of an error. An object that is gone, or that somebody
// changed meanwhile, is left to the next turn.
func (r *restorer) note(ctx context.Context, o client.Object, now time.Time, err error) {
	if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return
	}
	r.mu.Lock()
	r.refused[o.GetUID()] = now.Add(restoreAgain)
	r.mu.Unlock()
	log.FromContext(ctx).Error(err, "fields not put back", "workload", o.GetNamespace()+"/"+o.GetName())
	if refusal(err) {
		r.events.Eventf(o, nil, corev1.EventTypeWarning, string(core.ReleaseRefused), "Restore", "the API server refused to have fields put back: %s", cut(err.Error(), maxNote))
	}
}

// settleOne writes what is due of one Deployment. It asks by an annotation first,
// which admission follows in the same write: the fields stay the property of whoever
// wrote them. Where admission is away it writes them itself.
func (r *restorer) settleOne(ctx context.Context, now time.Time, a kube.Altered) error {
	next := a.Deployment.DeepCopy()
	if gate.Heal(next, a.Sets) {
		r.events.Eventf(a.Deployment, nil, corev1.EventTypeWarning, string(core.FailOpen), "Restore",
			"what annotation %s remembers is lost or cannot be read: maxUnavailable %v, progressDeadlineSeconds %v now; check them", v1alpha1.AnnotationSaved, bounds(next), deadline(next))
		return r.patch(ctx, a.Deployment, next)
	}
	a.Payable = a.Paused() && r.payable(ctx, a)
	over, until := a.Next(now)
	gate.Ask(next, over, until)
	if !apiequality.Semantic.DeepEqual(a.Deployment.Annotations, next.Annotations) {
		if err := r.patch(ctx, a.Deployment, next); err != nil {
			return err
		}
	}
	asked := next.DeepCopy()
	if !gate.Follow(next) {
		r.rest(a)
		return nil
	}
	return r.patch(ctx, asked, next)
}

// payable reports whether the first pods of a rollout that is paused could start now.
func (r *restorer) payable(ctx context.Context, a kube.Altered) bool {
	var namespace corev1.Namespace
	if r.price == nil || r.client.Get(ctx, client.ObjectKey{Name: a.Deployment.Namespace}, &namespace) != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, priceWithin)
	defer cancel()
	d := a.Deployment
	owner := kube.Owner{Kind: "Deployment", Namespace: d.Namespace, Name: d.Name}
	quote, err := r.price(ctx, kube.Template{Namespace: &namespace, Owner: owner, Pods: &d.Spec.Template, Deployment: d}, a.First())
	return err == nil && quote.Verdict == v1alpha1.QuoteAllow
}

// patch writes what differs, unless the object changed meanwhile. It leaves in next
// what the API server made of it.
func (r *restorer) patch(ctx context.Context, before, next client.Object) error {
	lock := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, next, lock, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return fmt.Errorf("putting fields of %s/%s back: %w", before.GetNamespace(), before.GetName(), err)
	}
	return nil
}

// strip takes a copy of what was remembered off a ReplicaSet.
func (r *restorer) strip(ctx context.Context, rs *appsv1.ReplicaSet) error {
	next := rs.DeepCopy()
	delete(next.Annotations, v1alpha1.AnnotationSaved)
	return r.patch(ctx, rs, next)
}

// bounds is maxUnavailable for a person.
func bounds(d *appsv1.Deployment) string {
	if u := d.Spec.Strategy.RollingUpdate; u != nil && u.MaxUnavailable != nil {
		return u.MaxUnavailable.String()
	}
	return "unset"
}

// deadline is progressDeadlineSeconds for a person.
func deadline(d *appsv1.Deployment) string {
	if p := d.Spec.ProgressDeadlineSeconds; p != nil {
		return fmt.Sprint(*p)
	}
	return "unset"
}
