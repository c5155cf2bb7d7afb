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

// verdict is one sentence about the controller.
func (c Controller) verdict(s Style) painted {
	switch {
	case !c.Installed:
		return painted{"not installed", warn}
	case c.Heartbeat.IsZero():
		return painted{"installed, has not completed a turn yet", warn}
	case !c.Alive(s.Now):
		return painted{"no completed turn for " + s.age(c.Heartbeat) + ": what is held waits for it; `kubectl pace release --now` or `uninstall` lets go", bad}
	}
	return painted{"working, last turn " + s.age(c.Heartbeat) + " ago", good}
}
