package controller

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// course is a cluster of one Deployment whose user, controllers and Pace act in any
// order.
type course struct {
	t         *rapid.T
	client    client.WithWatch
	admission *deploymentAdmitter
	// wish is what the user wants of the three fields.
	wish *appsv1.Deployment
	// away says that admission does not answer.
	away     bool
	now      time.Time
	revision int
	sets     map[string]int
	pods     []*corev1.Pod
	made     int
}

// write has the user change the Deployment.
func (c *course) write(edit func(*appsv1.Deployment)) {
	old := web(c.t, c.client)
	next := old.DeepCopy()
	edit(next)
	next.Generation++
	if !c.away {
		next, _ = wrote(c.t, c.admission, "jane", old, next)
	}
	if err := c.client.Update(context.Background(), next); err != nil {
		c.t.Fatal(err)
	}
}

// control does what the Deployment and ReplicaSet controllers do, all at once.
func (c *course) control() {
	d := web(c.t, c.client)
	ctx := context.Background()
	image := d.Spec.Template.Spec.Containers[0].Image
	newest := strings.TrimPrefix(image, "acme/web:")
	if _, there := c.sets[newest]; !there {
		if err := c.client.Create(ctx, makeSet(newest, 0)); err != nil {
			c.t.Fatal(err)
		}
	}
	if c.sets[newest] != c.revision || c.revision == 0 {
		c.revision++
		c.sets[newest] = c.revision
	}
	var rs appsv1.ReplicaSet
	if err := c.client.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "web-" + newest}, &rs); err != nil {
		c.t.Fatal(err)
	}
	for key, value := range d.Annotations {
		rs.Annotations[key] = value
	}
	rs.Annotations["deployment.kubernetes.io/revision"] = strconv.Itoa(c.sets[newest])
	rs.Spec.Replicas = d.Spec.Replicas
	if err := c.client.Update(ctx, &rs); err != nil {
		c.t.Fatal(err)
	}
	var pods []*corev1.Pod
	for _, p := range c.pods {
		if p.Labels[appsv1.DefaultDeploymentUniqueLabelKey] == newest {
			pods = append(pods, p)
		}
	}
	for c.pods = pods; len(c.pods) < int(*d.Spec.Replicas); {
		c.made++
		c.pods = append(c.pods, makePod(c.made, func(p *corev1.Pod) {
			p.Name, p.Labels[appsv1.DefaultDeploymentUniqueLabelKey] = fmt.Sprintf("web-%s-%d", newest, c.made), newest
			p.OwnerReferences[0].Name = "web-" + newest
		}))
	}
	c.status(d, 0)
}

// status has the Deployment controller write what it sees.
func (c *course) status(d *appsv1.Deployment, available int32) {
	n := int32(len(c.pods))
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations["deployment.kubernetes.io/revision"] = strconv.Itoa(c.revision)
	if err := c.client.Update(context.Background(), d); err != nil {
		c.t.Fatal(err)
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, UpdatedReplicas: n, Replicas: n, AvailableReplicas: available}
	d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: "True", Reason: "ReplicaSetUpdated", LastUpdateTime: metav1.NewTime(c.now)}}
	if err := c.client.Status().Update(context.Background(), d); err != nil {
		c.t.Fatal(err)
	}
}

// letGo releases all pods.
func (c *course) letGo() {
	for i, p := range c.pods {
		c.pods[i] = p.DeepCopy()
		gate.Release(c.pods[i], gate.Letting{Mark: v1alpha1.ReleaseMark{Time: c.now}})
	}
}

// turn is one of a leader that has just started.
func (c *course) turn() {
	tracker := kube.NewTracker()
	rules, err := kube.NewRules([]v1alpha1.PullBudget{*makeBudget(5)}, []v1alpha1.PacePolicy{*makePolicy()})
	if err != nil {
		c.t.Fatal(err)
	}
	tracker.Rules(rules)
	tracker.Namespace(makeNamespace(nil))
	tracker.Deployment(web(c.t, c.client))
	var sets appsv1.ReplicaSetList
	if err := c.client.List(context.Background(), &sets); err != nil {
		c.t.Fatal(err)
	}
	for i := range sets.Items {
		tracker.ReplicaSet(&sets.Items[i])
	}
	for _, p := range c.pods {
		tracker.Pod(c.now, p)
	}
	newRestorer(c.client, events.NewFakeRecorder(1000), nil).settle(context.Background(), c.now, tracker)
}

// makeCourse makes a cluster whose admission sees the leader's writes too.
func makeCourse(t *testing.T) *course {
	// The fake client walks all kinds on every write.
	scheme := runtime.NewScheme()
	if err := appsv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := &course{admission: makeDeploymentAdmitter(t)}
	c.client = fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			d, is := o.(*appsv1.Deployment)
			if !is {
				return w.Patch(ctx, o, p, opts...)
			}
			old := web(c.t, w)
			if err := w.Patch(ctx, o, p, opts...); err != nil || c.away {
				return err
			}
			admitted, _ := wrote(c.t, c.admission, ownAccounts(v1alpha1.Namespace)+"pacer", old, d)
			admitted.ResourceVersion = d.ResourceVersion
			err := w.Update(ctx, admitted)
			admitted.DeepCopyInto(d)
			return err
		},
	}).Build()
	return c
}

// begin has the user make the Deployment anew.
func (c *course) begin(t *rapid.T) {
	*c = course{t: t, client: c.client, admission: c.admission, wish: makeDeployment(), now: start, sets: map[string]int{}}
	ctx := context.Background()
	for _, kind := range []client.Object{&appsv1.Deployment{}, &appsv1.ReplicaSet{}} {
		if err := c.client.DeleteAllOf(ctx, kind, client.InNamespace("shop")); err != nil {
			t.Fatal(err)
		}
	}
	first, _ := wrote(t, c.admission, "jane", nil, makeDeployment())
	if err := c.client.Create(ctx, first); err != nil {
		t.Fatal(err)
	}
}

// Whatever a user writes, whoever restarts and whenever admission is away: once
// nothing is held, the three fields are what the user wanted last, and nothing of
// ours is left.
func TestAUserGetsBackWhatTheUserWantedLast(t *testing.T) {
	t.Parallel()
	c := makeCourse(t)
	rapid.Check(t, func(rt *rapid.T) {
		c.begin(rt)
		// 0 and 1 are what is imposed, so that a wish for them is no news in a hold.
		wishes := rapid.SampledFrom([]func(*appsv1.Deployment){
			unavailable(2), unavailable("50%"), surge(2), surge("30%"), deadlineOf(700), deadlineOf(60), deadlineOf(2147483647),
		})
		rt.Repeat(map[string]func(*rapid.T){
			"wish": func(rt *rapid.T) {
				edit := wishes.Draw(rt, "wish")
				edit(c.wish)
				c.write(edit)
			},
			"apply all": func(*rapid.T) { // as Flux does, with force
				c.write(func(d *appsv1.Deployment) {
					c.wish.Spec.Strategy.DeepCopyInto(&d.Spec.Strategy)
					d.Spec.ProgressDeadlineSeconds = c.wish.Spec.ProgressDeadlineSeconds
				})
			},
			"replace": func(*rapid.T) {
				c.write(func(d *appsv1.Deployment) {
					if c.away {
						return // what is remembered would be lost, together with what it was for
					}
					d.Labels, d.Annotations = nil, nil
					c.wish.Spec.Strategy.DeepCopyInto(&d.Spec.Strategy)
					d.Spec.ProgressDeadlineSeconds = c.wish.Spec.ProgressDeadlineSeconds
				})
			},
			"roll out": func(rt *rapid.T) {
				c.write(tag(rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(rt, "tag")))
			},
			"undo": func(rt *rapid.T) {
				var sets appsv1.ReplicaSetList
				if err := c.client.List(context.Background(), &sets); err != nil {
					rt.Fatal(err)
				}
				if len(sets.Items) == 0 || c.away {
					return
				}
				rs := sets.Items[rapid.IntRange(0, len(sets.Items)-1).Draw(rt, "set")]
				c.write(func(d *appsv1.Deployment) {
					d.Annotations = rs.Annotations
					d.Spec.Template.Spec = rs.Spec.Template.Spec
				})
			},
			"scale": func(rt *rapid.T) { // past admission
				d := web(rt, c.client)
				d.Spec.Replicas = new(rapid.Int32Range(0, 5).Draw(rt, "replicas"))
				d.Generation++
				if err := c.client.Update(context.Background(), d); err != nil {
					rt.Fatal(err)
				}
			},
			"admission": func(*rapid.T) { c.away = !c.away },
			"control":   func(*rapid.T) { c.control() },
			"let go":    func(*rapid.T) { c.letGo() },
			"time":      func(*rapid.T) { c.now = c.now.Add(3 * time.Second) },
			"turn":      func(*rapid.T) { c.turn() },
			"": func(rt *rapid.T) {
				d := web(rt, c.client)
				if saved, ok := gate.SavedOf(d); ok && !c.away && saved.Strategy() && !gate.IsZero(saved.MaxUnavailable) && d.Labels[v1alpha1.LabelHeld] == "" {
					rt.Fatal("fields are remembered, and the label is missing")
				}
			},
		})
		c.away = c.away && rapid.Bool().Draw(rt, "away to the end")
		c.control()
		c.letGo()
		c.status(web(rt, c.client), int32(len(c.pods)))
		for range 5 {
			c.now = c.now.Add(10 * time.Second)
			c.turn()
			c.status(web(rt, c.client), int32(len(c.pods)))
		}
		if got, want := bearing(web(rt, c.client)), bearing(c.wish); got != want {
			rt.Fatalf("left  %s\nwant  %s", got, want)
		}
		var sets appsv1.ReplicaSetList
		if err := c.client.List(context.Background(), &sets); err != nil {
			rt.Fatal(err)
		}
		for _, rs := range sets.Items {
			if _, left := rs.Annotations[v1alpha1.AnnotationSaved]; left {
				rt.Fatalf("%s has a copy of what was remembered", rs.Name)
			}
		}
	})
}
