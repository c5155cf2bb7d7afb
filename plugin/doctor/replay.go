package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/capture"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate/scenario"
)

// Limit is what a registry allows in a window.
type Limit struct {
	Pulls  int64
	Window time.Duration
}

// Run is a scenario to be simulated; its one policy is what is asked of it.
type Run struct {
	// Fix is the number of the fix that it is of; 0 is as it is.
	Fix      int
	Scenario *scenario.Scenario
}

// replaySeed is what draws of a replay derive from.
const replaySeed = 42

// Replay makes scenarios of what was refused: the pods of the wave, all pending at
// once on the nodes of this cluster, against a limit. stated is what the reader says
// of the limit; nil where nothing is. The result has no figures yet.
func Replay(s *Snapshot, scope Scope, d view.Diagnosis, stated *Limit) (view.DiagnosisReplay, []Run) {
	e := newExam(s, scope)
	r := view.DiagnosisReplay{Seed: replaySeed, Assumed: []string{}}
	i := slices.IndexFunc(d.Findings, func(f view.Finding) bool {
		return f.Check == CheckThrottled && (f.Limiter == "pull" || f.Limiter == "unsaid")
	})
	if i < 0 {
		r.Not = "no pull limit refused anything"
		return r, nil
	}
	r.Registry = d.Findings[i].Registry
	var refused []failure
	for _, f := range e.everywhere {
		if checkOf(f.Class).check == CheckThrottled && f.host == r.Registry {
			refused = append(refused, f)
		}
	}
	w := e.waveOf(r.Registry, refused)
	if len(w.pods) == 0 {
		r.Not = "the pods that were refused are gone"
		return r, nil
	}
	r.Pods, r.Nodes = len(w.pods), len(w.nodes)
	limit, assumed := e.limitOf(r.Registry, w, stated)
	if limit.Pulls <= 0 {
		r.Not = "nothing tells the limit: say it by --limit, as --limit 100/1h"
		return r, nil
	}
	r.Limit, r.WindowSeconds = limit.Pulls, limit.Window.Seconds()
	r.Assumed = append(append(r.Assumed, assumed...), "the pods are created at once, the account is full, nobody else uses it")
	world := e.world(r.Registry, w, limit)
	var runs []Run
	add := func(fix int, m map[string]any) {
		text, err := yaml.Marshal(m)
		if err != nil {
			return
		}
		sc, err := scenario.Decode(text)
		if err != nil {
			r.Not = "this cluster makes no scenario: " + err.Error()
			return
		}
		runs = append(runs, Run{Fix: fix, Scenario: sc})
	}
	add(0, world.scenario("none", nil, false))
	for _, f := range d.Fixes {
		switch f.Kind {
		case UseSecret:
			add(f.Number, world.scenario("none", e.namespacesWithSecret(), false))
			r.Assumed = append(r.Assumed, "the pull secret is of an account with a limit of its own that is as large")
		case Mirror:
			add(f.Number, world.scenario("none", nil, true))
		case Pace:
			add(f.Number, world.scenario("pace", nil, false))
		}
	}
	return r, runs
}

// limitOf is what the registry allows: as the reader says, as the controller read,
// or as many pulls as were granted before it refused.
func (e *exam) limitOf(host string, w wave, stated *Limit) (Limit, []string) {
	if stated != nil {
		return *stated, []string{"the limit, as it was stated"}
	}
	for _, a := range e.accounts(host) {
		if a.Limit > 0 && a.Window.Duration > 0 {
			return Limit{a.Limit, a.Window.Duration}, []string{"which kind of window it is, no registry says: rolling"}
		}
	}
	granted := int64(0)
	for i := range e.Events {
		ev := &e.Events[i]
		rest, ok := strings.CutPrefix(ev.Message, `Successfully pulled image "`)
		if !ok || ev.Reason != "Pulled" {
			continue
		}
		image, _, _ := strings.Cut(rest, `"`)
		if _, of, ok := kube.NormalImage(image); ok && of == host {
			granted += int64(max(ev.Count, 1))
		}
	}
	granted = max(granted, int64(w.got))
	if granted == 0 {
		return Limit{}, nil
	}
	return Limit{granted, time.Hour}, []string{fmt.Sprintf("nobody has read the limit: the %d pulls that were granted are taken for one of %d in 1h; --limit says it better", granted, granted)}
}

// world is what a replay is made of.
type world struct {
	host   string
	limit  Limit
	egress any
	pools  []any
	groups []group
	sizes  map[string]int64
	pace   map[string]any
}

// group is pods of the wave that are alike.
type group struct {
	owner    kube.Owner
	images   string // joined by spaces
	replicas int
	bare     bool // they name no pull secret
}

func (e *exam) world(host string, w wave, limit Limit) *world {
	out := &world{host: host, limit: limit, sizes: map[string]int64{}}
	var captured struct {
		Spec struct {
			Egress    any              `json:"egress"`
			NodePools []map[string]any `json:"nodePools"`
			Policies  []struct {
				Name string         `json:"name"`
				Pace map[string]any `json:"pace"`
			} `json:"policies"`
		} `json:"spec"`
	}
	text := capture.Scenario(capture.Cluster{Nodes: e.Nodes, Pods: e.Pods, Deployments: e.Deployments, Budgets: e.Budgets, Policies: e.Policies, Kubelets: e.Kubelets, Now: e.Now}, "replay", capture.Plain())
	if yaml.Unmarshal(text, &captured) != nil {
		return out // it then makes no scenario, which is said
	}
	out.egress = captured.Spec.Egress
	for _, pool := range captured.Spec.NodePools {
		delete(pool, "daemonSets")
		out.pools = append(out.pools, pool)
	}
	for _, p := range captured.Spec.Policies {
		budgets, _ := p.Pace["budgets"].(map[string]any)
		if b := budgets[host]; p.Name == "pace" && b != nil {
			out.pace = map[string]any{"policy": p.Pace["policy"], "budgets": map[string]any{host: b}}
		}
	}
	counts := map[group]int{}
	for _, p := range w.pods {
		var images []string
		for _, pull := range kube.Pulls(&p.Spec) {
			if pull.Host == host {
				images = append(images, string(pull.Image))
				out.sizes[string(pull.Image)] = 0
			}
		}
		counts[group{owner: kube.OwnerOf(p), images: strings.Join(images, " "), bare: len(p.Spec.ImagePullSecrets) == 0}]++
	}
	for g, n := range counts {
		g.replicas = n
		out.groups = append(out.groups, g)
	}
	slices.SortFunc(out.groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.owner.String(), b.owner.String()), cmp.Compare(a.images, b.images), cmp.Compare(fmt.Sprint(a.bare), fmt.Sprint(b.bare)))
	})
	e.sizesOf(out.sizes)
	return out
}

// sizesOf takes the sizes of images from where they are.
func (e *exam) sizesOf(sizes map[string]int64) {
	for i := range e.Nodes {
		for _, listed := range e.Nodes[i].Status.Images {
			for _, ref := range listed.Names {
				name, _, ok := kube.NormalImage(ref)
				if _, wanted := sizes[string(name)]; ok && wanted {
					sizes[string(name)] = max(sizes[string(name)], listed.SizeBytes)
				}
			}
		}
	}
}

// assumedSize is of an image that no node lists.
const assumedSize = 100 << 20

// scenario is the wave under one policy. Pods of namespaces in login pull on an
// account of their own.
func (w *world) scenario(policy string, login []string, mirror bool) map[string]any {
	limiter := func(per scenario.Scope) []any {
		return []any{map[string]any{"type": "RollingLog", "per": string(per), "counts": "Pull", "limit": w.limit.Pulls, "window": w.limit.Window.String()}}
	}
	registries := []any{map[string]any{"name": w.host, "host": w.host, "limiters": limiter(scenario.PerEgressIP)}}
	if len(login) > 0 {
		registries = append(registries, map[string]any{"name": "login", "host": "login.invalid", "limiters": limiter(scenario.PerAccount)})
	}
	var workloads, images []any
	named := map[string]string{}
	name := func(registry, image string) string {
		key := registry + " " + image
		if named[key] == "" {
			named[key] = fmt.Sprintf("image-%d", len(named)+1)
			size := w.sizes[image]
			if size <= 0 {
				size = assumedSize
			}
			images = append(images, map[string]any{"name": named[key], "registry": registry, "multiArch": true,
				"layers": []any{map[string]any{"digest": image, "size": fmt.Sprintf("%dKi", max(size>>10, 1))}}})
		}
		return named[key]
	}
	for i, g := range w.groups {
		registry := w.host
		if g.bare && slices.Contains(login, g.owner.Namespace) {
			registry = "login"
		}
		var of []string
		for _, image := range strings.Fields(g.images) {
			of = append(of, name(registry, image))
		}
		workloads = append(workloads, map[string]any{"name": fmt.Sprintf("wave-%d", i+1), "images": of, "replicas": g.replicas, "namespace": g.owner.Namespace, "cold": true})
	}
	spec := map[string]any{
		"seed": replaySeed, "horizon": "24h", "registries": registries, "egress": w.egress, "nodePools": w.pools,
		"images": images, "workloads": workloads, "policies": []any{w.policy(policy)},
	}
	if mirror {
		spec["mirrors"] = []any{map[string]any{"name": "mirror", "for": []string{w.host}, "singleFlight": true}}
	}
	return map[string]any{"apiVersion": v1alpha1.GroupVersion().String(), "kind": scenario.Kind, "metadata": map[string]any{"name": "replay"}, "spec": spec}
}

func (w *world) policy(name string) map[string]any {
	if name == "none" {
		return map[string]any{"name": name, "unpaced": map[string]any{}}
	}
	pace := map[string]any{}
	if w.pace != nil {
		pace = w.pace
	}
	return map[string]any{"name": name, "pace": pace}
}
