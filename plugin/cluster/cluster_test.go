package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		arg     string
		want    string
		wantErr bool
	}{
		"short": {"deploy/api", "deploy/api", false}, "long": {"deployments.apps/api", "deploy/api", false}, "capitals": {"Deployment/api", "deploy/api", false},
		"budget": {"pullbudget/hub", "budget/hub", false}, "pod": {"po/x", "pod/x", false},
		"no name": {"deploy/", "", true}, "no kind": {"/api", "", true}, "two slashes": {"deploy/a/b", "", true}, "unknown": {"thing/x", "", true}, "empty": {"", "", true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseTarget(tc.arg)
			if (err != nil) != tc.wantErr {
				t.Fatalf("error %v, want one: %t", err, tc.wantErr)
			}
			if err == nil && got.String() != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestEveryKindHasAName(t *testing.T) {
	t.Parallel()
	for kind := range words {
		if short[kind] == "" {
			t.Errorf("%s has no short name", kind)
		}
	}
}

func TestExplainForbidden(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Resource: "x"}
	tests := map[string]struct{ message, want string }{
		"namespaced": {
			`User "kim" cannot patch resource "deployments" in API group "apps" in the namespace "shop"`,
			`not allowed: user "kim" may not patch deployments.apps in namespace shop; nothing was changed. Ask for the role pace-edit, or for that verb`,
		},
		"cluster": {
			`User "kim" cannot create resource "clusterroles" in API group "rbac.authorization.k8s.io" at the cluster scope`,
			`not allowed: user "kim" may not create clusterroles.rbac.authorization.k8s.io in the whole cluster; nothing was changed. Ask for the role pace-admin, or for that verb`,
		},
		"read": {
			`User "kim" cannot list resource "pullbudgets" in API group "pullpace.dev" at the cluster scope`,
			`not allowed: user "kim" may not list pullbudgets.pullpace.dev in the whole cluster; nothing was changed. Ask for the role pace-view, or for that verb`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Explain(apierrors.NewForbidden(resource, "x", errors.New(tc.message)), "kubectl pace")
			if diff := cmp.Diff(tc.want, got.Error()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !apierrors.IsForbidden(got) {
				t.Error("the cause is lost")
			}
		})
	}
}

func TestOwnerOf(t *testing.T) {
	t.Parallel()
	pod := func(kind, name, hash string) *corev1.Pod {
		controller := true
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
		if kind != "" {
			p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, Controller: &controller}}
		}
		if hash != "" {
			p.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash}
		}
		return p
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"deployment":       {pod("ReplicaSet", "api-7d9f", "7d9f"), "deploy/api"},
		"replicaset alone": {pod("ReplicaSet", "api", ""), "rs/api"},
		"name is the hash": {pod("ReplicaSet", "-7d9f", "7d9f"), "rs/-7d9f"},
		"statefulset":      {pod("StatefulSet", "db", ""), "sts/db"},
		"bare":             {pod("", "", ""), "pod/p"},
		"other":            {pod("Workflow", "w", ""), "Workflow/w"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := OwnerOf(tc.pod); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	controller := true
	set := func(name, revision, image string) *appsv1.ReplicaSet {
		return &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: name, Labels: map[string]string{"app": "api"}, Annotations: map[string]string{"deployment.kubernetes.io/revision": revision},
				OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "api", UID: "api", Controller: &controller}},
			},
			Spec: appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "api", appsv1.DefaultDeploymentUniqueLabelKey: name}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "api", Image: image}}},
			}},
		}
	}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api", UID: "api", Annotations: map[string]string{"deployment.kubernetes.io/revision": "3"}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}}, Template: set("c", "3", "api:3").Spec.Template,
		},
	}
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(d, set("a", "1", "api:1"), set("b", "2", "api:2"), set("c", "3", "api:3")).Build()
	current, err := DeploymentOf(t.Context(), c, "shop", "api")
	if err != nil {
		t.Fatal(err)
	}
	if err := Undo(t.Context(), c, current); err != nil {
		t.Fatal(err)
	}
	got, err := DeploymentOf(t.Context(), c, "shop", "api")
	if err != nil {
		t.Fatal(err)
	}
	if image := got.Spec.Template.Spec.Containers[0].Image; image != "api:2" {
		t.Errorf("image %s, want that of revision 2", image)
	}
	if _, left := got.Spec.Template.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; left {
		t.Error("the hash of a ReplicaSet is in the template")
	}
	alone := fake.NewClientBuilder().WithScheme(scheme).WithObjects(d.DeepCopy()).Build()
	if err := Undo(t.Context(), alone, d); !errors.Is(err, ErrNoPrevious) {
		t.Errorf("got %v, want ErrNoPrevious", err)
	}
}

func TestHoldOfHostilePod(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationHoldUntil: "tomorrow", v1alpha1.AnnotationRelease: "junk"}}}
	if got := HoldOf(pod); got.Reason != "" || !got.Until.IsZero() {
		t.Errorf("got %+v", got)
	}
	if mark, ok := ReleaseOf(pod); !ok || mark.Reason != "Unreadable" {
		t.Errorf("got %+v %t", mark, ok)
	}
}

func TestRefill(t *testing.T) {
	t.Parallel()
	account := func(limit int64, window time.Duration, free int64) v1alpha1.PullBudget {
		return v1alpha1.PullBudget{Status: v1alpha1.PullBudgetStatus{Accounts: []v1alpha1.AccountStatus{{
			Account: "a", Limit: limit, Window: metav1.Duration{Duration: window}, Available: []v1alpha1.ClassUnits{{Class: "rollout", Units: free}},
		}}}}
	}
	budgets := []v1alpha1.PullBudget{account(100, time.Hour, 7), account(10, time.Second, 3), {}}
	if got := RefillEvery(budgets); got != 36*time.Second {
		t.Errorf("got %s, want 36s of the slowest account", got)
	}
	if got := LeastFree(budgets); got != 3 {
		t.Errorf("got %d, want 3 of the scarcest account", got)
	}
	if got := RefillEvery(nil); got != 0 {
		t.Errorf("got %s without budgets", got)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 14, 0, 0, 0, time.UTC)
	pod := func(name, reason string, created time.Time) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(created)},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: v1alpha1.ConditionHeld, Status: corev1.ConditionTrue, Reason: reason, Message: "m"}}},
		}
	}
	got := Groups([]corev1.Pod{pod("b", "Reserve", at), pod("a", "Canary", at), pod("a", "Canary", at.Add(-time.Minute))})
	want := []view.HeldGroup{
		{Namespace: "shop", Workload: "pod/a", Pods: 2, Reason: "Canary", Message: "m", Since: at.Add(-time.Minute)},
		{Namespace: "shop", Workload: "pod/b", Pods: 1, Reason: "Reserve", Message: "m", Since: at},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestManagedByArgoCD: its tracking label is one that others use too, but for what it
// wrote itself.
func TestManagedByArgoCD(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		manager string
		want    Manager
	}{
		"by its fields": {"argocd-controller", Manager{Tool: "Argo CD", Object: "shop"}},
		"by another":    {"kubectl-client-side-apply", Manager{}},
	}
	for name, tc := range tests {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
			Labels:        map[string]string{"app.kubernetes.io/instance": "shop"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: tc.manager}},
		}}
		if diff := cmp.Diff(tc.want, ManagedBy(d)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

func TestShareInPlainNumbers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		share    *v1alpha1.Share
		declared bool
		want     string
	}{
		"none":                  {nil, false, ""},
		"half":                  {&v1alpha1.Share{FractionOfRemaining: new(resource.MustParse("0.5")), Guard: 1}, false, "0.5 of what remains, 1 kept back"},
		"a tenth":               {&v1alpha1.Share{FractionOfRemaining: new(resource.MustParse("100m"))}, false, "0.1 of what remains"},
		"a tenth, not observed": {&v1alpha1.Share{FractionOfRemaining: new(resource.MustParse("100m"))}, true, "0.1 of the limit"},
		"a window":              {&v1alpha1.Share{MaxPerWindow: 40}, false, "40 a window at most"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := share(tc.share, tc.declared); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

// TestUsage: who spent the window, by namespace; the parts make the whole.
func TestUsage(t *testing.T) {
	t.Parallel()
	used := []v1alpha1.UseStatus{{Workload: "Deployment/shop/api", Units: 11}, {Workload: "Job/ci/nightly", Units: 10}, {Workload: "Pod/ci/build-7", Units: 2}, {Units: 3}}
	at := metav1.NewMicroTime(time.Unix(1, 0))
	tests := map[string]struct {
		account v1alpha1.AccountStatus
		want    *view.Usage
	}{
		"nothing is known": {v1alpha1.AccountStatus{Account: "docker.io/anonymous"}, nil},
		"read": {v1alpha1.AccountStatus{Limit: 100, Remaining: 58, SentAt: &at, ForeignTaken: 9, Open: 4, UsedBy: used}, &view.Usage{
			Used: 35, Unnamed: 3, UnderWay: 4, NotThisCluster: new(int64(9)), Namespaces: []view.NamespaceUse{
				{Namespace: "ci", Units: 12, Workloads: []view.WorkloadUse{{Workload: "Job/nightly", Units: 10}, {Workload: "Pod/build-7", Units: 2}}},
				{Namespace: "shop", Units: 11, Workloads: []view.WorkloadUse{{Workload: "Deployment/api", Units: 11}}},
			}}},
		"declared: of others nothing is known": {v1alpha1.AccountStatus{Limit: 20, UsedBy: used[:1]}, &view.Usage{
			Used: 11, Namespaces: []view.NamespaceUse{{Namespace: "shop", Units: 11, Workloads: []view.WorkloadUse{{Workload: "Deployment/api", Units: 11}}}}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, usage(&tc.account)); diff != "" {
				t.Errorf("usage (-want +got)\n%s", diff)
			}
		})
	}
}
