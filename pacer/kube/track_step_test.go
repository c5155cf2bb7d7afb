package kube

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/plan"
)

// gated is the strategy of a canary of twenty with a gate before each burst.
const gatedSteps = "  strategy: {canary: {steps: [{analysis: {}}, {setWeight: 10}, {analysis: {}}, {setWeight: 50}, {analysis: {}}]}}\n"

// makeRollout is Rollout shop/web at a step of revision v2, v1 being stable.
func makeRollout(t *testing.T, step int, status string) *unstructured.Unstructured {
	t.Helper()
	if status != "" {
		status = ", " + status
	}
	return parse(t, canary+gatedSteps+fmt.Sprintf("status: {currentPodHash: v2, stableRS: v1, currentStepIndex: %d%s}", step, status))
}

// rolloutSet is the ReplicaSet of a revision of the Rollout.
func rolloutSet(hash string, revision int, created time.Duration) *appsv1.ReplicaSet {
	rs := makeSet(hash, revision, 0, 0, created)
	rs.OwnerReferences = []metav1.OwnerReference{{APIVersion: "argoproj.io/v1alpha1", Kind: RolloutKind, Name: "web", Controller: new(true)}}
	rs.Annotations = map[string]string{rolloutRevision: fmt.Sprint(revision)}
	rs.Spec.Template.Labels = map[string]string{"app": "web", rolloutHashLabel: hash}
	rs.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/web:2"}}
	return rs
}

// rolloutPod is pod number i that the Rollout made for revision v2.
func rolloutPod(i int, edit ...func(*corev1.Pod)) *corev1.Pod {
	return makePod("v2", i, append([]func(*corev1.Pod){ungated, func(p *corev1.Pod) {
		p.UID, p.Labels = types.UID(fmt.Sprint("pod-", i)), map[string]string{"app": "web", rolloutHashLabel: "v2"}
		p.Annotations, p.CreationTimestamp = nil, metav1.NewTime(start.Add(time.Minute))
		p.Spec.Containers = []corev1.Container{{Name: "app", Image: "acme/web:2"}}
		p.Spec.ServiceAccountName = "default"
	}}, edit...)...)
}

func stepOf(index string) Step {
	return Step{Namespace: "shop", Rollout: "web", UID: "r1", Hash: "v2", Index: index}
}

// rolling is a tracker with the Rollout at its first gate.
func rolling(t *testing.T) *Tracker {
	t.Helper()
	tr := makeTracker(t)
	tr.ReplicaSet(rolloutSet("v1", 1, -time.Hour))
	tr.ReplicaSet(rolloutSet("v2", 2, 0))
	tr.Rollout(start, makeRollout(t, 0, ""))
	return tr
}

func TestAStepIsAGroupThatGoesTogether(t *testing.T) {
	t.Parallel()
	tr := rolling(t)
	v, events := tr.AskStep(start, stepOf("0"), start, nil)
	if !v.Hold {
		t.Fatalf("verdict %+v, want it to be held", v)
	}
	groups := groupsOf(events)
	if len(groups) != 1 || !groups[0].Whole || groups[0].Workload != "Rollout/shop/web" || groups[0].Revision != "v2" {
		t.Fatalf("groups %+v, want one of revision v2 of Rollout/shop/web that goes together", groups)
	}
	pods := tr.HeldPods(groups[0].ID)
	if len(pods) != 2 { // 10 % of 20
		t.Fatalf("%d pods are held, want the two that the step opens", len(pods))
	}
	step, ids, ok := tr.StepOf(PodID(pods[0]))
	if !ok || step != stepOf("0") || len(ids) != 2 {
		t.Errorf("pod %s stands for %v with %v, want the step with both", PodID(pods[0]), step, ids)
	}
	for _, p := range podsOf(events) {
		if !p.HoldUntil.Equal(start.Add(24 * time.Hour)) {
			t.Errorf("pod %+v, want the bound of the policy", p)
		}
	}
	if _, again := tr.AskStep(start, stepOf("0"), start, nil); len(again) != 0 {
		t.Errorf("asked again it changed %+v", again)
	}
	tr.RolloutGone("shop", "web")
	if len(tr.pods)+len(tr.steps.pods)+len(tr.steps.claims) != 0 {
		t.Error("something is left of a Rollout that is gone")
	}
}

// What is booked and what is there are two at every moment from the release on.
func TestPodsOfAStepTakeThePlaceOfThoseThatStandForThem(t *testing.T) {
	t.Parallel()
	tr := rolling(t)
	tr.AskStep(start, stepOf("0"), start, nil)
	released := start.Add(time.Minute)
	for _, p := range podsOf(tr.StepGoes(released, stepOf("0"), v1alpha1.ReleaseMark{Time: released, Reason: string(core.Budget)})) {
		if p.Phase != engine.PodUnbound || !p.ReleasedAt.Equal(released) {
			t.Errorf("pod %+v, want it on its way since the release", p)
		}
	}
	count := func() int { return len(tr.pods) }
	if count() != 2 {
		t.Fatalf("%d pods, want both", count())
	}
	for i := 1; i <= 2; i++ {
		events := tr.Pod(released, rolloutPod(i))
		first := podsOf(events)
		if len(first) != 1 || first[0].ID != PodID(rolloutPod(i)) || !first[0].ReleasedAt.Equal(released) {
			t.Errorf("pod %d: %+v, want it to be ours since the step went", i, first)
		}
		if last := events[len(events)-1]; i == 2 && last.GroupGone != "" || last.PodGone == "" && last.GroupGone == "" {
			t.Errorf("pod %d: the last event is %+v, want one that stood for it to go", i, last)
		}
		if count() != 2 {
			t.Errorf("%d pods are booked after pod %d, want two", count(), i)
		}
	}
	if c, ok := tr.ClaimOf(stepOf("0")); !ok || !c.Released || c.Group != "" {
		t.Errorf("claim %+v %v, want one that went and of which nothing is missing", c, ok)
	}
	// The next gate opens ten, less the two that are there.
	tr.Rollout(released, makeRollout(t, 2, ""))
	if _, ok := tr.ClaimOf(stepOf("0")); ok {
		t.Error("the first claim is there although its step is behind")
	}
	tr.AskStep(released, stepOf("2"), released, nil)
	if n := count(); n != 10 {
		t.Errorf("%d pods at the second gate, want two that run and eight that wait", n)
	}
}

func TestWhatEndsAClaim(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		step     int
		status   string
		released bool
		ends     bool
	}{
		"nothing":                          {step: 0, ends: false},
		"the step was skipped":             {step: 1, ends: true},
		"it goes back":                     {step: 0, status: "abort: true", ends: true},
		"it is promoted":                   {step: 0, status: "promoteFull: true", ends: true},
		"it went, pods are being made":     {step: 1, released: true, ends: false},
		"it went, pods are there":          {step: 2, released: true, ends: true},
		"it went and goes back":            {step: 0, status: "abort: true", released: true, ends: true},
		"it went, all are made at once":    {step: 1, status: "promoteFull: true", released: true, ends: false},
		"it went, and the rollout is over": {step: 5, status: "stableRS: v2", released: true, ends: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := rolling(t)
			tr.AskStep(start, stepOf("0"), start, nil)
			if tc.released {
				tr.StepGoes(start, stepOf("0"), v1alpha1.ReleaseMark{Time: start})
			}
			u := makeRollout(t, tc.step, "")
			for key, value := range parse(t, "status: {"+tc.status+"}").Object["status"].(map[string]any) {
				u.Object["status"].(map[string]any)[key] = value
			}
			tr.Rollout(start, u)
			if _, there := tr.ClaimOf(stepOf("0")); there == tc.ends {
				t.Errorf("the claim is there: %v, want %v", there, !tc.ends)
			}
		})
	}
}

// A cache may show the Rollout before it came to the step that its run was made for.
func TestARolloutThatIsSeenLateIsAskedAgain(t *testing.T) {
	t.Parallel()
	tr := rolling(t)
	if v, _ := tr.AskStep(start, stepOf("2"), start, nil); v.Hold || v.Reason != core.Unverified {
		t.Fatalf("verdict %+v on a step that is not reached in the cache, want to wait for it", v)
	}
	tr.Rollout(start, makeRollout(t, 2, ""))
	if v, _ := tr.AskStep(start, stepOf("2"), start, nil); !v.Hold {
		t.Errorf("verdict %+v at the step, want a hold", v)
	}
}

func TestStepsThatAreNotHeld(t *testing.T) {
	t.Parallel()
	shadow := func(p *v1alpha1.PacePolicy) { p.Spec.Mode = v1alpha1.Shadow }
	cases := map[string]struct {
		step   Step
		policy func(*v1alpha1.PacePolicy)
		budget string
		out    bool
		want   core.Reason
	}{
		"only watched":       {step: stepOf("0"), policy: shadow, want: core.Shadow},
		"of no budget":       {step: stepOf("0"), budget: "ghcr.io", want: core.NoBudget},
		"not opted in":       {step: stepOf("0"), out: true, want: core.NotOptedIn},
		"no such step":       {step: stepOf("9"), want: core.Unverified},
		"of another rollout": {step: Step{Namespace: "shop", Rollout: "api", UID: "r1", Hash: "v2", Index: "0"}, want: core.Unverified},
		"of a dead rollout":  {step: Step{Namespace: "shop", Rollout: "web", UID: "r0", Hash: "v2", Index: "0"}, want: core.Unverified},
		"of another tenant":  {step: Step{Namespace: "evil", Rollout: "web", UID: "r1", Hash: "v2", Index: "0"}, want: core.Unverified},
		"not there yet":      {step: stepOf("2"), want: core.Unverified},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := rolling(t)
			if tc.policy == nil {
				tc.policy = func(*v1alpha1.PacePolicy) {}
			}
			if tc.budget == "" {
				tc.budget = "docker.io"
			}
			tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", tc.budget)}, makePolicy("default", tc.policy)))
			if tc.out {
				tr.Namespace(makeNamespace("shop", func(n *corev1.Namespace) { n.Labels = nil }))
			}
			v, _ := tr.AskStep(start, tc.step, start, nil)
			if v.Reason != tc.want || v.Hold {
				t.Errorf("verdict %+v, want %q", v, tc.want)
			}
			if n := len(tr.steps.claims); n != 0 {
				t.Errorf("%d claims of a step that is not held", n)
			}
		})
	}
}

func TestAGateBeforeNoNewPodsIsOpen(t *testing.T) {
	t.Parallel()
	tr := rolling(t)
	for i := range 2 {
		tr.Pod(start, rolloutPod(i, running("n1")))
	}
	if v, _ := tr.AskStep(start, stepOf("0"), start, nil); v.Hold || v.Reason != core.Warm {
		t.Errorf("verdict %+v with both pods there, want it to be let go", v)
	}
}

func TestARolloutOfAbsurdSizeIsBounded(t *testing.T) {
	t.Parallel()
	tr := rolling(t)
	huge := makeRollout(t, 0, "")
	huge.Object["spec"].(map[string]any)["replicas"] = int64(1<<31 - 1)
	tr.Rollout(start, huge)
	if v, _ := tr.AskStep(start, stepOf("0"), start, nil); !v.Hold {
		t.Fatalf("verdict %+v, want a hold", v)
	}
	if n := len(tr.pods); n != plan.MaxStandIns {
		t.Errorf("%d pods stand for the step, want %d", n, plan.MaxStandIns)
	}
}

func TestAStepThatGoesBackIsARollback(t *testing.T) {
	t.Parallel()
	tr := makeTracker(t)
	tr.ReplicaSet(rolloutSet("v1", 2, 0))
	back := rolloutSet("v2", 3, -time.Hour)
	back.Annotations[rolloutHistory] = "1"
	tr.ReplicaSet(back)
	tr.Rollout(start, makeRollout(t, 0, ""))
	_, events := tr.AskStep(start, stepOf("0"), start, nil)
	if groups := groupsOf(events); len(groups) != 1 || groups[0].Lane != engine.LaneRollback {
		t.Errorf("groups %+v, want one in the lane of rollbacks", groups)
	}
}

// Controllers of Deployments and Rollouts note a revision in its own history whenever an
// annotation changes: an order on a workload does not make it go back.
func TestAnOrderIsNoRollback(t *testing.T) {
	t.Parallel()
	for history, want := range map[string]engine.Lane{"": engine.LaneNormal, "3": engine.LaneNormal, "3,3": engine.LaneNormal, "1": engine.LaneRollback, "1,3": engine.LaneRollback} {
		t.Run(history, func(t *testing.T) {
			t.Parallel()
			tr := makeTracker(t)
			tr.ReplicaSet(rolloutSet("v1", 2, 0))
			next := rolloutSet("v2", 3, time.Hour)
			next.Annotations[rolloutHistory] = history
			tr.ReplicaSet(next)
			tr.Rollout(start, makeRollout(t, 0, ""))
			_, events := tr.AskStep(start, stepOf("0"), start, nil)
			if groups := groupsOf(events); len(groups) != 1 || groups[0].Lane != want {
				t.Errorf("groups %+v, want one in lane %v", groups, want)
			}
		})
	}
}

// Pods that are there must not make those to come look like their replacements.
func TestAStepIsNoRepair(t *testing.T) {
	t.Parallel()
	tr := rolling(t)
	set := rolloutSet("v2", 2, 0)
	set.Spec.Replicas, set.Status.ReadyReplicas = new(int32(10)), 10
	tr.ReplicaSet(set)
	_, events := tr.AskStep(start, stepOf("0"), start, nil)
	if groups := groupsOf(events); len(groups) != 1 || groups[0].Lane != engine.LaneNormal {
		t.Errorf("groups %+v, want one that waits like others", groups)
	}
}

func TestRunsTellOfClaims(t *testing.T) {
	t.Parallel()
	at := start.Add(time.Minute)
	passed := Run{Name: "web-v2-2-0", Step: stepOf("0"), Ours: true, Completed: true, Passed: true, Decision: Allow, At: at}
	t.Run("one that ended ends the claim", func(t *testing.T) {
		t.Parallel()
		tr := rolling(t)
		tr.AskStep(start, stepOf("0"), start, nil)
		tr.Run(start, Run{Name: "web-v2-2-0", Step: stepOf("0"), Ours: true}, false)
		tr.Run(start, Run{Name: "web-v2-2-0", Step: stepOf("0"), Ours: true, Completed: true}, false)
		if _, ok := tr.ClaimOf(stepOf("0")); ok {
			t.Error("the claim is there although nobody waits")
		}
	})
	t.Run("after a restart what was let go is booked again", func(t *testing.T) {
		t.Parallel()
		tr := rolling(t)
		tr.Pod(start, rolloutPod(1, running("n1")))
		tr.Rollout(start, makeRollout(t, 1, ""))
		pods := podsOf(tr.Run(start, passed, false))
		if len(pods) != 1 || pods[0].Phase != engine.PodUnbound || !pods[0].ReleasedAt.Equal(at) {
			t.Errorf("pods %+v, want the one that is still to come, let go when the gate said so", pods)
		}
	})
	t.Run("but not where its pods came", func(t *testing.T) {
		t.Parallel()
		tr := rolling(t)
		tr.Rollout(start, makeRollout(t, 2, ""))
		if events := tr.Run(start, passed, false); len(events) != 0 {
			t.Errorf("events %+v of a step that is behind", events)
		}
	})
	t.Run("nor where it did not end by our leave", func(t *testing.T) {
		t.Parallel()
		tr := rolling(t)
		held := passed
		held.Decision = Wait
		if events := tr.Run(start, held, false); len(events) != 0 {
			t.Errorf("events %+v of a gate that we held", events)
		}
	})
}

func TestAStepOfWhichNothingIsHeardBlocksNobody(t *testing.T) {
	t.Parallel()
	tr := rolling(t)
	tr.AskStep(start, stepOf("0"), start, nil)
	tr.StepGoes(start, stepOf("0"), v1alpha1.ReleaseMark{Time: start})
	tr.Pod(start.Add(4*time.Minute), rolloutPod(1))
	if quiet := tr.QuietSteps(start.Add(6*time.Minute), 5*time.Minute); len(quiet) != 0 {
		t.Fatalf("quiet %v two minutes after a pod came", quiet)
	}
	late := start.Add(10 * time.Minute)
	if quiet := tr.QuietSteps(late, 5*time.Minute); len(quiet) != 1 {
		t.Fatalf("quiet %v, want the step", quiet)
	}
	for _, p := range podsOf(tr.EndStep(late, stepOf("0"))) {
		if p.Phase != engine.PodUnschedulable {
			t.Errorf("pod %+v, want it to be parked", p)
		}
	}
	if diff := cmp.Diff(map[engine.PodPhase]int{engine.PodUnbound: 1, engine.PodUnschedulable: 1}, phases(tr)); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func TestPodsOfARolloutAreNotGated(t *testing.T) {
	t.Parallel()
	rules := mustRules(t, []v1alpha1.PullBudget{makeBudget("hub", "docker.io")}, makePolicy("default"))
	if v := rules.Judge(Case{Pod: rolloutPod(1), Namespace: makeNamespace("shop")}); v.Hold || v.Reason != core.Excluded {
		t.Errorf("verdict %+v on a pod of a Rollout, want Excluded", v)
	}
	if got := OwnerOf(rolloutPod(1)).String(); got != "Rollout/shop/web" {
		t.Errorf("owner %s, want the Rollout", got)
	}
	// What nobody let go is demand that nobody held.
	tr := rolling(t)
	if pods := podsOf(tr.Pod(start, rolloutPod(1))); len(pods) != 1 || !pods[0].ReleasedAt.IsZero() {
		t.Errorf("pods %+v, want one that nobody let go", pods)
	}
}
