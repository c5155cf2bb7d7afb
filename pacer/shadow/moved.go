package shadow

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
)

// early is the pull of an image to a node by pods that would still have been held.
type early struct {
	account core.AccountID
	pods    map[core.PodID]*pod
	// made is set when the image has arrived; nil while the pull is under way.
	made *moved
}

// moved is a pull that was made at from and would have been made at to; either is zero
// while it is not known.
type moved struct {
	image    core.Image
	from, to time.Time
	// never says that what is not known will not come.
	never bool
}

// weight is how many pulls more a reading would have left.
func (m *moved) weight(r engine.Readings) core.Units {
	within := func(t time.Time) core.Units {
		if t.IsZero() || r.SentAt.Before(t.Add(r.Lag)) || !r.SentAt.Before(t.Add(r.Window)) {
			return 0
		}
		return 1
	}
	return within(m.from) - within(m.to)
}

// over reports whether the pull can weigh on no later reading.
func (m *moved) over(now time.Time, window time.Duration) bool {
	last := m.from
	if m.to.After(last) {
		last = m.to
	}
	return (m.never || !m.from.IsZero() && !m.to.IsZero()) && now.After(last.Add(2*window))
}

// moves is how many units more the last reading of an account would have said to be
// left; what cannot weigh any more is forgotten.
func (s *Shadow) moves(now time.Time, id core.AccountID, r engine.Readings) core.Units {
	s.windows[id] = r.Window
	if r.Window <= 0 {
		return 0
	}
	s.moved[id] = slices.DeleteFunc(s.moved[id], func(m *moved) bool { return m.over(now, r.Window) })
	if len(s.moved[id]) == 0 {
		delete(s.moved, id)
		return 0
	}
	var units core.Units
	for _, m := range s.moved[id] {
		// A price may be learned after the pull.
		if weight := m.weight(r); weight != 0 {
			units += weight * s.engine.Price(m.image, id)
		}
	}
	return units
}

// drained reports whether pulls of other pods that are not let go yet have taken from
// an account, or try to.
func (s *Shadow) drained(now time.Time, id core.AccountID, except core.PodID) bool {
	if slices.ContainsFunc(s.moved[id], func(m *moved) bool {
		return m.to.IsZero() && !m.never && now.Before(m.from.Add(s.windows[id]))
	}) {
		return true
	}
	for _, images := range s.early {
		for _, e := range images {
			if e.account == id && e.made == nil && (len(e.pods) > 1 || e.pods[except] == nil) {
				return true
			}
		}
	}
	return false
}

// land notes what a pod that just came to a node has to wait for there.
func (s *Shadow) land(p *pod) {
	if p.node != "" || p.seen.Node == "" || (p.seen.Phase != engine.PodBound && p.seen.Phase != engine.PodPulled) {
		return
	}
	p.node = p.seen.Node
	for _, pull := range s.engine.Pulls(p.seen.Group, p.node) {
		e := s.early[p.node][pull.Image]
		if e == nil && p.held && !pull.Running {
			e = &early{account: pull.Account, pods: map[core.PodID]*pod{}}
			if s.early[p.node] == nil {
				s.early[p.node] = map[core.Image]*early{}
			}
			s.early[p.node][pull.Image] = e
		}
		if e == nil || e.made == nil {
			// A pull that others wait for is waited for by this pod too.
			p.charged = p.charged || pull.Units > 0
		}
		if e != nil && p.held {
			e.pods[p.id] = p
		}
	}
}

// arrive notes which pulls that pods waited for were made.
func (s *Shadow) arrive(now time.Time, seen engine.Pod) {
	started := func(image core.Image) bool {
		if seen.Phase == engine.PodPulled {
			return s.engine.Uses(seen.Group, image)
		}
		return seen.Phase == engine.PodBound && slices.Contains(seen.Started, image)
	}
	for image, e := range s.early[seen.Node] {
		if e.made == nil && started(image) {
			e.made = &moved{image: image, from: now}
			s.moved[e.account] = append(s.moved[e.account], e.made)
		}
	}
	for image, m := range s.late[seen.Node] {
		if started(image) {
			m.from = now
			delete(s.late[seen.Node], image)
		}
	}
	if len(s.late[seen.Node]) == 0 {
		delete(s.late, seen.Node)
	}
}

// assume books the pulls of a pod that is let go and refused, because of pods that are
// not, as if they were made when it was let go.
func (s *Shadow) assume(now time.Time, p *pod) {
	if p.assumed || p.node == "" || p.seen.Phase != engine.PodBound {
		return
	}
	p.assumed = true
	for _, pull := range s.engine.Pulls(p.seen.Group, p.node) {
		if e := s.early[p.node][pull.Image]; (e != nil && e.made != nil) || s.late[p.node][pull.Image] != nil {
			continue
		}
		if s.late[p.node] == nil {
			s.late[p.node] = map[core.Image]*moved{}
		}
		m := &moved{image: pull.Image, to: p.seen.ReleasedAt}
		s.late[p.node][pull.Image] = m
		s.moved[pull.Account] = append(s.moved[pull.Account], m)
	}
}

// show lets the engine see a pod as it is, with its pulls as if they were made when it
// was let go.
func (s *Shadow) show(now time.Time, seen engine.Pod, assumed bool) {
	hidden := s.hidden(seen)
	if len(hidden) > 0 || assumed {
		before := seen
		before.Phase = engine.PodBound
		before.Started = slices.DeleteFunc(slices.Clone(seen.Started), func(i core.Image) bool { return slices.Contains(hidden, i) })
		s.engine.Observe(now, engine.Event{Pod: &before})
	}
	uncovered := false
	for _, image := range hidden {
		if e := s.early[seen.Node][image]; e.made != nil {
			e.made.to = now
			uncovered = true
		}
		delete(s.early[seen.Node], image)
	}
	s.uncover(now, seen.Node, uncovered)
	if assumed {
		seen.Phase = engine.PodPulled
	}
	s.engine.Observe(now, engine.Event{Pod: &seen})
}

// hidden are the images that a pod on a node runs and that count as absent there,
// sorted.
func (s *Shadow) hidden(seen engine.Pod) []core.Image {
	if seen.Phase != engine.PodBound && seen.Phase != engine.PodPulled {
		return nil
	}
	var images []core.Image
	for image := range s.early[seen.Node] {
		if s.engine.Uses(seen.Group, image) {
			images = append(images, image)
		}
	}
	slices.Sort(images)
	return images
}

// leave ends a pod's part in pulls that it would not have made.
func (s *Shadow) leave(now time.Time, p *pod) {
	uncovered := false
	for image, e := range s.early[p.node] {
		if e.pods[p.id] == nil {
			continue
		}
		delete(e.pods, p.id)
		if len(e.pods) > 0 {
			continue
		}
		if e.made != nil {
			e.made.never = true
			uncovered = true
		}
		delete(s.early[p.node], image)
	}
	s.uncover(now, p.node, uncovered)
}

// uncover shows a node again when fewer of its images are hidden.
func (s *Shadow) uncover(now time.Time, id core.NodeID, changed bool) {
	if len(s.early[id]) == 0 {
		delete(s.early, id)
	}
	if n := s.nodes[id]; n != nil && changed {
		s.observeNode(now, n)
	}
}

// observeNode shows a node without the images that it would not have yet.
func (s *Shadow) observeNode(now time.Time, n *engine.Node) {
	s.nodes[n.ID] = n
	hidden := s.early[n.ID]
	if len(hidden) == 0 {
		s.engine.Observe(now, engine.Event{Node: n})
		return
	}
	less := *n
	less.Images = slices.DeleteFunc(slices.Clone(n.Images), func(i core.Image) bool { return hidden[i] != nil })
	s.engine.Observe(now, engine.Event{Node: &less})
}
