package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/plugin/view"
)

// pruning are events of kubelets that delete images, or will. Source: kubelet 1.37,
// pkg/kubelet/events/event.go and pkg/kubelet/eviction.
var pruning = map[string]bool{"FreeDiskSpaceFailed": true, "ImageGCFailed": true, "EvictionThresholdMet": true, "NodeHasDiskPressure": true}

// pruned are nodes that delete images for room: what was there is asked for again.
func (e *exam) pruned() []view.Finding {
	nodes := map[string]bool{}
	f := view.Finding{
		Check: CheckCachePruned, Severity: warn, Facts: []view.Fact{},
		Fix: "larger disks, a higher imageGCHighThresholdPercent, or fewer images per node: each one deleted is pulled again",
	}
	for i := range e.Nodes {
		n := &e.Nodes[i]
		if e.onScope(n.Name) && slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeDiskPressure && c.Status == corev1.ConditionTrue
		}) {
			nodes[n.Name], f.Now = true, true
		}
	}
	if len(nodes) > 0 {
		f.Facts = append(f.Facts, view.Fact{Name: "disk pressure", Text: fmt.Sprintf("%s now", count(len(nodes), "node")), Source: string(Nodes)})
	}
	reasons := map[string]int{}
	for i := range e.Events {
		ev := &e.Events[i]
		if ev.InvolvedObject.Kind != "Node" || !pruning[ev.Reason] || !e.onScope(ev.InvolvedObject.Name) {
			continue
		}
		nodes[ev.InvolvedObject.Name] = true
		reasons[ev.Reason]++
		f.From, f.To = earliest(f.From, eventStart(ev)), latest(f.To, eventTime(ev))
	}
	if len(nodes) == 0 {
		return nil
	}
	if len(reasons) > 0 {
		f.Facts = append(f.Facts, view.Fact{Name: "events", Text: words(counted(reasons)), Source: string(Events)})
	}
	f.Nodes, f.Objects = len(nodes), some(sorted(nodes))
	f.Text = fmt.Sprintf("images are deleted for room, or will be, on %s: what was there is pulled again", count(len(nodes), "node"))
	return []view.Finding{f}
}

// onScope reports whether a node is one to look at: all, the one asked for, or those
// of the pods asked for.
func (e *exam) onScope(name string) bool {
	switch {
	case e.scope.whole():
		return true
	case e.scope.Node != "":
		return name == e.scope.Node
	}
	return e.scopeNodes[name]
}

// listedImages is how many images a kubelet lists at most, by default. Source:
// kubelet 1.37, nodeStatusMaxImages.
const listedImages = 50

// cut are nodes whose list of images is cut: what is missing may be there.
func (e *exam) cut() []view.Finding {
	nodes := map[string]bool{}
	for i := range e.Nodes {
		if n := &e.Nodes[i]; len(n.Status.Images) == listedImages && e.onScope(n.Name) {
			nodes[n.Name] = true
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	return []view.Finding{{
		Check: CheckCacheUnknown, Severity: warn, Now: true, Nodes: len(nodes), Objects: some(sorted(nodes)), Facts: []view.Fact{},
		Text: fmt.Sprintf("exactly %d images are reported by %s, where the kubelet cuts the list: small images may be there, so that prices are ranges", listedImages, count(len(nodes), "node")),
		Fix:  "nodeStatusMaxImages: -1 in the kubelets' configuration lists all",
	}}
}

// costly are runtimes whose versions ask for more than others.
func (e *exam) costly() []view.Finding {
	nodes := map[string]bool{}
	versions := map[string]int{}
	for i := range e.Nodes {
		n := &e.Nodes[i]
		kind, v := runtimeOf(n.Status.NodeInfo.ContainerRuntimeVersion)
		if kind == "cri-o" && v[0] == 1 && v[1] == 33 && v[2] <= 3 && e.onScope(n.Name) {
			nodes[n.Name] = true
			versions[n.Status.NodeInfo.ContainerRuntimeVersion]++
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	return []view.Finding{{
		Check: CheckRuntime, Severity: warn, Now: true, Nodes: len(nodes), Objects: some(sorted(nodes)),
		Text:  fmt.Sprintf("CRI-O 1.33.0 - 1.33.3 on %s asks for up to 4 manifests per pull, with Always also of images that are there", count(len(nodes), "node")),
		Facts: []view.Fact{{Name: "runtimes", Text: words(counted(versions)), Source: string(Nodes)}},
		Fix:   "update CRI-O to 1.33.4 or later",
	}}
}

// runtimeOf reads a runtime as nodes name it; versions that are none are zeros.
func runtimeOf(text string) (kind string, version [3]int) {
	kind, rest, _ := strings.Cut(text, "://")
	for i, part := range strings.SplitN(strings.TrimPrefix(rest, "v"), ".", 3) {
		digits := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		if digits >= 0 {
			part = part[:digits]
		}
		version[i], _ = strconv.Atoi(part)
	}
	return kind, version
}

// costOf is what pulls take with a runtime. Source: containerd 1.7 to 2.4 and CRI-O
// 1.31 to 1.36, as their sources say.
func costOf(runtime string, nodes int) view.RuntimeCost {
	c := view.RuntimeCost{Runtime: runtime, Nodes: nodes}
	kind, v := runtimeOf(runtime)
	switch {
	case kind == "containerd" && v[0] >= 1:
		c.ColdPull, c.WarmAlways = &view.Units{Min: 2, Max: 2}, &view.Units{}
		c.OnThrottle = "up to 6 requests at once, without regard to Retry-After"
		if v[0] > 2 || v[0] == 2 && v[1] >= 3 {
			c.OnThrottle = "up to 5 requests at once, without regard to Retry-After"
		}
	case kind == "cri-o" && v[0] == 1 && v[1] == 33 && v[2] <= 3:
		c.ColdPull, c.WarmAlways = &view.Units{Min: 3, Max: 4}, &view.Units{Min: 3, Max: 4}
		c.OnThrottle = "5 requests, 2s apart and doubling, heeds Retry-After"
	case kind == "cri-o" && v[0] >= 1:
		c.ColdPull, c.WarmAlways = &view.Units{Min: 2, Max: 2}, &view.Units{Min: 1, Max: 2}
		c.OnThrottle = "5 requests, 2s apart and doubling, heeds Retry-After"
	}
	return c
}

func sorted(set map[string]bool) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
