package doctor

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// The kinds of a fix, the cheapest first.
const (
	UseSecret  = "UseSecret"
	Undo       = "Undo"
	MakeSecret = "MakeSecret"
	Pin        = "Pin"
	KubeletQPS = "KubeletQPS"
	FreeNodes  = "FreeNodes"
	Declare    = "DeclareTaint"
	Resume     = "ResumeDisruption"
	Mirror     = "Mirror"
	Pace       = "Pace"
)

// fixes are what may be done about findings. Their numbers depend on the snapshot
// alone.
func (e *exam) fixes(findings []view.Finding) []view.Fix {
	out := []view.Fix{}
	add := func(kind, title string, change []string) {
		if len(change) > 0 {
			out = append(out, view.Fix{Number: len(out) + 1, Kind: kind, Title: title, Change: strings.Join(change, "\n") + "\n"})
		}
	}
	found := func(check string) []view.Finding {
		return slices.DeleteFunc(slices.Clone(findings), func(f view.Finding) bool { return f.Check != check })
	}
	if change := e.useSecrets(); len(found(CheckAnonymous)) > 0 {
		add(UseSecret, fmt.Sprintf("use the pull secret you have (%s)", count(len(change), "patch")), change)
	}
	add(Undo, "go back to the revision before", e.undo())
	add(MakeSecret, "renew, or make, the pull secret that the pods name", e.makeSecrets())
	if len(found(CheckAlways)) > 0 {
		add(Pin, "ask only for images that are not there (IfNotPresent)", e.pin())
	}
	if len(found(CheckKubeletQPS)) > 0 {
		add(KubeletQPS, "let kubelets begin more pulls a second", []string{
			"# In the configuration of these kubelets (KubeletConfiguration), then restart them:",
			"registryPullQPS: 50", "registryBurst: 100",
		})
	}
	if overdue := e.overdue(); len(overdue) > 0 {
		add(FreeNodes, "take the taint off nodes that are held for too long", freeNodes(overdue))
	}
	if len(found(CheckTaint)) > 0 {
		add(Declare, "have Karpenter know the taint, so that its nodes are held and not its pods", e.declare())
	}
	if len(found(CheckDisruption)) > 0 {
		add(Resume, "let Karpenter replace nodes again", e.resume())
	}
	for _, f := range found(CheckThrottled) {
		if f.Limiter == "foreign" || f.Registry == "" || !safeHost.MatchString(f.Registry) {
			continue
		}
		add(Mirror, "put a mirror in front of "+f.Registry+" that fetches once what many miss", mirrorOf(f.Registry))
		if f.Limiter == "pull" || f.Limiter == "unsaid" {
			add(Pace, "pace "+f.Registry+", nothing else", e.pace(f.Registry))
		}
	}
	return out
}

// safeHost and safeName are what may stand in a command that a person pastes.
var (
	safeHost = regexp.MustCompile(`^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$`)
	safeName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
)

func safe(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !safeName.MatchString(n) })
}

// useSecrets name pull secrets that exist in the ServiceAccounts of the pods that
// name none.
func (e *exam) useSecrets() []string {
	var out []string
	for _, u := range e.unused() {
		accounts := map[string]bool{}
		for i := range e.Pods {
			p := &e.Pods[i]
			if p.Namespace == u.Namespace && len(p.Spec.ImagePullSecrets) == 0 && !finished(p) && e.scope.has(p) {
				accounts[serviceAccountOf(p)] = true
			}
		}
		for _, account := range sorted(accounts) {
			if safe(u.Namespace, u.Name, account) {
				out = append(out, fmt.Sprintf(`kubectl patch serviceaccount %s -n %s -p '{"imagePullSecrets":[{"name":%q}]}'`, account, u.Namespace, u.Name))
			}
		}
	}
	return out
}

// undo takes rollouts back whose images do not exist, or not for these nodes.
func (e *exam) undo() []string {
	owners := map[kube.Owner]bool{}
	for _, f := range e.failures {
		wrong := f.Class == feedback.NotFound || f.Class == feedback.WrongPlatform
		if f.now && wrong && f.owner.Kind == "Deployment" && safe(f.owner.Namespace, f.owner.Name) {
			owners[f.owner] = true
		}
	}
	var out []string
	for o := range owners {
		out = append(out, fmt.Sprintf("kubectl rollout undo deployment/%s -n %s", o.Name, o.Namespace))
	}
	slices.Sort(out)
	return out
}

// makeSecrets renews the pull secrets of pods that are refused, and makes those that
// are not there.
func (e *exam) makeSecrets() []string {
	hosts := map[Secret]string{}
	for _, f := range e.failures {
		p := e.pods[podKey{f.namespace, f.pod}]
		if f.Class != feedback.Auth || !f.now || p == nil {
			continue
		}
		for _, ref := range p.Spec.ImagePullSecrets {
			hosts[Secret{f.namespace, ref.Name}] = f.host
		}
	}
	for _, f := range e.downgradedPulls() {
		for _, ref := range e.pods[podKey{f.namespace, f.pod}].Spec.ImagePullSecrets {
			hosts[Secret{f.namespace, ref.Name}] = f.host
		}
	}
	if e.read(Secrets) {
		for i := range e.Pods {
			p := &e.Pods[i]
			for _, ref := range p.Spec.ImagePullSecrets {
				s := Secret{p.Namespace, ref.Name}
				if !finished(p) && e.scope.has(p) && e.covers(p.Namespace) && !slices.Contains(e.Secrets, s) && hosts[s] == "" {
					hosts[s] = "REGISTRY"
				}
			}
		}
	}
	var out []string
	for s, host := range hosts {
		if !safe(s.Namespace, s.Name) || host != "REGISTRY" && !safeHost.MatchString(host) {
			continue
		}
		out = append(out, fmt.Sprintf("kubectl create secret docker-registry %s -n %s --docker-server=%s --docker-username=USER --docker-password=TOKEN --dry-run=client -o yaml | kubectl apply -f -", s.Name, s.Namespace, host))
	}
	slices.Sort(out)
	return out
}

// maxPatches bounds how many objects one fix changes.
const maxPatches = 50

// pin sets the pull policy of Deployments that ask at every start and name a
// version.
func (e *exam) pin() []string {
	var out []string
	for i := range e.Deployments {
		d := &e.Deployments[i]
		owner := kube.Owner{Kind: "Deployment", Namespace: d.Namespace, Name: d.Name}
		if !e.scope.whole() && e.scope.Owner != owner || !safe(d.Namespace, d.Name) || len(out) >= maxPatches {
			continue
		}
		var containers []string
		for _, c := range d.Spec.Template.Spec.Containers {
			if image, _, ok := kube.NormalImage(c.Image); ok && c.ImagePullPolicy == "Always" && !strings.HasSuffix(string(image), ":latest") && safe(c.Name) {
				containers = append(containers, fmt.Sprintf(`{"name":%q,"imagePullPolicy":"IfNotPresent"}`, c.Name))
			}
		}
		if len(containers) > 0 {
			out = append(out, fmt.Sprintf(`kubectl patch deployment %s -n %s -p '{"spec":{"template":{"spec":{"containers":[%s]}}}}'`, d.Name, d.Namespace, strings.Join(containers, ",")))
		}
	}
	if len(out) > 0 {
		out = append([]string{"# Each of these is a rollout: the pods start anew."}, out...)
	}
	return out
}

// mirrorOf is what containerd is told of a mirror.
func mirrorOf(host string) []string {
	return []string{
		"# containerd, on every node: /etc/containerd/certs.d/" + host + "/hosts.toml; MIRROR is a pull-through cache that you run.",
		`server = "https://` + host + `"`,
		`[host."https://MIRROR"]`,
		`  capabilities = ["pull", "resolve"]`,
	}
}

// pace is a PullBudget, and what brings it to life.
func (e *exam) pace(host string) []string {
	var out []string
	if !e.Controller.Installed {
		out = append(out, "# First: kubectl pace install --shadow --dry-run=client")
	}
	if !slices.ContainsFunc(e.Budgets, func(b v1alpha1.PullBudget) bool { return kube.Host(b.Spec.Registry) == host }) {
		out = append(out, "apiVersion: "+v1alpha1.GroupVersion().String(), "kind: PullBudget",
			"metadata: {name: "+budgetName.ReplaceAllString(host, "-")+"}", "spec: {registry: "+fmt.Sprintf("%q", host)+"}")
	}
	for _, f := range e.failures {
		if f.host == host && safe(f.namespace) {
			out = append(out, "# kubectl label namespace "+f.namespace+" "+v1alpha1.LabelPace+"="+v1alpha1.LabelPaceEnabled)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(out, func(line string) bool {
		again := seen[line]
		seen[line] = true
		return again
	})
}

var budgetName = regexp.MustCompile(`[^a-z0-9]+`)

// namespacesWithSecret are those in which an unused pull secret could be used.
func (e *exam) namespacesWithSecret() []string {
	set := map[string]bool{}
	for _, u := range e.unused() {
		set[u.Namespace] = true
	}
	return slices.Sorted(maps.Keys(set))
}
