package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// symptom is failures that are one finding.
type symptom struct {
	check failing
	host  string
	kind  feedback.Kind
	list  []failure
}

type symptomKey struct {
	check, host string
	kind        feedback.Kind
}

// symptoms groups failures by what failed, at which registry.
func symptoms(failures []failure) []*symptom {
	byKey := map[symptomKey]*symptom{}
	for _, f := range failures {
		c := checkOf(f.Class)
		key := symptomKey{c.check, f.host, f.Kind}
		s := byKey[key]
		if s == nil {
			s = &symptom{check: c, host: f.host, kind: f.Kind}
			byKey[key] = s
		}
		s.list = append(s.list, f)
	}
	return slices.SortedFunc(maps.Values(byKey), func(a, b *symptom) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.check.check), slices.Index(order, b.check.check)),
			cmp.Compare(len(b.list), len(a.list)), cmp.Compare(a.host, b.host), cmp.Compare(a.kind, b.kind))
	})
}

// failed are the findings of pulls that fail or failed.
func (e *exam) failed() []view.Finding {
	var out []view.Finding
	for _, s := range symptoms(e.failures) {
		out = append(out, e.finding(s))
	}
	return out
}

func (e *exam) finding(s *symptom) view.Finding {
	f := view.Finding{Check: s.check.check, Severity: fail, Class: string(s.check.class), Registry: s.host, Fix: s.check.class.Info().Remedy, Facts: []view.Fact{}}
	f.Text = cmp.Or(s.host, "no registry") + ": " + s.check.class.Info().Text
	e.reach(&f, s.list)
	if !f.Now {
		f.Severity = warn
	}
	f.Facts = append(f.Facts, said(s.list)...)
	switch s.check.class {
	case feedback.Throttled:
		e.throttled(&f, s)
	case feedback.KubeletQPS:
		f.Limiter = "kubelet"
		f.Facts = append(f.Facts, e.kubeletLimits(s.list)...)
	case feedback.WrongPlatform:
		f.Facts = append(f.Facts, e.architectures(s.list)...)
	case feedback.Auth, feedback.NotFound, feedback.Mirror:
		if s.check.class != feedback.Mirror {
			f.Facts = append(f.Facts, e.secretsOf(s.list)...)
		}
		f.Facts = append(f.Facts, e.disguised(s)...)
	}
	if s.check.way {
		f.Facts = append(f.Facts, e.where(s)...)
	}
	return f
}

// reach counts what failures reach, and when.
func (e *exam) reach(f *view.Finding, list []failure) {
	pods, nodes, owners, spaces := map[string]bool{}, map[string]bool{}, map[kube.Owner]bool{}, map[string]bool{}
	for _, x := range list {
		pods[x.namespace+"/"+x.pod], owners[x.owner], spaces[x.namespace] = true, true, true
		if x.node != "" {
			nodes[x.node] = true
		}
		f.Now = f.Now || x.now
		if !x.from.IsZero() {
			f.From, f.To = earliest(f.From, x.from), latest(f.To, x.to)
		}
	}
	f.Pods, f.Nodes, f.Workloads, f.Namespaces = len(pods), len(nodes), len(owners), len(spaces)
	f.Objects = some(workloadNames(owners))
}

// maxObjects bounds how many names a finding carries.
const maxObjects = 10

func some(names []string) []string {
	return append([]string{}, names[:min(len(names), maxObjects)]...)
}

// workloadName is how a workload is printed: shop/web, with its kind unless it is a
// Deployment.
func workloadName(o kube.Owner) string {
	if o.Kind == "Deployment" {
		return o.Namespace + "/" + o.Name
	}
	return o.Namespace + "/" + strings.ToLower(o.Kind) + "/" + o.Name
}

func workloadNames(owners map[kube.Owner]bool) []string {
	var names []string
	for o := range owners {
		names = append(names, workloadName(o))
	}
	slices.Sort(names)
	return names
}

// said is what kubelets say, the most frequent message; where messages differ, it
// says of how many kinds they are.
func said(list []failure) []view.Fact {
	counts := map[string]int{}
	by := map[string]Part{}
	for _, f := range list {
		text := shortened(f.message)
		counts[text]++
		by[text] = f.by
	}
	texts := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	text := texts[0]
	if len(texts) > 1 {
		text += fmt.Sprintf(" (and %d other messages)", len(texts)-1)
	}
	return []view.Fact{{Name: "kubelet says", Text: text, Source: string(by[texts[0]])}}
}

// maxMessage bounds what is shown of a message: the end tells the cause.
const maxMessage = 240

// shortened is the telling end of a message: what failed at last.
func shortened(message string) string {
	message = strings.Join(strings.Fields(strings.ToValidUTF8(message, "?")), " ")
	for _, before := range []string{`ErrImagePull: `, `failed to pull and unpack image `, `failed to resolve reference `, `failed to resolve image: `} {
		if _, rest, ok := strings.Cut(message, before); ok && rest != "" {
			message = rest
		}
	}
	if runes := []rune(message); len(runes) > maxMessage {
		message = "..." + string(runes[len(runes)-maxMessage:])
	}
	if message == "" {
		return "(nothing)"
	}
	return message
}

// where tells whether a failure is of some nodes or of all that pull from the registry
// at the time.
func (e *exam) where(s *symptom) []view.Fact {
	failing := map[string]bool{}
	for _, f := range s.list {
		if f.node != "" {
			failing[f.node] = true
		}
	}
	fine := map[string]bool{}
	for _, p := range e.waveOf(s.host, s.list).pods {
		if node := p.Spec.NodeName; !failing[node] && e.gotFrom(p, s.host) {
			fine[node] = true
		}
	}
	names := slices.Sorted(maps.Keys(failing))
	switch {
	case len(names) == 0:
		return nil
	case len(fine) > 0:
		return []view.Fact{{Name: "where", Text: fmt.Sprintf("on %s only: %s pulled from there at the same time: rather these nodes", list(names), count(len(fine), "other node")), Source: string(Pods)}}
	case len(names) > 1:
		return []view.Fact{{Name: "where", Text: fmt.Sprintf("on all %d nodes that were seen to pull from there at the time: rather the registry, or the way that they share", len(names)), Source: string(Pods)}}
	}
	return []view.Fact{{Name: "where", Text: fmt.Sprintf("on %s; no other node was seen to pull from there at the time", names[0]), Source: string(Pods)}}
}

// gotFrom reports whether a pod runs an image of the registry.
func (e *exam) gotFrom(p *corev1.Pod, host string) bool {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if s.ImageID == "" {
			continue
		}
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			if n := e.nameOf(c.Image); c.Name == s.Name && n.ok && n.host == host {
				return true
			}
		}
	}
	return false
}

// list is some names, and how many more there are.
func list(names []string) string {
	const shown = 3
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
}

// kubeletLimits is what kubelets say of their own limit.
func (e *exam) kubeletLimits(failures []failure) []view.Fact {
	for _, f := range failures {
		k, ok := e.Kubelets[f.node]
		if !ok || k.RegistryPullQPS == nil {
			continue
		}
		text := fmt.Sprintf("registryPullQPS %d", *k.RegistryPullQPS)
		if k.RegistryBurst != nil {
			text += fmt.Sprintf(", registryBurst %d", *k.RegistryBurst)
		}
		return []view.Fact{{Name: "limit", Text: text + " on " + f.node, Source: string(Kubelets)}}
	}
	return nil
}

// architectures are those of the nodes where the platform is missing.
func (e *exam) architectures(failures []failure) []view.Fact {
	counts := map[string]int{}
	seen := map[string]bool{}
	for _, f := range failures {
		if n := e.nodes[f.node]; n != nil && !seen[f.node] {
			counts[n.Status.NodeInfo.OperatingSystem+"/"+n.Status.NodeInfo.Architecture]++
		}
		seen[f.node] = true
	}
	if len(counts) == 0 {
		return nil
	}
	return []view.Fact{{Name: "nodes", Text: words(counted(counts)), Source: string(Nodes)}}
}

// secretsOf are the pull secrets that the pods name.
func (e *exam) secretsOf(failures []failure) []view.Fact {
	named := map[string]int{}
	for _, f := range failures {
		p := e.pods[podKey{f.namespace, f.pod}]
		if p == nil {
			continue
		}
		if len(p.Spec.ImagePullSecrets) == 0 {
			named["none"]++
		}
		for _, s := range p.Spec.ImagePullSecrets {
			named[f.namespace+"/"+s.Name]++
		}
	}
	if len(named) == 0 {
		return nil
	}
	return []view.Fact{{Name: "pull secrets", Text: words(counted(named)), Source: string(Pods)}}
}

// disguised warns that some registries answer 401, 403 or 404 where they throttle. Where
// they say that they take pods with a pull secret for anonymous, they mean it.
func (e *exam) disguised(s *symptom) []view.Fact {
	downgraded := slices.ContainsFunc(e.downgradedPulls(), func(d failure) bool { return d.host == s.host })
	for _, f := range s.list {
		if f.Suspect && !downgraded {
			return []view.Fact{{Name: "maybe throttled", Text: "the same registry answers 429 too; some refuse by 401, 403 or 404 what they throttle: look at that first", Source: string(f.by)}}
		}
	}
	return nil
}

// counted sorts counts, the largest first.
func counted(counts map[string]int) []view.Counted {
	out := make([]view.Counted, 0, len(counts))
	for name, n := range counts {
		out = append(out, view.Counted{Name: name, Count: n})
	}
	slices.SortFunc(out, func(a, b view.Counted) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name)) })
	return out
}

// words is counts in a line: a (3), b (1).
func words(counts []view.Counted) string {
	var parts []string
	for _, c := range counts {
		parts = append(parts, fmt.Sprintf("%s (%d)", c.Name, c.Count))
	}
	return list(parts)
}
