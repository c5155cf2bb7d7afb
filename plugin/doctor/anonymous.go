package doctor

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/plugin/view"
)

// unused is a pull secret that nothing uses, in a namespace in which pods pull
// without any.
type unused struct {
	Secret
	pods int
}

// anonymous finds pulls that go out without the credentials that are there.
func (e *exam) anonymous() []view.Finding {
	var out []view.Finding
	if e.read(Secrets) {
		out = append(out, e.unusedSecrets()...)
		out = append(out, e.missingSecrets()...)
	}
	out = append(out, e.downgraded()...)
	return append(out, e.doubted()...)
}

// downgradedPulls are refused as anonymous although their pods name a pull secret.
func (e *exam) downgradedPulls() []failure {
	var out []failure
	for _, f := range e.failures {
		p := e.pods[podKey{f.namespace, f.pod}]
		if f.Class == feedback.Throttled && f.now && p != nil && len(p.Spec.ImagePullSecrets) > 0 && unauthenticated(f.message) {
			out = append(out, f)
		}
	}
	return out
}

// downgraded is one finding of pulls that go out as anonymous in spite of a pull secret.
func (e *exam) downgraded() []view.Finding {
	list := e.downgradedPulls()
	if len(list) == 0 {
		return nil
	}
	f := view.Finding{Check: CheckAnonymous, Severity: fail, Registry: list[0].host,
		Text:  fmt.Sprintf("pods name a pull secret, and %s takes them for anonymous: it is for another registry, or its password is refused", list[0].host),
		Facts: e.secretsOf(list), Fix: "see which registry the Secret is for, and renew its password"}
	e.reach(&f, list)
	return []view.Finding{f}
}

// unusedSecrets is one finding of all pull secrets that nobody names.
func (e *exam) unusedSecrets() []view.Finding {
	found := e.unused()
	if len(found) == 0 {
		return nil
	}
	f := view.Finding{
		Check: CheckAnonymous, Severity: warn, Now: true, Facts: []view.Fact{}, Objects: []string{},
		Fix: "name it in the ServiceAccount of these pods (imagePullSecrets), then new pods log in",
	}
	spaces := map[string]bool{}
	var names []string
	for _, u := range found {
		names = append(names, u.Namespace+"/"+u.Name)
		if !spaces[u.Namespace] {
			f.Pods += u.pods
		}
		spaces[u.Namespace] = true
	}
	f.Namespaces, f.Objects = len(spaces), some(names)
	verb := "exists, and no pod or ServiceAccount uses it"
	if len(names) > 1 {
		verb = "exist, and no pod or ServiceAccount uses them"
	}
	f.Text = fmt.Sprintf("pull secret %s %s: %s there pull without any", list(names), verb, count(f.Pods, "pod"))
	f.Facts = append(f.Facts, view.Fact{Name: "for which registry", Text: "is in the Secret, which is not read: kubectl get secret NAME -n NAMESPACE -o jsonpath='{.data.\\.dockerconfigjson}' | base64 -d", Source: string(Secrets)})
	for _, x := range e.failures {
		if x.Class == feedback.Throttled && spaces[x.namespace] {
			f.Severity, f.Registry = fail, x.host
			break
		}
	}
	return []view.Finding{f}
}

// unused are the pull secrets that nobody names, in namespaces with pods that name
// none.
func (e *exam) unused() []unused {
	if !e.read(Secrets) || !e.read(ServiceAccounts) {
		return nil
	}
	named := map[Secret]bool{}
	without := map[string]int{}
	for i := range e.Pods {
		p := &e.Pods[i]
		for _, ref := range p.Spec.ImagePullSecrets {
			named[Secret{p.Namespace, ref.Name}] = true
		}
		if len(p.Spec.ImagePullSecrets) == 0 && !finished(p) && e.scope.has(p) {
			without[p.Namespace]++
		}
	}
	for _, sa := range e.ServiceAccounts {
		for _, ref := range sa.ImagePullSecrets {
			named[Secret{sa.Namespace, ref.Name}] = true
		}
	}
	for i := range e.Deployments {
		for _, ref := range e.Deployments[i].Spec.Template.Spec.ImagePullSecrets {
			named[Secret{e.Deployments[i].Namespace, ref.Name}] = true
		}
	}
	var out []unused
	for _, s := range e.Secrets {
		if s.Namespace != v1alpha1.Namespace && !named[s] && without[s.Namespace] > 0 {
			out = append(out, unused{s, without[s.Namespace]})
		}
	}
	return out
}

// missingSecrets are those that pods name and that kubelets do not use, without a
// word.
func (e *exam) missingSecrets() []view.Finding {
	there := map[Secret]bool{}
	for _, s := range e.Secrets {
		there[s] = true
	}
	missing := map[Secret]int{}
	for i := range e.Pods {
		p := &e.Pods[i]
		if finished(p) || !e.scope.has(p) || !e.covers(p.Namespace) {
			continue
		}
		for _, ref := range p.Spec.ImagePullSecrets {
			if s := (Secret{p.Namespace, ref.Name}); ref.Name != "" && !there[s] {
				missing[s]++
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	f := view.Finding{
		Check: CheckAnonymous, Severity: warn, Now: true, Facts: []view.Fact{},
		Fix: "create it: kubectl create secret docker-registry NAME -n NAMESPACE --docker-server=... --docker-username=... --docker-password=...",
	}
	spaces := map[string]bool{}
	var names []string
	for s, n := range missing {
		names = append(names, s.Namespace+"/"+s.Name)
		spaces[s.Namespace] = true
		f.Pods += n
	}
	slices.Sort(names)
	f.Namespaces, f.Objects = len(spaces), some(names)
	f.Text = fmt.Sprintf("pull secret %s is named by %s and is not there, or of another type: kubelets then pull anonymously without a word", list(names), count(f.Pods, "pod"))
	return []view.Finding{f}
}

// covers reports whether a namespace was read.
func (e *exam) covers(namespace string) bool { return e.Only == "" || e.Only == namespace }

// doubted are accounts on which pulls do not show although credentials are set, by
// the controller's readings.
func (e *exam) doubted() []view.Finding {
	var out []view.Finding
	for _, b := range e.Budgets {
		accounts := map[string]string{}
		for _, a := range b.Status.Accounts {
			if a.Doubt != "" {
				accounts[a.Account] = a.Doubt
			}
		}
		for _, name := range slices.Sorted(maps.Keys(accounts)) {
			text := "the registry names an address although credentials are set"
			if accounts[name] == "Unseen" {
				text = "what was pulled does not show on it"
			}
			out = append(out, view.Finding{
				Check: CheckAnonymous, Severity: warn, Now: true, Registry: b.Spec.Registry, Objects: []string{name},
				Text:  fmt.Sprintf("%s: %s: pulls go out as somebody else, likely anonymously", name, text),
				Facts: []view.Fact{{Name: "doubt", Text: accounts[name], Source: string(Budgets)}},
				Fix:   "see that the pods that it is for name the pull secret of this account, and that the registry accepts it",
			})
		}
	}
	return out
}

// serviceAccountOf is the one that a pod runs as.
func serviceAccountOf(p *corev1.Pod) string {
	if p.Spec.ServiceAccountName == "" {
		return "default"
	}
	return p.Spec.ServiceAccountName
}
