package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
)

// makeLogin is a PullBudget for pulls of Docker Hub with a login.
func makeLogin(edit func(*v1alpha1.BudgetMatch)) v1alpha1.PullBudget {
	return makeBudget("login", "docker.io", func(b *v1alpha1.PullBudget) {
		b.Spec.Identity = v1alpha1.Credentials
		b.Spec.Credentials = &v1alpha1.BudgetCredentials{SecretName: "hub"}
		b.Spec.Match = &v1alpha1.BudgetMatch{}
		edit(b.Spec.Match)
	})
}

func secrets(names ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, n := range names {
			p.Spec.ImagePullSecrets = append(p.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: n})
		}
	}
}

func inShop(m *v1alpha1.BudgetMatch) {
	m.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "shop"}}
}

func TestPodsThatABudgetWithALoginMeansAndThatCarryNone(t *testing.T) {
	t.Parallel()
	named := func(m *v1alpha1.BudgetMatch) { inShop(m); m.PullSecretNames = []string{"hub"} }
	web := Owner{"Deployment", "shop", "web"}
	tests := map[string]struct {
		match func(*v1alpha1.BudgetMatch)
		pod   *corev1.Pod
		want  []Owner
	}{
		"the secret is there":       {named, makePod("1", 1, secrets("other", "hub")), nil},
		"another secret":            {named, makePod("1", 1, secrets("other")), []Owner{web}},
		"no secret":                 {named, makePod("1", 1), []Owner{web}},
		"no name is declared":       {inShop, makePod("1", 1), []Owner{web}},
		"none declared, one there":  {inShop, makePod("1", 1, secrets("other")), nil},
		"of that service account":   {func(m *v1alpha1.BudgetMatch) { m.ServiceAccounts = []string{"web"} }, makePod("1", 1, func(p *corev1.Pod) { p.Spec.ServiceAccountName = "web" }), []Owner{web}},
		"of another account":        {func(m *v1alpha1.BudgetMatch) { m.ServiceAccounts = []string{"web"} }, makePod("1", 1), nil},
		"of another registry":       {named, makePod("1", 1, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "ghcr.io/a/b:1" }), nil},
		"meant by its secret alone": {func(m *v1alpha1.BudgetMatch) { m.PullSecretNames = []string{"hub"} }, makePod("1", 1), nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := NewTracker()
			tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeLogin(tc.match)}))
			tr.Pod(start, tc.pod) // its namespace is not known yet, which proves nothing
			if got := tr.Anonymous("login"); got != nil {
				t.Errorf("before the namespace is seen: %v", got)
			}
			tr.Namespace(makeNamespace("shop"))
			if diff := cmp.Diff(tc.want, tr.Anonymous("login")); diff != "" {
				t.Errorf("without a login (-want +got):\n%s", diff)
			}
			tr.PodGone(PodID(tc.pod))
			if got := tr.Anonymous("login"); got != nil {
				t.Errorf("after the pod is gone: %v", got)
			}
		})
	}
}

func TestAnonymousBudgetsMissNoLogin(t *testing.T) {
	t.Parallel()
	tr := NewTracker()
	tr.Rules(mustRules(t, []v1alpha1.PullBudget{makeBudget("login", "docker.io", func(b *v1alpha1.PullBudget) {
		b.Spec.Match = &v1alpha1.BudgetMatch{}
		inShop(b.Spec.Match)
	})}))
	tr.Namespace(makeNamespace("shop"))
	tr.Pod(start, makePod("1", 1))
	if got := tr.Anonymous("login"); got != nil {
		t.Errorf("%v should carry a login for a budget without one", got)
	}
}

func TestOverlappedPolicies(t *testing.T) {
	t.Parallel()
	older := func(edit func(*v1alpha1.PacePolicySpec)) v1alpha1.PacePolicy {
		return makePolicy("older", func(p *v1alpha1.PacePolicy) { edit(&p.Spec) })
	}
	younger := func(edit func(*v1alpha1.PacePolicySpec)) v1alpha1.PacePolicy {
		return makePolicy("a-younger", func(p *v1alpha1.PacePolicy) {
			p.CreationTimestamp = metav1.NewTime(start.Add(time.Hour))
			edit(&p.Spec)
		})
	}
	all := func(*v1alpha1.PacePolicySpec) {}
	shop := func(s *v1alpha1.PacePolicySpec) {
		s.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "shop"}}
	}
	web := func(s *v1alpha1.PacePolicySpec) {
		s.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	}
	labelled := func(p *corev1.Pod) { p.Labels["app"] = "web" }
	yes := map[string]string{"a-younger": "older"}
	tests := map[string]struct {
		older, younger v1alpha1.PacePolicy
		pod            *corev1.Pod
		off            bool
		want           map[string]string
	}{
		"the older selects everything":            {older(all), younger(shop), nil, false, yes},
		"both select the same":                    {older(shop), younger(shop), nil, false, yes},
		"the older selects less, no pod shows it": {older(web), younger(shop), nil, false, map[string]string{}},
		"a pod that both select":                  {older(web), younger(shop), makePod("1", 1, labelled), false, yes},
		"a pod that the younger selects":          {older(web), younger(shop), makePod("1", 1), false, map[string]string{}},
		"where Pace is switched off":              {older(web), younger(shop), makePod("1", 1, labelled), true, map[string]string{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := NewTracker()
			tr.Rules(mustRules(t, nil, tc.younger, tc.older))
			tr.Namespace(makeNamespace("shop", func(n *corev1.Namespace) {
				if tc.off {
					n.Labels = map[string]string{corev1.LabelMetadataName: "shop"}
				}
			}))
			if tc.pod != nil {
				tr.Pod(start, tc.pod)
			}
			if diff := cmp.Diff(tc.want, tr.Overlapped()); diff != "" {
				t.Errorf("overlapped (-want +got):\n%s", diff)
			}
		})
	}
}

// Of two PullBudgets that match a pod and host the more specific wins, whichever is
// older; among equals the older.
func TestTheMoreSpecificBudgetWins(t *testing.T) {
	t.Parallel()
	hub := makeBudget("hub", "docker.io")
	login := makeLogin(func(m *v1alpha1.BudgetMatch) { m.PullSecretNames = []string{"hub"} })
	login.CreationTimestamp = metav1.NewTime(start.Add(time.Hour))
	cache := makeBudget("cache", "docker.io", func(b *v1alpha1.PullBudget) {
		b.Spec.UpstreamOf = []string{"cache.corp"}
		b.Spec.Identity = v1alpha1.NodeCredentials
	})
	cache.CreationTimestamp = metav1.NewTime(start.Add(2 * time.Hour))
	tests := map[string]struct {
		budgets []v1alpha1.PullBudget
		pod     *corev1.Pod
		want    core.AccountID
	}{
		"the one for its secret":              {[]v1alpha1.PullBudget{hub, login}, makePod("1", 1, secrets("hub")), "docker.io/hub"},
		"the default without the secret":      {[]v1alpha1.PullBudget{hub, login}, makePod("1", 1), "docker.io/anonymous"},
		"the older of two defaults":           {[]v1alpha1.PullBudget{cache, hub}, makePod("1", 1), "docker.io/anonymous"},
		"a cache draws on what it fetches of": {[]v1alpha1.PullBudget{hub, cache}, makePod("1", 1, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "cache.corp/acme/web:1" }), "docker.io/node-credentials"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyNode := map[string][]string{"hub": {""}, "login": {""}, "cache": {""}}
			accounts := candidates(mustRules(t, tc.budgets).budgets, everyNode, hostOf(tc.pod), &tc.pod.Spec, nil)
			if len(accounts) == 0 || accounts[0] != tc.want {
				t.Errorf("draws on %q, want %q first", accounts, tc.want)
			}
		})
	}
}

func hostOf(p *corev1.Pod) string { return Pulls(&p.Spec)[0].Host }
