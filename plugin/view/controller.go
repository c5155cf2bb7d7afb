package view

import "time"

// heartbeatFresh is how old the heartbeat of a completed turn may be for the
// webhook to hold; the same bound makes the plugin say that the controller works.
const heartbeatFresh = 30 * time.Second

// Controller is what is known of the controller.
type Controller struct {
	Installed bool `json:"installed"`
	// Heartbeat is when a turn was completed last.
	Heartbeat time.Time `json:"heartbeat,omitzero"`
	// Version is what the replica that completed the last turn says it is, "" where
	// none has said it.
	Version string `json:"version,omitempty"`
	// Image is what its Deployment runs.
	Image string `json:"image,omitempty"`
	// Ready and Wanted count its replicas.
	Ready  int32 `json:"ready"`
	Wanted int32 `json:"wanted"`
}

// Alive reports whether the controller holds and releases at now.
func (c Controller) Alive(now time.Time) bool {
	return c.Installed && now.Sub(c.Heartbeat) < heartbeatFresh
}

// Failsafe is what is known of the failsafe.
type Failsafe struct {
	Replicas
	// Seen is when it looked after what is held last.
	Seen time.Time `json:"seen,omitzero"`
}

// Alive reports whether it looks at now.
func (f Failsafe) Alive(now time.Time) bool { return now.Sub(f.Seen) < heartbeatFresh }

// verdict is one sentence about the failsafe.
func (f Failsafe) verdict(s Style) painted {
	switch {
	case f.Alive(s.Now):
		return painted{"ok, seen " + s.age(f.Seen) + " ago", good}
	case f.Wanted == 0 && f.Seen.IsZero():
		return painted{"not installed", warn}
	case f.Seen.IsZero():
		return painted{"not seen yet: nothing bounds a hold when the controller is gone", bad}
	}
	return painted{"not seen for " + s.age(f.Seen) + ": nothing bounds a hold when the controller is gone", bad}
}

// verdict is one sentence about the controller.
func (c Controller) verdict(s Style) painted {
	switch {
	case !c.Installed:
		return painted{"not installed", warn}
	case c.Heartbeat.IsZero():
		return painted{"installed, has not completed a turn yet", warn}
	case !c.Alive(s.Now):
		return painted{"no completed turn for " + s.age(c.Heartbeat) + ": nothing new is held", bad}
	}
	return painted{"working, last turn " + s.age(c.Heartbeat) + " ago", good}
}
