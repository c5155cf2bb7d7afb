package capture

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/simulate/scenario"
)

// page is the text of a file on its way.
type page struct{ strings.Builder }

func (p *page) linef(format string, args ...any) { fmt.Fprintf(&p.Builder, format+"\n", args...) }

// plainWord needs no quotes, wherever it stands.
var plainWord = regexp.MustCompile(`^[a-z][A-Za-z0-9._/-]*$`)

// quote writes a word so that YAML reads it as one.
func quote(word string) string {
	if plainWord.MatchString(word) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, word) {
		return word
	}
	return inJSON(word)
}

func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// inJSON is a value as JSON, which is YAML too.
func inJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "null" // nothing that is written here can fail
	}
	return string(text)
}

// write writes the file.
func (s *capture) write(name string) []byte {
	p := &page{}
	p.linef("# A cluster as it was at %s: %d nodes in %d pools, %d workloads, %d images.", s.Now.UTC().Format("2006-01-02T15:04Z"),
		len(s.nodes), len(s.pools), len(s.workloads), len(s.images))
	p.linef("# Edit it: the timeline is empty, and what a cluster does not tell is marked with a question.")
	for _, unread := range s.Unread {
		p.linef("# Not read: %s", unread)
	}
	p.linef("apiVersion: %s\nkind: %s\nmetadata: {name: %s}\nspec:", v1alpha1.GroupVersion(), scenario.Kind, quote(name))
	p.linef("  horizon: 24h")
	s.writeRegistries(p)
	s.writeEgress(p)
	s.writePools(p)
	s.writeImages(p)
	s.writeWorkloads(p)
	p.linef("  # What is to be tested? For example {at: 1m, scale: {workload: NAME, replicas: 100}}; see the reference.")
	p.linef("  timeline: []")
	s.writePolicies(p)
	return []byte(p.String())
}

func (s *capture) writeRegistries(p *page) {
	p.linef("  registries:")
	for _, host := range s.hosts() {
		called := s.names.host(host)
		p.linef("  - name: %s\n    host: %s", quote(called), quote(called))
		budgets := s.budgetsOf(host)
		if len(budgets) == 0 {
			p.linef("    limiters: []   # without a PullBudget nothing is known: which limit does it have, and per what?")
			continue
		}
		if len(budgets) > 1 {
			p.linef("    # %d PullBudgets are for this host; the first is shown. Do pods pull on different accounts?", len(budgets))
		}
		s.writeLimiter(p, budgets[0])
	}
}

// budgetsOf are the PullBudgets of a host, those for all pods first.
func (s *capture) budgetsOf(host string) []*v1alpha1.PullBudget {
	var out []*v1alpha1.PullBudget
	for i := range s.Budgets {
		if b := &s.Budgets[i]; kube.Host(b.Spec.Registry) == host && len(b.Spec.Validate()) == 0 {
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b *v1alpha1.PullBudget) int {
		return boolOf(a.Spec.Match != nil) - boolOf(b.Spec.Match != nil)
	})
	return out
}

func boolOf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// writeLimiter writes what a budget says of a limit: what is declared, or what the
// registry's headers said.
func (s *capture) writeLimiter(p *page, b *v1alpha1.PullBudget) {
	per := scenario.PerEgressIP
	if b.Spec.Identity == v1alpha1.Credentials || b.Spec.Identity == v1alpha1.NodeCredentials {
		per = scenario.PerAccount
	}
	l := b.Spec.Limit
	if l != nil && l.Source == v1alpha1.Fixed {
		p.linef("    limiters:                # as the PullBudget declares it")
		if l.Rate != nil {
			p.linef("    - {type: TokenBucket, per: %s, counts: Pull, rate: %s/s, burst: %d, headers: false}", per, l.Rate.AsDec().String(), l.Burst)
			return
		}
		p.linef("    - {type: RollingLog, per: %s, counts: Pull, limit: %d, window: %s, headers: false}", per, l.Pulls, short(l.Window.Duration))
		return
	}
	for _, a := range b.Status.Accounts {
		if a.Limit <= 0 || a.Window.Duration <= 0 {
			continue
		}
		p.linef("    # Read from the registry; %d were left, but every account starts full. Which kind of window it is, no registry says.", a.Remaining)
		p.linef("    limiters:")
		p.linef("    - {type: RollingLog, per: %s, counts: Pull, limit: %d, window: %s}", per, a.Limit, short(a.Window.Duration))
		return
	}
	p.linef("    limiters: []   # the PullBudget has read no limit: which does it have?")
}

// short is a duration without parts that are zero.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func (s *capture) writeEgress(p *page) {
	p.linef("  egress:                    # How much bandwidth, and who else pulls behind the same addresses?")
	seen := map[string]bool{}
	for _, pool := range s.pools {
		called := s.egressName(pool)
		if seen[called] {
			continue
		}
		seen[called] = true
		ips := 1
		if pool.alone {
			ips = 0
			for _, other := range s.pools {
				if other.alone {
					ips += len(other.nodes)
				}
			}
		}
		p.linef("  - {name: %s, ips: %d}", quote(called), max(ips, 1))
	}
}

func (s *capture) egressName(p *pool) string {
	switch {
	case p.alone:
		return "node"
	case p.egress == "":
		return scenario.DefaultEgress
	}
	return s.names.of("egress", p.egress)
}

func (s *capture) writePools(p *page) {
	p.linef("  nodePools:")
	if s.left > 0 {
		p.linef("  # Left out: %d with taints or cordoned.", s.left)
	}
	for _, pool := range s.pools {
		p.linef("  - name: %s\n    nodes: %d\n    egress: %s", quote(pool.name), len(pool.nodes), quote(s.egressName(pool)))
		if len(pool.zones) > 0 {
			p.linef("    zones: %s   # nodes are spread evenly", quoteAll(sortedWords(pool.zones)))
		}
		p.linef("    podsPerNode: %d          # by the kubelet's maximum; %d is the most that a node runs. What do CPU and memory allow?", pool.room, pool.most())
		s.writeKubelet(p, pool)
		kind := scenario.Containerd
		if strings.HasPrefix(pool.runtime, "cri-o://") {
			kind = scenario.CRIO
		}
		p.linef("    runtime: {type: %s}   # How fast do its disks unpack, and how fast is its network (nic)?", kind)
		var daemons []string
		for _, d := range pool.everywhere() {
			daemons = append(daemons, s.imageNames(d.sample)...)
		}
		slices.Sort(daemons)
		p.linef("    daemonSets: %s", quoteAll(slices.Compact(daemons)))
		if pool.label != "" {
			p.linef("    # Does something add nodes? Then say autoscaler: {type: Karpenter or ClusterAutoscaler, max: N}.")
		}
	}
}

func (s *capture) writeKubelet(p *page, pool *pool) {
	k, known := s.Kubelets[pool.nodes[0].Name]
	if !known {
		p.linef("    # kubelet: its configuration was not readable; the defaults of Kubernetes are assumed.")
		return
	}
	var fields []string
	parallel := int32(0)
	if k.MaxParallelImagePulls != nil && *k.MaxParallelImagePulls > 1 {
		parallel = *k.MaxParallelImagePulls
		fields = append(fields, fmt.Sprintf("maxParallelImagePulls: %d", parallel))
	}
	if k.SerializeImagePulls != nil && parallel == 0 {
		fields = append(fields, fmt.Sprintf("serializeImagePulls: %t", *k.SerializeImagePulls))
	}
	if k.RegistryPullQPS != nil && *k.RegistryPullQPS >= 0 {
		fields = append(fields, fmt.Sprintf("registryPullQPS: %d", *k.RegistryPullQPS))
	}
	if k.RegistryBurst != nil && *k.RegistryBurst > 0 {
		fields = append(fields, fmt.Sprintf("registryBurst: %d", *k.RegistryBurst))
	}
	p.linef("    kubelet: {%s}", strings.Join(fields, ", "))
}

// assumedSize is of an image that no node lists: a node names 50 images at most.
const assumedSize = scenario.Size(100 << 20)

func (s *capture) writeImages(p *page) {
	p.linef("  images:                    # Nodes tell sizes but no layers: each image is one layer of its own here. Several platforms are assumed.")
	if len(s.images) == 0 {
		p.linef("    []")
	}
	for _, i := range ordered(s.images, func(i *image) string { return i.name }) {
		size, note := scenario.Size(i.size), ""
		if i.size <= 0 {
			size, note = assumedSize, "   # No node lists it: how large is it?"
		}
		text, _ := size.MarshalText()
		p.linef("  - {name: %s, registry: %s, multiArch: true, layers: [{digest: %s, size: %s}]}%s",
			quote(i.name), quote(s.names.host(i.host)), quote(i.name), text, note)
	}
}

func (s *capture) writeWorkloads(p *page) {
	p.linef("  workloads:                 # How long do pods take to be ready (startup)?")
	if s.pending > 0 {
		p.linef("  # Left out: %d pods that are on no node.", s.pending)
	}
	if len(s.workloads) == 0 {
		p.linef("    []")
	}
	for _, w := range ordered(s.workloads, s.workloadName) {
		s.writeWorkload(p, w)
	}
}

// workloadName tells kinds apart: a StatefulSet may be called as a Deployment is.
func (s *capture) workloadName(w *workload) string {
	full := w.owner.Namespace + "/" + w.owner.Name
	if w.owner.Kind != "Deployment" {
		full += "/" + strings.ToLower(w.owner.Kind)
	}
	return s.names.of("workload", full)
}

func (s *capture) writeWorkload(p *page, w *workload) {
	images := s.imageNames(w.sample)
	if len(images) == 0 {
		return
	}
	fields := []string{"name: " + quote(s.workloadName(w))}
	var left []string
	switch w.owner.Kind {
	case "Job":
		fields = append(fields, "kind: Job")
	case kube.RolloutKind:
		more, without := s.rolloutFields(w.owner)
		fields, left = append(fields, more...), without
	}
	if len(images) == 1 {
		fields = append(fields, "image: "+quote(images[0]))
	} else {
		fields = append(fields, "images: "+quoteAll(images))
	}
	fields = append(fields, fmt.Sprintf("replicas: %d", w.replicas), "namespace: "+quote(s.names.of("namespace", w.owner.Namespace)))
	if class := s.classOf(w); class != core.ClassRollout {
		fields = append(fields, "class: "+class.String())
	}
	for _, pull := range kube.Pulls(&w.sample.Spec) {
		if pull.Always {
			fields = append(fields, "imagePullPolicy: Always")
			break
		}
	}
	if strategy := s.strategyOf(w); strategy != "" {
		fields = append(fields, "strategy: "+strategy)
	}
	if pools := w.only(); len(pools) > 0 && len(pools) < len(s.pools) {
		fields = append(fields, "nodePools: "+quoteAll(pools))
	}
	comment := ""
	if len(left) > 0 {
		comment = "   # Left out: " + strings.Join(left, ", ") + "."
	}
	p.linef("  - {%s}%s", strings.Join(fields, ", "), comment)
}

// only are the pools that a workload with a choice of nodes runs on.
func (w *workload) only() []string {
	spec := w.sample.Spec
	chooses := len(spec.NodeSelector) > 0 || spec.Affinity != nil && spec.Affinity.NodeAffinity != nil &&
		spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil
	if !chooses {
		return nil
	}
	names := map[string]bool{}
	for p := range w.pools {
		names[p.name] = true
	}
	return sortedWords(names)
}

// classOf is the class that the oldest policy gives to the pods.
func (s *capture) classOf(w *workload) core.Class {
	if w.owner.Kind == "Pod" {
		return core.ClassCI
	}
	var spec v1alpha1.PacePolicySpec
	if len(s.Policies) > 0 {
		spec = s.Policies[0].Spec
	}
	return spec.ClassOf(w.sample.Spec.PriorityClassName)
}

// strategyOf is how a workload replaces pods; empty: as Deployments do by default,
// or not at all.
func (s *capture) strategyOf(w *workload) string {
	switch w.owner.Kind {
	case "Job", kube.RolloutKind:
		return ""
	case "Deployment":
	default:
		return "{maxSurge: 0, maxUnavailable: 1}"
	}
	for i := range s.Deployments {
		d := &s.Deployments[i]
		if d.Namespace != w.owner.Namespace || d.Name != w.owner.Name {
			continue
		}
		if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
			return `{maxSurge: 0, maxUnavailable: "100%"}`
		}
		if r := d.Spec.Strategy.RollingUpdate; r != nil && r.MaxSurge != nil && r.MaxUnavailable != nil {
			return fmt.Sprintf("{maxSurge: %s, maxUnavailable: %s}", portion(r.MaxSurge), portion(r.MaxUnavailable))
		}
	}
	return ""
}

func portion(v *intstr.IntOrString) string {
	if v.Type == intstr.Int {
		return v.String()
	}
	return inJSON(v.StrVal)
}
