//go:build linux

package mainjob

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// A right is a question to the API server: may somebody do that there?
type right struct {
	verb, group, resource, name string
	// namespace is where; empty: in all, or of an object that is in none.
	namespace string
}

func (r right) String() string {
	what := r.resource
	if r.group != "" {
		what += "." + r.group
	}
	if r.name != "" {
		what += "/" + r.name
	}
	return strings.TrimSpace(r.verb + " " + what + " " + r.namespace)
}

// subject is whom a question is about.
type subject struct {
	user   string
	groups []string
}

// serviceAccount is an account of Pace.
func serviceAccount(name string) subject {
	return subject{user: "system:serviceaccount:" + v1alpha1.Namespace + ":" + name,
		groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + v1alpha1.Namespace, "system:authenticated"}}
}

// person is somebody who has nothing but a role in the stage's namespace.
func person(name string) subject {
	return subject{user: name, groups: []string{"system:authenticated"}}
}

// ask asks the API server.
func (a subject) ask(ctx context.Context, c kubernetes.Interface, r right) (bool, error) {
	resource, sub, _ := strings.Cut(r.resource, "/")
	review, err := c.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: a.user, Groups: a.groups, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: r.namespace, Verb: r.verb, Group: r.group, Resource: resource, Subresource: sub, Name: r.name,
		}}}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking whether %s may %s: %w", a.user, r, err)
	}
	return review.Status.Allowed, nil
}

// await complains unless a person may do it, or may not. Whoever asks goes by bindings
// that it may see a moment later: what is to be allowed is asked again for a while.
func (a subject) await(ctx context.Context, c kubernetes.Interface, r right, may bool) error {
	ctx, cancel := context.WithTimeout(ctx, boundWithin)
	defer cancel()
	refused := false
	err := stage.Poll(ctx, fmt.Sprintf("%s to be allowed %v to %s", a.user, may, r), func(ctx context.Context) (bool, string, error) {
		allowed, err := a.ask(ctx, c, r)
		refused = err == nil && allowed && !may
		return allowed == may || refused, fmt.Sprint("allowed ", allowed), err
	})
	if refused {
		return fmt.Errorf("%s is allowed to %s, want not", a.user, r)
	}
	return err
}

// boundWithin is how long the API server may take to see a binding.
const boundWithin = 20 * time.Second

// rights asks the API server what every account and role of Pace may do: a table of
// what each must and must not, and a sweep over all resources for what its rules do
// not say.
func rights(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	config := s.Cluster.RESTConfig()
	config.QPS, config.Burst = 2000, 2000
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	people, clear, err := bindPeople(ctx, s)
	if err != nil {
		return err
	}
	defer clear()
	var wrong error
	asked := 0
	for _, row := range matrix(s.Name, people) {
		for _, question := range row.rights {
			asked++
			if err := row.who.await(ctx, c, question, row.may); err != nil {
				wrong = all(wrong, err)
			}
		}
	}
	r.Note("rows", asked)
	places, err := sweepOf(c, s.Name)
	if err != nil {
		return err
	}
	r.Note("sweep", len(places))
	for _, name := range []string{"pacer", "pacer-failsafe"} {
		wrong = all(wrong, sweep(ctx, s, c, name, places))
	}
	return wrong
}

// bindPeople makes one person for each role for people, with that role in the stage's
// namespace.
func bindPeople(ctx context.Context, s *stage.Stage) (people map[string]subject, clear func(), err error) {
	people = map[string]subject{}
	for _, role := range []string{"pace-view", "pace-edit", "pace-admin", "admin"} {
		who := person(s.Name + "-" + role)
		people[role] = who
		binding := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: who.user}},
		}
		if err := s.Client.Create(ctx, binding); err != nil {
			return nil, nil, fmt.Errorf("giving %s a role: %w", who.user, err)
		}
	}
	all := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-platform"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "pace-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: s.Name + "-platform"}},
	}
	people["platform"] = person(s.Name + "-platform")
	if err := s.Client.Create(ctx, all); err != nil {
		return nil, nil, fmt.Errorf("giving the platform's people a role: %w", err)
	}
	return people, func() { _ = s.Client.Delete(context.WithoutCancel(ctx), all) }, nil
}

// row is what one account may do, or may not.
type row struct {
	who    subject
	may    bool
	rights []right
}

// matrix is what must be so whatever the rules say.
func matrix(namespace string, people map[string]subject) []row {
	own := v1alpha1.Namespace
	pacer, failsafe := serviceAccount("pacer"), serviceAccount("pacer-failsafe")
	hooks := "mutatingwebhookconfigurations"
	return []row{
		{pacer, true, []right{
			{"patch", "", "pods", "", namespace}, {"patch", "", "pods/status", "", namespace}, {"list", "", "pods", "", ""}, {"watch", "", "nodes", "", ""},
			{"get", "", "secrets", "", own}, {"update", "", "secrets", "pullpace-webhook", own}, {"create", "", "pods", "", own},
			{"update", "coordination.k8s.io", "leases", "pullpace-turn", own}, {"patch", "admissionregistration.k8s.io", hooks, "pacer", ""},
			{"create", "authentication.k8s.io", "tokenreviews", "", ""}, {"patch", v1alpha1.Group, "pullbudgets/status", "hub", ""},
		}},
		{pacer, false, []right{
			{"get", "", "secrets", "", namespace}, {"list", "", "secrets", "", ""}, {"get", "", "secrets", "", metav1.NamespaceSystem},
			{"create", "", "pods", "", namespace}, {"delete", "", "pods", "", namespace}, {"delete", "", "pods", "", own},
			{"create", "", "pods/exec", "", namespace}, {"create", "", "pods/exec", "", own}, {"create", "", "pods/binding", "", namespace},
			{"create", "", "pods/eviction", "", namespace}, {"create", "", "serviceaccounts/token", "", own}, {"update", "", "nodes", "", ""},
			{"delete", "", "namespaces", "", ""}, {"patch", "", "namespaces", "", ""}, {"get", "", "configmaps", "", namespace},
			{"patch", "admissionregistration.k8s.io", hooks, "another", ""}, {"create", "admissionregistration.k8s.io", hooks, "", ""},
			{"delete", "admissionregistration.k8s.io", hooks, "pacer", ""}, {"patch", "rbac.authorization.k8s.io", "clusterroles", "pacer", ""},
			{"create", "rbac.authorization.k8s.io", "rolebindings", "", own}, {"escalate", "rbac.authorization.k8s.io", "clusterroles", "", ""},
			{"bind", "rbac.authorization.k8s.io", "clusterroles", "", ""}, {"impersonate", "", "users", "", ""}, {"impersonate", "", "serviceaccounts", "", own},
			{"patch", v1alpha1.Group, "pullbudgets", "hub", ""}, {"create", v1alpha1.Group, "pacepolicies", "", ""},
		}},
		{failsafe, true, []right{{"patch", "", "pods", "", namespace}, {"list", "", "pods", "", ""}}},
		{failsafe, false, []right{
			{"get", "", "secrets", "", own}, {"create", "", "pods", "", own}, {"create", "", "pods", "", namespace}, {"delete", "", "pods", "", namespace},
			{"patch", "", "pods/status", "", namespace}, {"patch", "admissionregistration.k8s.io", hooks, "pacer", ""},
			{"patch", v1alpha1.Group, "pullbudgets/status", "hub", ""}, {"get", "", "secrets", "", namespace}, {"create", "", "pods/exec", "", namespace},
			{"update", "coordination.k8s.io", "leases", "pullpace-turn", own},
		}},
		{people["pace-view"], false, []right{
			{"patch", "", "pods", "", namespace}, {"create", "", "pods", "", namespace}, {"get", "", "secrets", "", namespace},
			{"create", v1alpha1.Group, "pullbudgets", "", ""}, {"get", "", "secrets", "", own},
		}},
		{people["pace-edit"], true, []right{{"patch", "", "pods", "", namespace}, {"patch", "apps", "deployments", "", namespace}}},
		{people["pace-edit"], false, []right{
			{"patch", "", "pods", "", own}, {"patch", "", "pods", "", metav1.NamespaceDefault}, {"get", "", "secrets", "", own}, {"get", "", "secrets", "", namespace},
			{"create", v1alpha1.Group, "pullbudgets", "", ""}, {"patch", v1alpha1.Group, "pacepolicies", "default", ""}, {"patch", "", "namespaces", namespace, ""},
		}},
		// Who runs a namespace does not thereby rule what all of them share.
		{people["admin"], false, []right{
			{"create", v1alpha1.Group, "pullbudgets", "", ""}, {"patch", v1alpha1.Group, "pacepolicies", "default", ""},
			{"get", "", "secrets", "", own}, {"create", "", "pods", "", own}, {"patch", "admissionregistration.k8s.io", hooks, "pacer", ""},
		}},
		{people["platform"], true, []right{{"create", v1alpha1.Group, "pullbudgets", "", ""}, {"patch", v1alpha1.Group, "pacepolicies", "default", ""}}},
		{people["platform"], false, []right{
			{"get", "", "secrets", "", own}, {"create", "", "secrets", "", own}, {"create", "", "pods", "", own},
			{"patch", v1alpha1.Group, "pullbudgets/status", "hub", ""}, {"patch", "", "pods", "", namespace},
		}},
	}
}

// sweepVerbs are what can be done to any resource.
var sweepVerbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// sweepOf are all questions about all resources that the API server has, in the
// stage's namespace, in Pace's own, and in all.
func sweepOf(c kubernetes.Interface, namespace string) ([]right, error) {
	_, lists, err := c.Discovery().ServerGroupsAndResources()
	if err != nil {
		return nil, fmt.Errorf("asking for all resources: %w", err)
	}
	asked := map[right]bool{}
	for _, list := range lists {
		group, _, versioned := strings.Cut(list.GroupVersion, "/")
		if !versioned {
			group = ""
		}
		for _, resource := range list.APIResources {
			where := []string{""}
			if resource.Namespaced {
				where = []string{"", namespace, v1alpha1.Namespace}
			}
			for _, place := range where {
				for _, verb := range sweepVerbs {
					asked[right{verb: verb, group: group, resource: resource.Name, namespace: place}] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(asked), func(a, b right) int { return strings.Compare(a.String(), b.String()) }), nil
}

// sweep complains of everything that an account of Pace may do and its own rules do
// not say, and of what they say and it may not. What everybody may is left out.
func sweep(ctx context.Context, s *stage.Stage, c kubernetes.Interface, name string, questions []right) error {
	said, err := rulesOf(ctx, s, name)
	if err != nil {
		return err
	}
	found := make([]error, len(questions))
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(16)
	who, anybody := serviceAccount(name), subject{user: "system:serviceaccount:" + v1alpha1.Namespace + ":nobody", groups: serviceAccount("").groups}
	for i, question := range questions {
		group.Go(func() error {
			allowed, err := who.ask(asking, c, question)
			if err != nil || allowed == said(question) {
				return err
			}
			if everybody, err := anybody.ask(asking, c, question); err != nil || everybody {
				return err
			}
			found[i] = fmt.Errorf("%s: allowed %v to %s, its rules say %v", name, allowed, question, !allowed)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return all(found...)
}

// rulesOf reads what the roles of that name grant, as they were applied: cluster-wide,
// and in Pace's own namespace.
func rulesOf(ctx context.Context, s *stage.Stage, name string) (func(right) bool, error) {
	var everywhere rbacv1.ClusterRole
	if err := s.Client.Get(ctx, client.ObjectKey{Name: name}, &everywhere); err != nil {
		return nil, fmt.Errorf("reading ClusterRole %q: %w", name, err)
	}
	var own rbacv1.Role
	if err := s.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, &own); err != nil {
		return nil, fmt.Errorf("reading Role %q: %w", name, err)
	}
	return func(r right) bool {
		return slices.ContainsFunc(everywhere.Rules, r.in) || r.namespace == v1alpha1.Namespace && slices.ContainsFunc(own.Rules, r.in)
	}, nil
}

// in reports whether a rule grants the right for objects of any name.
func (r right) in(rule rbacv1.PolicyRule) bool {
	return len(rule.ResourceNames) == 0 && slices.Contains(rule.Verbs, r.verb) &&
		slices.Contains(rule.APIGroups, r.group) && slices.Contains(rule.Resources, r.resource)
}
