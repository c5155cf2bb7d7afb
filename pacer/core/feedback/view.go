package feedback

import (
	"fmt"
	"time"
)

// State is how far a Breaker lets pulls pass. The words are those that people read;
// metrics say closed, open and half-open.
type State string

// The states.
const (
	OK     State = "ok"         // closed
	Paused State = "paused"     // open
	Trying State = "trying one" // half-open
)

// Settings are the constants of the breaker of an account. The zero value of a field
// means its default.
type Settings struct {
	// FailurePercent of pods whose pulls fail opens it. Default 20.
	FailurePercent int `json:"failurePercent,omitempty"`
	// Base is the first back-off, which doubles up to Max. Defaults 30 s and 30 min.
	Base time.Duration `json:"base,omitempty"`
	Max  time.Duration `json:"max,omitempty"`
}

// Threshold says at which rate of failing pulls something is paused. The zero value of
// a field means its default; ResumeBelow counts where FailurePercent is set.
type Threshold struct {
	// FailurePercent of the pods that pulled within Window, MinPods at least, must fail.
	// Defaults 20, 5, 2 min.
	FailurePercent int           `json:"failurePercent,omitempty"`
	MinPods        int           `json:"minPods,omitempty"`
	Window         time.Duration `json:"window,omitempty"`
	// ResumeBelow is the percentage below which it goes on. Default 5.
	ResumeBelow int `json:"resumeBelow,omitempty"`
}

// Cause is why a breaker opened.
type Cause struct {
	Class Class `json:"class,omitempty"`
	Kind  Kind  `json:"kind,omitempty"`
	// Failed of Pods failed within the window, where a rate opened it; zero: one
	// failure was enough.
	Failed int `json:"failed,omitempty"`
	Pods   int `json:"pods,omitempty"`
	// Head says that it was not a pull that failed, but the HEAD of a probe.
	Head bool `json:"head,omitempty"`
}

// String says it for people.
func (c Cause) String() string {
	switch {
	case c.Class == "":
		return ""
	case c.Pods > 0:
		return fmt.Sprintf("the pulls of %d of %d pods failed (%s)", c.Failed, c.Pods, c.Class)
	case c.Head:
		return "a HEAD was answered by 429"
	case c.Class == Throttled:
		return "a pull was answered by 429"
	}
	return fmt.Sprintf("a pull failed (%s)", c.Class)
}

// Kept is what must survive a restart of a breaker.
type Kept struct {
	State State     `json:"state"`
	Cause Cause     `json:"cause,omitzero"`
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Opened counts how often it was opened, Failed the tries in a row that failed,
	// Passed the pulls in a row that succeeded since it opened.
	Opened int `json:"opened,omitempty"`
	Failed int `json:"failed,omitempty"`
	Passed int `json:"passed,omitempty"`
}

// View is a breaker as people see it.
type View struct {
	State State `json:"state"`
	Cause Cause `json:"cause,omitzero"`
	// Since is when it came into this state; zero: it never was in another.
	Since time.Time `json:"since,omitzero"`
	// Until is when it tries one at the soonest, zero where that is up to a reading.
	Until time.Time `json:"until,omitzero"`
	// Opened counts how often it was opened.
	Opened int `json:"opened,omitempty"`
	// Failed counts the attempts in a row that failed while it was trying one.
	Failed int `json:"failed,omitempty"`
}
