package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// hopeless are accounts of which more is asked than they give: no order of pulls
// helps.
func (e *exam) hopeless() []view.Finding {
	var out []view.Finding
	for _, b := range e.Budgets {
		for _, a := range b.Status.Accounts {
			if a.Flow == nil || a.Flow.HopelessSince == nil {
				continue
			}
			out = append(out, view.Finding{
				Check: CheckDemand, Severity: fail, Now: true, Registry: b.Spec.Registry, From: a.Flow.HopelessSince.Time, To: e.Now,
				Text:  fmt.Sprintf("%s: %s an hour are asked and %s are given, over %s: pacing cannot help", a.Account, a.Flow.AskedPerHour, a.Flow.GivenPerHour, short(a.Flow.Over.Duration)),
				Facts: []view.Fact{{Name: "flow", Text: fmt.Sprintf("asked %s/h, given %s/h", a.Flow.AskedPerHour, a.Flow.GivenPerHour), Source: string(Budgets)}},
				Fix:   "fewer pulls (IfNotPresent, digests, images baked into nodes), a mirror, or an account that gives more", Objects: []string{a.Account},
			})
		}
	}
	return out
}

// foreignShare is the part of a limit that others must take to be worth a word.
const foreignShare = 0.1

// shared are accounts that others use too, or that are several.
func (e *exam) shared() []view.Finding {
	var out []view.Finding
	for _, b := range e.Budgets {
		for _, a := range b.Status.Accounts {
			others, err := strconv.ParseFloat(a.ForeignPerHour, 64)
			f := view.Finding{Check: CheckEgress, Severity: warn, Now: true, Registry: b.Spec.Registry, Objects: []string{a.Account}, Facts: []view.Fact{}}
			if err == nil && a.Limit > 0 && others*a.Window.Hours() >= foreignShare*float64(a.Limit) {
				f.Text = fmt.Sprintf("%s: others take %s an hour of %d in %s behind the same address", a.Account, a.ForeignPerHour, a.Limit, short(a.Window.Duration))
				f.Facts = append(f.Facts, view.Fact{Name: "metered as", Text: orUnknown(strings.Join(sourcesOf(a.Source, a.Sources), ", ")), Source: string(Budgets)})
				f.Fix = "log in, so that pulls are not metered by the address that others share, or leave by an address of your own"
				out = append(out, f)
			} else if len(a.Sources) > 1 {
				f.Text = fmt.Sprintf("%s: readings were metered as %s: nodes leave by several addresses, each with a limit of its own", a.Account, list(a.Sources))
				f.Fix = "give the nodes behind each address a PullBudget with spec.egress"
				out = append(out, f)
			}
		}
	}
	return out
}

func sourcesOf(one string, several []string) []string {
	if len(several) > 0 || one == "" {
		return several
	}
	return []string{one}
}

func orUnknown(text string) string {
	if text == "" {
		return "not known"
	}
	return text
}

// always are workloads whose every start asks the registry.
func (e *exam) always() []view.Finding {
	owners := map[kube.Owner]bool{}
	f := view.Finding{Check: CheckAlways, Severity: warn, Now: true, Facts: []view.Fact{}}
	nodes, spaces := map[string]bool{}, map[string]bool{}
	policy, latest, crio := 0, 0, 0
	for i := range e.Pods {
		p := &e.Pods[i]
		if finished(p) || !e.scope.has(p) || isStatic(p) {
			continue
		}
		asks, floats := e.asksAlways(p)
		if !asks && !floats {
			continue
		}
		f.Pods++
		owners[kube.OwnerOf(p)], spaces[p.Namespace] = true, true
		policy, latest = policy+oneIf(asks), latest+oneIf(floats)
		if n := e.nodes[p.Spec.NodeName]; n != nil && !nodes[n.Name] {
			nodes[n.Name] = true
			crio += oneIf(strings.HasPrefix(n.Status.NodeInfo.ContainerRuntimeVersion, "cri-o://"))
		}
	}
	if f.Pods == 0 {
		return nil
	}
	f.Workloads, f.Namespaces, f.Nodes, f.Objects = len(owners), len(spaces), len(nodes), some(workloadNames(owners))
	cost := "a HEAD per start on containerd (0 units)"
	if crio > 0 {
		cost += fmt.Sprintf(", 1 - 2 manifests per start on %s with CRI-O, also when the image is there", count(crio, "node"))
	}
	f.Text = fmt.Sprintf("every start asks the registry in %s (imagePullPolicy Always: %s, tag latest or none: %s): %s",
		count(f.Workloads, "workload"), count(policy, "pod"), count(latest, "pod"), cost)
	f.Facts = append(f.Facts, view.Fact{Name: "when it is down", Text: "these pods do not start, whatever their nodes have", Source: string(Pods)})
	f.Fix = "name a version or a digest, and imagePullPolicy IfNotPresent"
	return []view.Finding{f}
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// isStatic reports whether a pod is of a kubelet's own files.
func isStatic(p *corev1.Pod) bool {
	_, mirrored := p.Annotations[corev1.MirrorPodAnnotationKey]
	return mirrored
}

// asksAlways reports whether a container of the pod has the policy Always, and
// whether one has a tag that is meant to move.
func (e *exam) asksAlways(p *corev1.Pod) (always, floats bool) {
	for _, pull := range e.pullsOf(p) {
		always = always || pull.Always
		floats = floats || strings.HasSuffix(string(pull.Image), ":latest")
	}
	return always, floats
}

// moved are tags that are different images on different nodes.
func (e *exam) moved() []view.Finding {
	type tagged struct{ image, platform string }
	digests := map[tagged]map[string]bool{}
	owners := map[tagged]map[kube.Owner]bool{}
	for i := range e.Pods {
		p := &e.Pods[i]
		if finished(p) || !e.scope.has(p) {
			continue
		}
		platform := ""
		if n := e.nodes[p.Spec.NodeName]; n != nil {
			kind, _, _ := strings.Cut(n.Status.NodeInfo.ContainerRuntimeVersion, ":")
			platform = n.Status.NodeInfo.Architecture + " " + kind
		}
		for image, digest := range e.running(p) {
			k := tagged{image, platform}
			if digests[k] == nil {
				digests[k], owners[k] = map[string]bool{}, map[kube.Owner]bool{}
			}
			digests[k][digest], owners[k][kube.OwnerOf(p)] = true, true
		}
	}
	images, all := map[string]bool{}, map[kube.Owner]bool{}
	for k, d := range digests {
		if len(d) > 1 {
			images[k.image] = true
			maps.Copy(all, owners[k])
		}
	}
	if len(images) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(images))
	return []view.Finding{{
		Check: CheckMoved, Severity: warn, Now: true, Workloads: len(all), Objects: some(names),
		Text:  fmt.Sprintf("%s: different images under one tag on different nodes: it moved, and who starts next may get, and pay for, another", list(names)),
		Facts: []view.Fact{{Name: "workloads", Text: list(workloadNames(all)), Source: string(Pods)}},
		Fix:   "name digests (image@sha256:...)",
	}}
}

// running are the images by tag of a pod's containers with the digests that run.
func (e *exam) running(p *corev1.Pod) map[string]string {
	out := map[string]string{}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		i := slices.IndexFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == s.Name })
		_, digest, ok := strings.Cut(s.ImageID, "@")
		if i < 0 || !ok {
			continue
		}
		if n := e.nameOf(p.Spec.Containers[i].Image); n.ok && !strings.Contains(n.image, "@") {
			out[n.image] = digest
		}
	}
	return out
}

// unknown are the checks that this snapshot does not allow.
func (e *exam) unknown() []view.UnknownCheck {
	out := []view.UnknownCheck{}
	add := func(check, why string) { out = append(out, view.UnknownCheck{Check: check, Why: why}) }
	needs := func(check string, part Part) bool {
		if !e.read(part) {
			add(check, e.Unread[part])
		}
		return e.read(part)
	}
	known := e.readLimits()
	if !known {
		add(CheckDemand, "what registries give and what is asked over hours is read by the controller: "+e.controllerSays())
	}
	if needs(CheckAnonymous, Secrets) {
		needs(CheckAnonymous, ServiceAccounts)
	}
	if !known {
		add(CheckEgress, "who else is behind the same address is seen from readings over time: "+e.controllerSays())
	}
	if !e.read(Nodes) {
		for _, check := range []string{CheckCachePruned, CheckCacheUnknown, CheckRuntime, CheckNodesHeld} {
			add(check, e.Unread[Nodes])
		}
	}
	if e.HoldsNodes() {
		needs(CheckTaint, NodePools)
		needs(CheckTolerates, DaemonSets)
	}
	if e.scope.whole() {
		needs(CheckDisruption, NodePools)
	}
	if e.mirrors() == "" {
		add(CheckMirrorInUse, "node files are not in the API; the controller learns it from what pulls are charged")
	}
	if !known {
		add(CheckWindow, "a limit that was not met yet is in no API of the cluster; the controller reads it from the registry's answers: "+e.controllerSays())
	}
	if e.scope.whole() {
		needs(CheckManyAtOnce, ReplicaSets)
		needs(CheckKubeletConfig, Kubelets)
	}
	return out
}

// readLimits reports whether some account was read.
func (e *exam) readLimits() bool {
	for _, b := range e.Budgets {
		for _, a := range b.Status.Accounts {
			if a.Limit > 0 || a.Unlimited || a.Grade == "Never" {
				return true
			}
		}
	}
	return false
}

func (e *exam) controllerSays() string {
	switch e.controller() {
	case "absent":
		return "it is not installed"
	case "silent":
		return "it is silent"
	}
	return "it has read none yet"
}

// mirrors are hosts that pulls were found to be served by.
func (e *exam) mirrors() string {
	var hosts []string
	for _, b := range e.Budgets {
		hosts = append(hosts, b.Spec.Mirrors...)
		for _, a := range b.Status.Accounts {
			for _, c := range a.ChargePerPull {
				if kube.Host(c.Host) != kube.Host(b.Spec.Registry) {
					hosts = append(hosts, c.Host)
				}
			}
		}
	}
	slices.Sort(hosts)
	return strings.Join(slices.Compact(hosts), ", ")
}
