package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/gate"
	"github.com/pullpace/pace/pacer/kube"
)

// makeDeployment is Deployment shop/web of the tag v1 as the API server fills it in.
func makeDeployment(edit ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web", Generation: 1}}
	d.Spec.Replicas = new(int32(4))
	d.Spec.ProgressDeadlineSeconds = new(int32(600))
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
		MaxUnavailable: new(intstr.FromString("25%")), MaxSurge: new(intstr.FromString("25%"))}}
	d.Spec.Template.Spec.Containers = makePod(0).Spec.Containers
	tag("v1")(d)
	for _, e := range edit {
		e(d)
	}
	return d
}

func tag(tag string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "acme/web:" + tag }
}

func unavailable(v any) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Strategy.RollingUpdate.MaxUnavailable = bound1(v) }
}

func surge(v any) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.Strategy.RollingUpdate.MaxSurge = bound1(v) }
}

func bound1(v any) *intstr.IntOrString { return new(intstr.Parse(fmt.Sprint(v))) }

func deadlineOf(seconds int32) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.ProgressDeadlineSeconds = &seconds }
}

func minReady(seconds int32) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = seconds }
}

func recreate(d *appsv1.Deployment) {
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
}

func remembers(text string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		d.Annotations = map[string]string{v1alpha1.AnnotationSaved: text}
		d.Labels = map[string]string{v1alpha1.LabelHeld: "true"}
	}
}

// held is a Deployment as it is while pods of its first template are held.
func held(edit ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := makeDeployment()
	gate.Impose(d, true, nil)
	for _, e := range edit {
		e(d)
	}
	return d
}

// bearing is what Pace may change of a Deployment, for a person.
func bearing(d *appsv1.Deployment) string {
	var out []string
	if r := d.Spec.Strategy.RollingUpdate; r != nil {
		out = append(out, r.MaxUnavailable.String(), r.MaxSurge.String())
	} else {
		out = append(out, string(d.Spec.Strategy.Type))
	}
	out = append(out, fmt.Sprint(*d.Spec.ProgressDeadlineSeconds))
	if d.Spec.Paused {
		out = append(out, "paused")
	}
	if until := gate.HoldUntil(d); !until.IsZero() {
		out = append(out, until.Sub(start).String())
	}
	if saved, ok := d.Annotations[v1alpha1.AnnotationSaved]; ok {
		out = append(out, saved)
	}
	if d.Labels[v1alpha1.LabelHeld] != "" {
		out = append(out, "held")
	}
	return strings.Join(out, " ")
}

const (
	imposed   = `0 25% 2147483646 {"maxUnavailable":"25%","maxSurge":"25%","progressDeadlineSeconds":600} held`
	untouched = "25% 25% 600"
	paused    = `25% 25% 2147483646 paused 24h0m0s {"progressDeadlineSeconds":600,"paused":false} held`
)

// stopped is a Deployment whose rollout waits for its first pod to be payable.
func stopped(edit ...func(*appsv1.Deployment)) *appsv1.Deployment {
	d := makeDeployment()
	gate.Impose(d, false, nil)
	gate.Pause(d, start.Add(24*time.Hour))
	for _, e := range edit {
		e(d)
	}
	return d
}

func pausing(s *v1alpha1.PacePolicySpec) { s.DeleteFirst = v1alpha1.PauseRollout }

func resumed(d *appsv1.Deployment) { d.Spec.Paused = false }

func makeDeploymentAdmitter(t *testing.T, objects ...client.Object) *deploymentAdmitter {
	t.Helper()
	return &deploymentAdmitter{admitter: makeAdmitter(t, append(objects, makeNamespace(nil))...), own: ownAccounts(v1alpha1.Namespace)}
}

// wrote is what the API server has after somebody wrote next over old.
func wrote(t interface {
	Helper()
	Fatal(...any)
}, a *deploymentAdmitter, user string, old, next *appsv1.Deployment) (*appsv1.Deployment, admission.Response) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	req := admissionv1.AdmissionRequest{Namespace: "shop", UserInfo: authenticationv1.UserInfo{Username: user}}
	raw, err := json.Marshal(next)
	must(err)
	req.Object = runtime.RawExtension{Raw: raw}
	if old != nil {
		before, err := json.Marshal(old)
		must(err)
		req.OldObject = runtime.RawExtension{Raw: before}
	}
	resp := a.Handle(context.Background(), admission.Request{AdmissionRequest: req})
	if !resp.Allowed {
		t.Fatal("a Deployment was denied")
	}
	text, err := json.Marshal(resp.Patches)
	must(err)
	patch, err := jsonpatch.DecodePatch(text)
	must(err)
	raw, err = patch.Apply(raw)
	must(err)
	var out appsv1.Deployment
	must(json.Unmarshal(raw, &out))
	return &out, resp
}

func TestAWriteIsAdmittedWithTheFieldsOfAHold(t *testing.T) {
	t.Parallel()
	const leader = "system:serviceaccount:pullpace-system:pacer"
	replicaSet := func(of string) *appsv1.ReplicaSet {
		rs := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-" + of,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "web", Controller: new(true)}}}}
		rs.Spec.Template = makeDeployment(tag(of)).Spec.Template
		rs.Spec.Template.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: of}
		return rs
	}
	cases := map[string]struct {
		old, next *appsv1.Deployment
		by        string
		objects   []client.Object
		deaf      bool // no turn was completed lately
		policy    func(*v1alpha1.PacePolicySpec)
		want      string
	}{
		"created":                           {next: makeDeployment(), want: imposed},
		"created out of a backup of a hold": {next: held(), want: imposed},
		"new template":                      {old: makeDeployment(), next: makeDeployment(tag("v2")), want: imposed},
		"no surge":                          {old: makeDeployment(), next: makeDeployment(tag("v2"), unavailable(1), surge(0)), want: `0 1 2147483646 {"maxUnavailable":1,"maxSurge":0,"progressDeadlineSeconds":600} held`},
		"no surge in percent":               {old: makeDeployment(), next: makeDeployment(tag("v2"), surge("0%")), want: `0 1 2147483646 {"maxUnavailable":"25%","maxSurge":"0%","progressDeadlineSeconds":600} held`},
		"deletes nothing first":             {old: makeDeployment(), next: makeDeployment(tag("v2"), unavailable(0)), want: `0 25% 2147483646 {"maxUnavailable":0,"maxSurge":"25%","progressDeadlineSeconds":600} held`},
		"has no deadline":                   {old: makeDeployment(), next: makeDeployment(tag("v2"), deadlineOf(2147483647)), want: `0 25% 2147483647 {"maxUnavailable":"25%","maxSurge":"25%"} held`},
		"same template":                     {old: makeDeployment(), next: makeDeployment(unavailable(1)), want: "1 25% 600"},
		"goes back":                         {old: makeDeployment(tag("v2")), next: makeDeployment(), objects: []client.Object{replicaSet("v1"), replicaSet("v2")}, want: untouched},
		"goes on, with old sets there":      {old: makeDeployment(tag("v2")), next: makeDeployment(tag("v3")), objects: []client.Object{replicaSet("v1"), replicaSet("v2")}, want: imposed},
		"recreated":                         {old: makeDeployment(), next: makeDeployment(tag("v2"), recreate), want: "Recreate 600"},
		"no turn was completed":             {old: makeDeployment(), next: makeDeployment(tag("v2")), deaf: true, want: untouched},
		"image of no budget":                {old: makeDeployment(), next: makeDeployment(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "ghcr.io/a/b" }), want: untouched},
		"vital":                             {old: makeDeployment(), next: makeDeployment(tag("v2"), func(d *appsv1.Deployment) { d.Spec.Template.Spec.PriorityClassName = "system-node-critical" }), want: untouched},
		"shadow":                            {old: makeDeployment(), next: makeDeployment(tag("v2")), policy: func(s *v1alpha1.PacePolicySpec) { s.Mode = v1alpha1.Shadow }, want: untouched},
		"off":                               {old: makeDeployment(), next: makeDeployment(tag("v2")), policy: func(s *v1alpha1.PacePolicySpec) { s.Mode = v1alpha1.Off }, want: untouched},
		"never, deletes first":              {old: makeDeployment(), next: makeDeployment(tag("v2")), policy: func(s *v1alpha1.PacePolicySpec) { s.DeleteFirst = v1alpha1.NeverHold }, want: untouched},
		"cannot be, deadline":               {old: makeDeployment(), next: makeDeployment(tag("v2"), minReady(600)), want: untouched},
		"cannot be, both bounds zero":       {old: makeDeployment(), next: makeDeployment(tag("v2"), unavailable(0), surge("0%")), want: "0 0% 600"},
		"cannot be, no number":              {old: makeDeployment(), next: makeDeployment(tag("v2"), unavailable("a%")), want: "a% 25% 600"},

		"paused: new template":                                  {old: makeDeployment(), next: makeDeployment(tag("v2")), policy: pausing, want: paused},
		"paused: nothing is deleted by a first":                 {next: makeDeployment(), policy: pausing, want: imposed},
		"paused: nothing is deleted first":                      {old: makeDeployment(), next: makeDeployment(tag("v2"), unavailable(0)), policy: pausing, want: `0 25% 2147483646 {"maxUnavailable":0,"maxSurge":"25%","progressDeadlineSeconds":600} held`},
		"paused: by its user before":                            {old: makeDeployment(), next: makeDeployment(tag("v2"), func(d *appsv1.Deployment) { d.Spec.Paused = true }), policy: pausing, want: `0 25% 2147483646 paused {"maxUnavailable":"25%","maxSurge":"25%","progressDeadlineSeconds":600} held`},
		"paused: nothing said":                                  {old: stopped(), next: stopped(minReady(3)), policy: pausing, want: paused},
		"paused: replaced as a whole":                           {old: stopped(), next: makeDeployment(unavailable(1)), policy: pausing, want: strings.Replace(paused, "25%", "1", 1)},
		"paused: another template":                              {old: stopped(), next: stopped(tag("v2")), policy: pausing, want: paused},
		"paused: a person resumes it":                           {old: stopped(), next: stopped(resumed), policy: pausing, want: `25% 25% 2147483646 {"progressDeadlineSeconds":600} held`},
		"paused: the leader resumes it":                         {by: leader, old: stopped(), next: stopped(func(d *appsv1.Deployment) { gate.Ask(d, gate.OverPause, nil) }), want: `25% 25% 2147483646 {"progressDeadlineSeconds":600} held`},
		"paused: the leader gives all back":                     {by: leader, old: stopped(), next: stopped(func(d *appsv1.Deployment) { gate.Ask(d, gate.OverAll, nil) }), want: untouched},
		"mid-hold: nothing said, as scale or a merge patch":     {old: held(), next: held(func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(9)) }), want: imposed},
		"mid-hold: the same again, as an apply in a loop":       {old: held(), next: held(unavailable("25%"), deadlineOf(600)), want: imposed},
		"mid-hold: another wish":                                {old: held(), next: held(unavailable(2), surge(3), deadlineOf(900)), want: `0 3 2147483646 {"maxUnavailable":2,"maxSurge":3,"progressDeadlineSeconds":900} held`},
		"mid-hold: replaced as a whole":                         {old: held(), next: makeDeployment(unavailable(1)), want: `0 25% 2147483646 {"maxUnavailable":1,"maxSurge":"25%","progressDeadlineSeconds":600} held`},
		"mid-hold: surge wished away":                           {old: held(), next: held(surge(0)), want: `0 1 2147483646 {"maxUnavailable":"25%","maxSurge":0,"progressDeadlineSeconds":600} held`},
		"mid-hold: another template":                            {old: held(), next: held(tag("v2")), want: imposed},
		"mid-hold: another template, no turn":                   {old: held(), next: held(tag("v2")), deaf: true, want: imposed},
		"mid-hold: undo, annotations are those of a set":        {old: held(tag("v2")), next: held(func(d *appsv1.Deployment) { d.Annotations = map[string]string{"theirs": "kept"} }), objects: []client.Object{replicaSet("v1")}, want: imposed},
		"mid-hold: undo to a set with a stale copy":             {old: held(tag("v2")), next: held(remembers(`{"maxUnavailable":7,"progressDeadlineSeconds":7}`)), want: imposed},
		"mid-hold: to Recreate":                                 {old: held(), next: held(recreate), want: "Recreate 600"},
		"mid-hold: a person edits what is remembered":           {old: held(), next: held(remembers(`{"maxUnavailable":7}`)), want: imposed},
		"mid-hold: a person asks in our name":                   {old: held(), next: held(func(d *appsv1.Deployment) { gate.Ask(d, gate.OverAll, nil) }), want: imposed},
		"mid-hold: what cannot be is left to be refused":        {old: held(), next: held(minReady(700)), want: "25% 25% 600"},
		"mid-hold: junk is kept for the turn":                   {old: held(remembers("[")), next: held(), want: "0 25% 2147483646 [ held"},
		"after the bounds: only the deadline stays imposed":     {old: held(followed(gate.OverStrategy, 700)), next: held(followed(gate.OverStrategy, 700), unavailable(1)), want: `1 25% 700 {"progressDeadlineSeconds":600,"deadline":700} held`},
		"after the bounds: a new template":                      {old: held(followed(gate.OverStrategy, 700)), next: held(followed(gate.OverStrategy, 700), tag("v2")), want: imposed},
		"not held: undo to a set with a stale copy":             {old: makeDeployment(tag("v2")), next: makeDeployment(remembers(`{"maxUnavailable":7}`)), objects: []client.Object{replicaSet("v1")}, want: untouched},
		"the leader asks for the bounds":                        {by: leader, old: held(), next: held(func(d *appsv1.Deployment) { gate.Ask(d, gate.OverStrategy, new(int32(660))) }), want: `25% 25% 660 {"progressDeadlineSeconds":600,"deadline":660} held`},
		"the leader asks for all":                               {by: leader, old: held(), next: held(func(d *appsv1.Deployment) { gate.Ask(d, gate.OverAll, nil) }), want: untouched},
		"the failsafe restores":                                 {by: "system:serviceaccount:pullpace-system:failsafe", old: held(), next: makeDeployment(), want: untouched},
		"an account of that name elsewhere is anybody's":        {by: "system:serviceaccount:pullpace-system-2:pacer", old: held(), next: held(func(d *appsv1.Deployment) { gate.Ask(d, gate.OverAll, nil) }), want: imposed},
		"somebody changed a field while admission was away":     {by: leader, old: held(deadlineOf(900)), next: held(deadlineOf(900), func(d *appsv1.Deployment) { gate.Ask(d, gate.OverAll, nil) }), want: "25% 25% 900"},
		"mid-hold: percent that says what is imposed is a wish": {old: held(), next: held(unavailable("0%")), want: `0 25% 2147483646 {"maxUnavailable":"0%","maxSurge":"25%","progressDeadlineSeconds":600} held`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := makeDeploymentAdmitter(t, tc.objects...)
			a.beating = func() bool { return !tc.deaf }
			if tc.policy != nil {
				policy := makePolicy()
				tc.policy(&policy.Spec)
				rules, err := kube.NewRules([]v1alpha1.PullBudget{*makeBudget(5)}, []v1alpha1.PacePolicy{*policy})
				if err != nil {
					t.Fatal(err)
				}
				a.rules.Store(rules)
			}
			got, resp := wrote(t, a, tc.by, tc.old, tc.next)
			if bearing(got) != tc.want {
				t.Errorf("got  %s\nwant %s", bearing(got), tc.want)
			}
			if warned := len(resp.Warnings) > 0; warned != (name == "recreated") {
				t.Errorf("warnings %q", resp.Warnings)
			}
			// The same write again, as a dry run before or an apply in a loop, changes nothing.
			if again, _ := wrote(t, a, tc.by, got, got.DeepCopy()); bearing(again) != bearing(got) {
				t.Errorf("a second time: %s", bearing(again))
			}
			if len(got.Spec.Template.Annotations)+len(got.Spec.Template.Labels) > 0 {
				t.Error("the template was changed")
			}
		})
	}
}

// followed is what the leader brought about by asking.
func followed(over gate.Over, deadline int32) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) {
		gate.Ask(d, over, &deadline)
		gate.Follow(d)
	}
}

func TestAdmissionLeavesDeploymentsThatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]admissionv1.AdmissionRequest{
		"not JSON": {Object: runtime.RawExtension{Raw: []byte("{")}},
		"junk":     {Object: runtime.RawExtension{Raw: []byte(`{"spec":{"replicas":"many"}}`)}},
		"old junk": {Object: runtime.RawExtension{Raw: []byte(`{"spec":{}}`)}, OldObject: runtime.RawExtension{Raw: []byte(`{"spec":7}`)}},
		"bare":     {Object: runtime.RawExtension{Raw: []byte(`{}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resp := makeDeploymentAdmitter(t).Handle(t.Context(), admission.Request{AdmissionRequest: req})
			if !resp.Allowed || len(resp.Patches) > 0 {
				t.Errorf("answer %+v, want allowed as it is", resp)
			}
		})
	}
}
