package cluster

import "github.com/pullpace/pace/pacer/api/v1alpha1"

// FieldManager owns what the plugin writes. It does not start with "kubectl",
// since Flux takes over fields of managers that do.
const FieldManager = v1alpha1.FieldManager

// The objects of an installation that the plugin looks for by name. They are
// those of the manifests.
const (
	ControllerName = "pacer"
	FailsafeName   = "pacer-failsafe"
	WebhookName    = "pacer"
)
