package scenario

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/simulate/limiter"
)

// The bounds of a scenario. They keep a run in memory, and let a slip of the
// keyboard be found before it is simulated.
const (
	maxReplications = 100_000
	maxHorizon      = 366 * 24 * time.Hour
	maxTime         = 24 * time.Hour
	maxUnits        = 1_000_000_000
	maxBandwidth    = Bandwidth(1e15)
	maxIPs          = 65_536
	maxClusters     = 16
	maxFleet        = 500_000
	maxRoom         = 10_000
	maxPods         = 10_000_000
	maxForeign      = 10_000_000
	maxLayer        = Size(1 << 40)
	maxLayers       = 1_000
	maxCached       = 1 << 32 // bits of what nodes may hold
	maxName         = 253
)

// name is what things of a scenario may be called: image references pass.
var name = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/:@-]*[A-Za-z0-9])?$`)

// at is a path made of its parts.
func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// given reports whether the file has a field.
func (d *decoder) given(path string) bool { return d.lines[path] != 0 }

// want notes an error unless something holds, or the field was not understood in
// the first place.
func (d *decoder) want(holds bool, path, format string, args ...any) {
	if !holds && !d.failed(path) {
		d.fail(path, format, args...)
	}
}

func (d *decoder) between(path string, n, least, most int) {
	d.want(n >= least && n <= most, path, "is %d, want %d to %d", n, least, most)
}

func (d *decoder) duration(path string, v, least, most time.Duration) {
	d.want(v >= least && v <= most, path, "is %v, want %v to %v", v, least, most)
}

func (d *decoder) units(path string, n int64) {
	d.want(n >= 0 && n <= maxUnits, path, "is %d, want 0 to %d", n, maxUnits)
}

func (d *decoder) bandwidth(path string, b Bandwidth) {
	d.want(b <= maxBandwidth, path, "is more than any wire carries")
}

// oneOf refuses a word outside a closed list.
func oneOf[T ~string](d *decoder, path string, got T, known ...T) {
	words := make([]string, len(known))
	for i, k := range known {
		if got == k {
			return
		}
		words[i] = string(k)
	}
	d.want(false, path, "is %q, want %s", string(got), strings.Join(words, ", "))
}

// names are the things of a list by their names, which are there once.
type names struct {
	path, kind string
	hint       string // what to do about a name that leads nowhere
	index      map[string]int
	order      []string
}

// collect reads the names of a list.
func collect[T any](d *decoder, path, kind string, list []T, nameOf func(T) string) names {
	out := names{path: path, kind: kind, index: map[string]int{}}
	for i, item := range list {
		n, field := nameOf(item), at(path, i)+".name"
		d.want(len(n) <= maxName && name.MatchString(n), field,
			"is %q, want letters, digits and any of . _ / : @ - between them, %d at most", n, maxName)
		first, twice := out.index[n]
		if twice {
			d.want(false, field, "is %q as %s is: want another name", n, at(path, first)+".name")
			continue
		}
		out.index[n] = i
		out.order = append(out.order, n)
	}
	return out
}

// know refuses a name that leads nowhere.
func (d *decoder) know(path, n string, list names) bool {
	if _, ok := list.index[n]; ok {
		return true
	}
	if d.failed(list.path) {
		return false
	}
	if len(list.order) == 0 {
		d.want(false, path, "is %q, but there is no %s%s", n, list.kind, list.hint)
		return false
	}
	shown := list.order
	if len(shown) > 10 {
		shown = append(shown[:10:10], "...")
	}
	d.want(false, path, "is %q, but there is no such %s; there are %s%s", n, list.kind, strings.Join(shown, ", "), list.hint)
	return false
}

// knowAll refuses names of a list that lead nowhere or are there twice.
func (d *decoder) knowAll(path string, list []string, known names) {
	seen := map[string]bool{}
	for i, n := range list {
		if d.know(at(path, i), n, known) {
			d.want(!seen[n], at(path, i), "is %q, which the list has already", n)
		}
		seen[n] = true
	}
}

// index is what a scenario calls its things.
type index struct {
	clusters, registries, egress, mirrors, pools, images, workloads, policies names
}

// validate checks what the types cannot say.
func (d *decoder) validate(s *Scenario) {
	d.want(len(s.Metadata.Name) <= maxName && name.MatchString(s.Metadata.Name), "metadata.name", "is %q, want letters, digits and any of . _ / : @ - between them", s.Metadata.Name)
	spec := &s.Spec
	ix := index{
		clusters:   d.collectClusters(spec.Clusters),
		registries: collect(d, "spec.registries", "registry", spec.Registries, func(r Registry) string { return r.Name }),
		egress:     collect(d, "spec.egress", "egress group", spec.Egress, func(e Egress) string { return e.Name }),
		mirrors:    collect(d, "spec.mirrors", "mirror", spec.Mirrors, func(m Mirror) string { return m.Name }),
		pools:      collect(d, "spec.nodePools", "node pool", spec.NodePools, func(p NodePool) string { return p.Name }),
		images:     collect(d, "spec.images", "image", spec.Images, func(i Image) string { return i.Name }),
		workloads:  collect(d, "spec.workloads", "workload", spec.Workloads, func(w Workload) string { return w.Name }),
		policies:   collect(d, "spec.policies", "policy", spec.Policies, func(p Policy) string { return p.Name }),
	}
	if !d.validateLengths(spec) {
		return
	}
	d.between("spec.replications", spec.Replications, 1, maxReplications)
	d.duration("spec.horizon", spec.Horizon, time.Second, maxHorizon)
	d.validateCluster(spec.Cluster)
	d.validateRegistries(spec.Registries)
	d.validateEgress(spec)
	d.validateMirrors(spec, ix)
	d.validatePools(spec, ix)
	d.validateImages(spec, ix)
	d.validateWorkloads(spec, ix)
	d.validateTimeline(spec, ix)
	d.validateCaches(spec)
	d.validateFaults(spec, ix)
	d.validatePolicies(spec, ix)
	d.validateGoals(spec, ix)
}

// validateLengths refuses lists that are empty or longer than any cluster has use
// for.
func (d *decoder) validateLengths(s *Spec) bool {
	long := false
	for _, l := range []struct {
		field            string
		has, least, most int
	}{
		{"clusters", len(s.Clusters), 0, maxClusters}, {"registries", len(s.Registries), 1, 1_000}, {"egress", len(s.Egress), 0, 10_000}, {"mirrors", len(s.Mirrors), 0, 1_000},
		{"nodePools", len(s.NodePools), 1, 1_000}, {"images", len(s.Images), 1, 20_000}, {"workloads", len(s.Workloads), 0, 20_000},
		{"timeline", len(s.Timeline), 0, 50_000}, {"faults", len(s.Faults), 0, 1_000},
		{"policies", len(s.Policies), 1, 100}, {"goals", len(s.Goals), 0, 1_000},
	} {
		d.want(l.has >= l.least, "spec."+l.field, "is empty: there is nothing to simulate")
		d.want(l.has <= l.most, "spec."+l.field, "has %d entries, want %d at most", l.has, l.most)
		long = long || l.has > l.most
	}
	return !long
}

// collectClusters reads the names of clusters, which are no list of things.
func (d *decoder) collectClusters(clusters []string) names {
	out := names{path: "spec.clusters", kind: "cluster", index: map[string]int{}}
	for i, n := range clusters {
		d.want(len(n) <= maxName && name.MatchString(n), at(out.path, i), "is %q, want letters, digits and any of . _ / : @ - between them, %d at most", n, maxName)
		_, twice := out.index[n]
		d.want(!twice, at(out.path, i), "is %q, which the list has already", n)
		if !twice {
			out.index[n] = i
			out.order = append(out.order, n)
		}
	}
	return out
}

// inCluster checks whose something is: one of several clusters', or nobody's where
// there is but one.
func (d *decoder) inCluster(path, cluster string, clusters names) {
	if len(clusters.order) == 0 {
		d.want(cluster == "", path, "is %q, but spec.clusters names none", cluster)
		return
	}
	if d.given(path) {
		d.know(path, cluster, clusters)
		return
	}
	d.want(false, path, "is missing: spec.clusters names several, and it is of one of them")
}

func (d *decoder) validateCluster(c Cluster) {
	for _, pace := range []struct {
		name  string
		qps   float64
		burst int
	}{{"create", c.CreateQPS, c.CreateBurst}, {"bind", c.BindQPS, c.BindBurst}} {
		path := "spec.cluster." + pace.name
		d.want(pace.qps >= 0 && pace.qps <= 1e6, path+"QPS", "is %v, want 0 (unlimited) to 1000000", pace.qps)
		least := 0
		if pace.qps > 0 {
			least = 1
		}
		d.between(path+"Burst", pace.burst, least, maxPods)
	}
}

func (d *decoder) validateRegistries(registries []Registry) {
	hosts := map[string]string{}
	for i, r := range registries {
		path := at("spec.registries", i)
		for _, problem := range (&v1alpha1.PullBudgetSpec{Registry: r.Host}).Validate() {
			d.want(false, path+".host", "is %q: %s", r.Host, problem.Detail)
		}
		host := canonical(r.Host)
		d.want(hosts[host] == "", path+".host", "is that of %s already", hosts[host])
		hosts[host] = path
		d.distribution(path+".rtt", r.RTT)
		d.bandwidth(path+".bandwidth", r.Bandwidth)
		for j, l := range r.Limiters {
			d.validateLimiter(at(path+".limiters", j), l)
		}
	}
}

// canonical is the one name of Docker Hub's hosts, of others their own.
func canonical(host string) string {
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return host
}

func (d *decoder) validateLimiter(path string, l Limiter) {
	oneOf(d, path+".type", l.Type, RollingLog, FixedWindow, TokenBucket, SlidingCounter, Concurrency)
	oneOf(d, path+".per", l.Per, PerEgressIP, PerAccount, PerRegistry)
	oneOf(d, path+".counts", l.Counts, CountPull, CountManifestGET, CountRequest)
	oneOf(d, path+".headWhenEmpty", l.HeadWhenEmpty, HeadAllow, HeadDeny)
	edges := l.Type == FixedWindow || l.Type == SlidingCounter
	for _, f := range []struct {
		name       string
		has, needs bool
	}{
		{"limit", l.Type != TokenBucket, l.Type != TokenBucket},
		{"window", l.Windowed(), l.Windowed()},
		{"rate", l.Type == TokenBucket, l.Type == TokenBucket},
		{"burst", l.Type == TokenBucket, l.Type == TokenBucket},
		{"phase", edges, false},
	} {
		field := path + "." + f.name
		d.want(f.has || !d.given(field), field, "is no field of a %s", l.Type)
		d.want(!f.needs || d.given(field), field, "is missing: a %s needs it", l.Type)
	}
	d.units(path+".limit", l.Limit)
	d.units(path+".burst", l.Burst)
	d.want(l.Rate.Units <= maxUnits, path+".rate", "is %d at a time, want %d at most", l.Rate.Units, maxUnits)
	if l.Windowed() && d.given(path+".window") {
		d.duration(path+".window", l.Window, time.Millisecond, maxHorizon)
		d.want(l.Phase == 0 || l.Phase < l.Window, path+".phase", "is %v, want less than the window of %v", l.Phase, l.Window)
	}
	if !d.failedBelow(path) {
		_, err := limiter.New(l.Config())
		d.want(err == nil, path, "%v", err)
	}
}

// failedBelow reports whether something in a part of the file is wrong.
func (d *decoder) failedBelow(path string) bool { return d.broken[path] }

func (d *decoder) distribution(path string, v Distribution) {
	if d.failedBelow(path) {
		return
	}
	said := 0
	if v.Constant != nil {
		said++
		d.duration(path+".constant", *v.Constant, 0, maxTime)
	}
	if l := v.LogNormal; l != nil {
		said++
		d.duration(path+".lognormal.p50", l.P50, time.Nanosecond, maxTime)
		d.duration(path+".lognormal.p99", l.P99, l.P50, maxTime)
	}
	if u := v.Uniform; u != nil {
		said++
		d.duration(path+".uniform.min", u.Min, 0, maxTime)
		d.duration(path+".uniform.max", u.Max, u.Min, maxTime)
	}
	if e := v.Exponential; e != nil {
		said++
		d.duration(path+".exponential.mean", e.Mean, 0, maxTime)
	}
	d.want(said == 1, path, "wants exactly one of constant, lognormal, uniform, exponential")
}
