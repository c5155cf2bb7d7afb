package kube

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// namespace is what is remembered of a Namespace.
type namespace struct {
	object *corev1.Namespace
	labels map[string]string
	// since is when it was opted in; zero: not known.
	since time.Time
	// off says that its annotation switches Pace off, enabled that its label
	// opts in.
	off, enabled bool
	pods         map[core.PodID]bool
}

// Namespace takes in a namespace.
func (t *Tracker) Namespace(n *corev1.Namespace) []engine.Event {
	ns := t.namespace(n.Name)
	off, enabled, since := switchedOff(n), optedIn(n), optedInAt(n)
	same := ns.labels != nil && maps.Equal(ns.labels, n.Labels) && ns.off == off && ns.enabled == enabled && ns.since.Equal(since)
	ns.object, ns.labels, ns.off, ns.enabled, ns.since = n, n.Labels, off, enabled, since
	if ns.labels == nil {
		ns.labels = map[string]string{}
	}
	if !same {
		for _, id := range slices.Sorted(maps.Keys(ns.pods)) {
			t.translate(t.pods[id])
		}
	}
	return t.take()
}

// NamespaceGone takes in the end of a namespace; its pods tell of their own end.
func (t *Tracker) NamespaceGone(name string) []engine.Event {
	if ns := t.namespaces[name]; ns != nil && len(ns.pods) == 0 {
		delete(t.namespaces, name)
	}
	return nil
}

func (t *Tracker) namespace(name string) *namespace {
	ns := t.namespaces[name]
	if ns == nil {
		ns = &namespace{pods: map[core.PodID]bool{}}
		t.namespaces[name] = ns
	}
	return ns
}
