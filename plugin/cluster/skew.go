package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/pullpace/pace/plugin/view"
)

// ErrSkew says that plugin and controller are too far apart to trust that they
// mean the same by an order.
type ErrSkew struct{ Plugin, Controller string }

func (e *ErrSkew) Error() string {
	newer, older := "controller", "plugin"
	if ours, theirs := release(e.Plugin), release(e.Controller); theirs.LessThan(ours) {
		newer, older = older, newer
	}
	remedy := "`kubectl krew upgrade pace`"
	if older == "controller" {
		remedy = "`install` brings it up to date, one minor version at a time"
	}
	return fmt.Sprintf("the plugin is %s and the controller %s: they may be one minor version apart, the %s is older than the %s allows: %s",
		e.Plugin, e.Controller, older, newer, remedy)
}

// Compatible returns an *ErrSkew where the plugin and the controller that last
// completed a turn are more than one minor version, or a major one, apart. What
// is built from a checkout, or says no version, is compatible with everything.
func Compatible(plugin string, c view.Controller) error {
	ours, theirs := release(plugin), release(c.Version)
	if ours == nil || theirs == nil {
		return nil
	}
	apart := max(ours.Minor(), theirs.Minor()) - min(ours.Minor(), theirs.Minor())
	if ours.Major() == theirs.Major() && apart <= 1 {
		return nil
	}
	return &ErrSkew{Plugin: plugin, Controller: c.Version}
}

// release reads the version of a release, nil for anything else.
func release(text string) *version.Version {
	v, err := version.ParseSemantic(text)
	if err != nil || v.Major() == 0 && v.Minor() == 0 {
		return nil
	}
	return v
}
