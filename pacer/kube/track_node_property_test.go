package kube

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/gate"
)

// scaleUps is a cluster whose nodes come and go in any way, with what watches them.
type scaleUps struct {
	t      *rapid.T
	now    time.Time
	rules  *Rules
	nodes  map[string]*corev1.Node
	claims map[string]*unstructured.Unstructured
	made   int
	tr     *Tracker
	e      *engine.Engine
}

func newScaleUps(t *rapid.T) *scaleUps {
	s := &scaleUps{t: t, now: start, nodes: map[string]*corev1.Node{}, claims: map[string]*unstructured.Unstructured{}}
	budget := makeBudget("hub", "docker.io", func(b *v1alpha1.PullBudget) {
		b.Spec.Limit = &v1alpha1.Limit{Source: v1alpha1.Fixed, Pulls: 3, Window: &metav1.Duration{Duration: time.Minute}}
	})
	var err error
	s.rules, err = NewRules([]v1alpha1.PullBudget{budget}, []v1alpha1.PacePolicy{makePolicy("default", func(p *v1alpha1.PacePolicy) { p.Spec.Nodes = &v1alpha1.Nodes{Hold: true} })})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		name := fmt.Sprint("old-", i)
		s.nodes[name] = makeNode(name, lists("docker.io/acme/agent:1"), allocatable("4", "8Gi", "110"), func(n *corev1.Node) {
			n.CreationTimestamp = metav1.NewTime(start.Add(-100 * time.Hour))
		})
	}
	s.begin(nil)
	return s
}

// begin is a controller that starts, with what the last one wrote down.
func (s *scaleUps) begin(state *engine.State) {
	s.tr, s.e = NewTracker(), engine.New(engine.Config{})
	if state != nil {
		s.e.Restore(s.now, *state)
	}
	var world engine.World
	add := func(events []engine.Event) { world.Events = append(world.Events, events...) }
	add([]engine.Event{{Shape: &engine.ImageShape{Image: "docker.io/acme/agent:1", Manifests: 1}}})
	add(s.tr.NodesHoldable(s.now, true))
	add(s.tr.Rules(s.rules))
	add(s.tr.DaemonSet(s.now, makeDaemonSet("agent")))
	add(s.tr.NodePool(s.now, makeNodePool("general", nil)))
	for _, name := range slices.Sorted(maps.Keys(s.claims)) {
		add(s.tr.NodeClaim(s.now, s.claims[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		add(s.tr.Node(s.now, s.nodes[name]))
	}
	s.e.Replace(s.now, world)
}

func (s *scaleUps) observe(events []engine.Event) {
	for _, ev := range events {
		s.e.Observe(s.now, ev)
	}
}

// edit changes a node in the cluster and lets the tracker see it.
func (s *scaleUps) edit(name string, change func(*corev1.Node)) {
	n := s.nodes[name].DeepCopy()
	change(n)
	s.nodes[name] = n
	s.observe(s.tr.Node(s.now, n))
}

func (s *scaleUps) claim() {
	s.made++
	name := fmt.Sprint("c-", s.made)
	c := makeClaim(name, func(u *unstructured.Unstructured) { u.SetCreationTimestamp(metav1.NewTime(s.now)) })
	if rapid.Bool().Draw(s.t, "launched") {
		withField("fake://n-"+name, "status", "providerID")(c)
	}
	s.claims[name] = c
	s.observe(s.tr.NodeClaim(s.now, c))
}

// register makes a node, of a claim or of nobody.
func (s *scaleUps) register() {
	s.made++
	name, ofClaim := fmt.Sprint("n-", s.made), ""
	var open []string
	for _, claim := range slices.Sorted(maps.Keys(s.claims)) {
		if s.nodes["n-"+claim] == nil {
			open = append(open, claim)
		}
	}
	if len(open) > 0 && rapid.Bool().Draw(s.t, "of a claim") {
		ofClaim = rapid.SampledFrom(open).Draw(s.t, "claim")
		name = "n-" + ofClaim
	}
	held := rapid.Bool().Draw(s.t, "registers held")
	n := makeNode(name, func(n *corev1.Node) {
		n.UID, n.CreationTimestamp = types.UID(name), metav1.NewTime(s.now)
		n.Spec.ProviderID = "fake://" + name
		n.Spec.Taints = []corev1.Taint{noSchedule(corev1.TaintNodeNotReady)}
		if held {
			n.Spec.Taints = append(n.Spec.Taints, noSchedule(v1alpha1.Taint))
		}
		if ofClaim != "" {
			n.Labels[LabelNodePool] = "general"
		}
	})
	s.nodes[name] = n
	s.observe(s.tr.Node(s.now, n))
	if c := s.claims[ofClaim]; c != nil {
		named := c.DeepCopy()
		withField(name, "status", "nodeName")(named)
		s.claims[ofClaim] = named
		s.observe(s.tr.NodeClaim(s.now, named))
	}
}

// turn does what the controller does in one turn.
func (s *scaleUps) turn() {
	s.observe(s.tr.Advance(s.now))
	d := s.e.Decide(s.now)
	hold, pass := s.tr.Waiting(d)
	let := map[string]core.Reason{}
	for _, r := range d.Releases {
		for _, n := range s.tr.ChooseNodes(r) {
			let[n.Name] = r.Reason
		}
	}
	for _, w := range hold {
		if let[w.Node.Name] != "" {
			s.t.Fatalf("node %s is let go and held in one turn", w.Node.Name)
		}
		s.edit(w.Node.Name, func(n *corev1.Node) { gate.HoldNode(n, w.Until) })
	}
	for _, w := range pass {
		if gate.NodeHeld(w.Node) {
			let[w.Node.Name] = core.Excluded
			continue
		}
		s.observe(s.tr.PassNode(s.now, w.Node, core.Excluded))
	}
	for _, loose := range s.tr.LooseNodes(s.now) {
		let[loose.Node.Name] = loose.Reason
	}
	for _, name := range slices.Sorted(maps.Keys(let)) {
		n := s.nodes[name]
		s.observe([]engine.Event{{Released: &engine.Booking{Pod: NodePodID(n), Decision: d.ID}}})
		s.tr.LeavingNode(n, true)
		s.edit(name, func(n *corev1.Node) {
			gate.LetNode(n, v1alpha1.ReleaseMark{Decision: d.ID, Time: s.now, Reason: string(let[name])})
		})
	}
}

func (s *scaleUps) pick(what string, match func(*corev1.Node) bool) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		if match(s.nodes[name]) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		s.t.Skip("no such node")
	}
	return rapid.SampledFrom(names).Draw(s.t, what)
}

func isFree(n *corev1.Node) bool { return !gate.NodeHeld(n) }

func (s *scaleUps) start(name string) {
	s.edit(name, func(n *corev1.Node) {
		n.Spec.Taints = slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady })
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	})
}

func (s *scaleUps) pulls(name string) { s.edit(name, lists("docker.io/acme/agent:1")) }

func (s *scaleUps) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"claim":    func(*rapid.T) { s.claim() },
		"register": func(*rapid.T) { s.register() },
		"turn":     func(*rapid.T) { s.turn() },
		"time": func(t *rapid.T) {
			s.now = s.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
		},
		"starts": func(*rapid.T) { s.start(s.pick("starts", func(n *corev1.Node) bool { return !joined(n) })) },
		"pulls": func(*rapid.T) {
			s.pulls(s.pick("pulls", func(n *corev1.Node) bool { return isFree(n) && len(n.Status.Images) == 0 }))
		},
		"a person": func(*rapid.T) {
			s.edit(s.pick("untainted", gate.NodeHeld), func(n *corev1.Node) { untaintByHand(n) })
		},
		"taint comes back": func(*rapid.T) {
			s.edit(s.pick("tainted", func(n *corev1.Node) bool { return isFree(n) && !gate.NodeReleasedAt(n).IsZero() }), func(n *corev1.Node) {
				n.Spec.Taints = append(slices.Clone(n.Spec.Taints), noSchedule(v1alpha1.Taint))
			})
		},
		"node ends": func(*rapid.T) {
			name := s.pick("gone", func(n *corev1.Node) bool { return n.UID != "" })
			delete(s.nodes, name)
			s.observe(s.tr.NodeGone(name))
		},
		"claim ends": func(t *rapid.T) {
			if len(s.claims) == 0 {
				t.Skip("no claim")
			}
			name := rapid.SampledFrom(slices.Sorted(maps.Keys(s.claims))).Draw(t, "claim")
			delete(s.claims, name)
			s.observe(s.tr.NodeClaimGone(name))
		},
		"another leader": func(*rapid.T) {
			state := s.e.Export()
			s.begin(&state)
		},
		"": s.check,
	}
}

func untaintByHand(n *corev1.Node) {
	n.Spec.Taints = slices.DeleteFunc(slices.Clone(n.Spec.Taints), func(t corev1.Taint) bool { return t.Key == v1alpha1.Taint })
}

// check: of what nodes that are there or asked for may still pull nothing is set aside
// twice.
func (s *scaleUps) check(t *rapid.T) {
	cold := 0
	for _, n := range s.nodes {
		if len(n.Status.Images) == 0 {
			cold++
		}
	}
	for name := range s.claims {
		if s.nodes["n-"+name] == nil {
			cold++
		}
	}
	s.e.Decide(s.now)
	if open := s.e.Export().Accounts[0].Open; open > core.Units(cold) {
		t.Fatalf("%d units are set aside for %d cold nodes", open, cold)
	}
}

// TestNodesComeAndGo has nodes and claims come and go in any order, with leaders that
// change and people that interfere. In the end every node is free, what was set aside
// is free again, and nothing is remembered.
func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newScaleUps(t)
		t.Repeat(s.actions())
		for range 40 {
			s.now = s.now.Add(time.Minute)
			s.turn()
			for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
				if n := s.nodes[name]; isFree(n) {
					s.start(name)
					s.pulls(name)
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(s.claims)) {
			s.observe(s.tr.NodeClaimGone(name))
		}
		s.now = s.now.Add(time.Hour)
		s.turn()
		for name, n := range s.nodes {
			if gate.NodeHeld(n) || n.Labels[v1alpha1.LabelHeld] != "" {
				t.Errorf("node %s is held for ever: %v", name, n.Annotations)
			}
		}
		if len(s.tr.arrivals)+len(s.tr.bundles)+len(s.tr.claims) > 0 {
			t.Errorf("left behind: arrivals %v, bundles %v, claims %v", s.tr.arrivals, s.tr.bundles, s.tr.claims)
		}
		if open := s.e.Export().Accounts[0].Open; open != 0 {
			t.Errorf("%d units are set aside for nothing", open)
		}
	})
}
