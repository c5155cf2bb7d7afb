package quota

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// maxSources bounds the identities that are remembered of one account.
const maxSources = 8

// sighting is the last reading that named a source.
type sighting struct {
	source    string
	sentAt    time.Time
	remaining core.Units
}

// sightings are the identities that readings of one account named within a window.
// More than one means that its pulls leave through several addresses, each with a
// bucket of its own: which a pull draws on is not known, so that the emptiest counts.
// It is an array so that a copy of the books shares nothing.
type sightings [maxSources]sighting

// lowest takes in a reading and returns the least that any source had left.
func (s *sightings) lowest(obs Observation) core.Units {
	if obs.Header.Source == "" {
		return obs.Header.Remaining
	}
	least, at := obs.Header.Remaining, -1
	for i := range s {
		seen := &s[i]
		if seen.source != "" && obs.SentAt.Sub(seen.sentAt) >= max(obs.Header.Window, fallbackWindow) {
			*seen = sighting{}
		}
		switch {
		case seen.source == obs.Header.Source:
			at = i
		case seen.source != "":
			least = min(least, seen.remaining)
		}
	}
	if at < 0 {
		at = s.oldest()
	}
	s[at] = sighting{obs.Header.Source, obs.SentAt, obs.Header.Remaining}
	return least
}

// oldest is a place that is free, or that of the source that was seen least lately.
func (s *sightings) oldest() int {
	oldest := 0
	for i := range s {
		if s[i].sentAt.Before(s[oldest].sentAt) {
			oldest = i
		}
	}
	return oldest
}

// names are the sources where there is more than one, sorted.
func (s *sightings) names() []string {
	count := 0
	for i := range s {
		if s[i].source != "" {
			count++
		}
	}
	if count < 2 {
		return nil
	}
	names := make([]string, 0, count)
	for i := range s {
		if s[i].source != "" {
			names = append(names, s[i].source)
		}
	}
	slices.Sort(names)
	return names
}
