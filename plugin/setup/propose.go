package setup

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
)

// Census counts which registries the images of a cluster come from. Its zero value is
// ready.
type Census struct {
	Pods  int
	hosts map[string]*hostCount
}

// hostCount is the pods that pull from a host, and the pull secrets that they name.
type hostCount struct {
	pods    int
	secrets map[string]int
}

// Add counts a pod, unless it will never pull again.
func (c *Census) Add(pod *corev1.Pod) {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return
	}
	c.Pods++
	hosts := map[string]bool{}
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if _, host, ok := kube.NormalImage(container.Image); ok && container.ImagePullPolicy != corev1.PullNever {
			hosts[host] = true
		}
	}
	for host := range hosts {
		if c.hosts == nil {
			c.hosts = map[string]*hostCount{}
		}
		n := c.hosts[host]
		if n == nil {
			n = &hostCount{secrets: map[string]int{}}
			c.hosts[host] = n
		}
		n.pods++
		for _, secret := range pod.Spec.ImagePullSecrets {
			n.secrets[secret.Name]++
		}
	}
}

// Registries is how many hosts the images come from.
func (c *Census) Registries() int { return len(c.hosts) }

// Known is what a proposal must leave alone or may build on.
type Known struct {
	Budgets []v1alpha1.PullBudget
	// Image is Pace's own: an account that it is pulled from is never paced.
	Image string
	// Secrets are the names of the Secrets in Pace's own namespace.
	Secrets []string
}

// Proposal is a PullBudget and how many pods it is for.
type Proposal struct {
	Budget v1alpha1.PullBudget
	Pods   int
}

// Propose returns a PullBudget for each registry that has none, the most used first,
// and what a person has to do for the rest. Limits are never guessed: they are
// read, and a registry that tells none is not paced.
func (c *Census) Propose(k Known) (proposals []Proposal, notes []string) {
	_, own, _ := kube.NormalImage(k.Image)
	taken := map[string]bool{}
	for _, b := range k.Budgets {
		taken[b.Name] = true
	}
	for _, host := range c.byUse() {
		n := c.hosts[host]
		if host == own {
			notes = append(notes, fmt.Sprintf("%s: no PullBudget, since Pace's own image comes from there", host))
			continue
		}
		if !covered(k.Budgets, host) {
			budget := v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: free(taken, budgetName(host))}}
			budget.Spec.Registry = host
			if nodeCredentials.MatchString(host) {
				budget.Spec.Identity = v1alpha1.NodeCredentials
			}
			proposals = append(proposals, Proposal{Budget: budget, Pods: n.pods})
		}
		more, said := n.accounts(host, k, taken)
		proposals, notes = append(proposals, more...), append(notes, said...)
	}
	return proposals, notes
}

// accounts are the PullBudgets of pulls of Docker Hub with a login, the one registry
// whose limit is another with it. Pace reads a limit with a Secret of its own only.
func (n *hostCount) accounts(host string, k Known, taken map[string]bool) (proposals []Proposal, notes []string) {
	if host != "docker.io" {
		return nil, nil
	}
	for _, secret := range slices.Sorted(maps.Keys(n.secrets)) {
		if withSecret(k.Budgets, host, secret) {
			continue
		}
		if !slices.Contains(k.Secrets, secret) {
			notes = append(notes, fmt.Sprintf("%s: %d pods name pull secret %s, whose account has a limit of its own. To read it: kubectl create secret docker-registry %s -n %s --docker-username=... --docker-password=..., then install again",
				host, n.secrets[secret], secret, secret, v1alpha1.Namespace))
			continue
		}
		budget := v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: free(taken, budgetName(host)+"-"+secret)}}
		budget.Spec = v1alpha1.PullBudgetSpec{
			Registry: host, Identity: v1alpha1.Credentials, Match: &v1alpha1.BudgetMatch{PullSecretNames: []string{secret}},
			Credentials: &v1alpha1.BudgetCredentials{SecretName: secret},
		}
		proposals = append(proposals, Proposal{Budget: budget, Pods: n.secrets[secret]})
	}
	return proposals, notes
}

// byUse lists the hosts, those with most pods first.
func (c *Census) byUse() []string {
	return slices.SortedFunc(maps.Keys(c.hosts), func(a, b string) int {
		return cmp.Or(cmp.Compare(c.hosts[b].pods, c.hosts[a].pods), cmp.Compare(a, b))
	})
}

// covered reports whether a PullBudget is for the host.
func covered(budgets []v1alpha1.PullBudget, host string) bool {
	return slices.ContainsFunc(budgets, func(b v1alpha1.PullBudget) bool {
		return slices.ContainsFunc(append([]string{b.Spec.Registry}, b.Spec.UpstreamOf...), func(h string) bool { return kube.Host(h) == host })
	})
}

// withSecret reports whether a PullBudget is for pods of the host that name a secret.
func withSecret(budgets []v1alpha1.PullBudget, host, secret string) bool {
	return slices.ContainsFunc(budgets, func(b v1alpha1.PullBudget) bool {
		return kube.Host(b.Spec.Registry) == host && b.Spec.Match != nil && slices.Contains(b.Spec.Match.PullSecretNames, secret)
	})
}

// nodeCredentials are hosts that nodes log in to by themselves.
var nodeCredentials = regexp.MustCompile(`^[0-9]+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$|\.pkg\.dev$|^([a-z]+\.)?gcr\.io$|\.azurecr\.io$`)

// names are what people call some hosts.
var names = map[string]string{"docker.io": "docker-hub", "ghcr.io": "ghcr", "quay.io": "quay", "public.ecr.aws": "ecr-public"}

var unfit = regexp.MustCompile(`[^a-z0-9.]+`)

// budgetName is the name of a host's PullBudget.
func budgetName(host string) string {
	if name := names[host]; name != "" {
		return name
	}
	return strings.Trim(unfit.ReplaceAllString(strings.ToLower(host), "-"), "-.")
}

// free is the name, or one like it that nothing has; it is taken then.
func free(taken map[string]bool, name string) string {
	name = strings.Trim(unfit.ReplaceAllString(strings.ToLower(name), "-"), "-.")
	for try, n := name, 2; ; try, n = fmt.Sprintf("%s-%d", name, n), n+1 {
		if !taken[try] {
			taken[try] = true
			return try
		}
	}
}
