package doctor

import (
	"slices"

	"github.com/pullpace/pace/pacer/core/feedback"
)

// The checks, by their names in the output. They are API: docs/doctor.md.
const (
	CheckThrottled     = "throttled"
	CheckKubeletQPS    = "kubelet-qps"
	CheckAuth          = "auth"
	CheckBadTag        = "bad-tag"
	CheckPlatform      = "wrong-platform"
	CheckDNS           = "dns"
	CheckTLS           = "tls"
	CheckTimeout       = "timeout"
	CheckUnreachable   = "unreachable"
	CheckDisk          = "disk"
	CheckMirror        = "mirror"
	CheckPolicy        = "policy"
	CheckUnclassified  = "unclassified"
	CheckAnonymous     = "silently-anonymous"
	CheckDemand        = "demand-above-supply"
	CheckEgress        = "shared-egress"
	CheckAlways        = "always-asks"
	CheckMoved         = "tag-moved"
	CheckCachePruned   = "cache-pruned"
	CheckCacheUnknown  = "cache-unknown"
	CheckRuntime       = "runtime-cost"
	CheckNodesHeld     = "nodes-held"
	CheckTaint         = "taint-undeclared"
	CheckTolerates     = "taint-tolerated"
	CheckNodeHold      = "node-hold-too-long"
	CheckDisruption    = "disruption-left"
	CheckMirrorInUse   = "mirror-in-use"
	CheckWindow        = "limit"
	CheckManyAtOnce    = "many-at-once"
	CheckKubeletConfig = "kubelet-config"
)

// Severities.
const (
	fail = "FAIL"
	warn = "WARN"
)

// failing is a check for one class of failed pulls. What is said of it is what the
// controller says of the class.
type failing struct {
	check string
	class feedback.Class
	// way says that it is of the way to the registry, so that nodes may differ.
	way bool
}

// failures of each class, in the order in which they are told.
var failingChecks = []failing{
	{check: CheckThrottled, class: feedback.Throttled},
	{check: CheckKubeletQPS, class: feedback.KubeletQPS, way: true},
	{check: CheckAuth, class: feedback.Auth},
	{check: CheckBadTag, class: feedback.NotFound},
	{check: CheckPlatform, class: feedback.WrongPlatform},
	{check: CheckDNS, class: feedback.DNS, way: true},
	{check: CheckTLS, class: feedback.TLS, way: true},
	{check: CheckTimeout, class: feedback.Timeout, way: true},
	{check: CheckUnreachable, class: feedback.Reset, way: true},
	{check: CheckDisk, class: feedback.Disk, way: true},
	{check: CheckMirror, class: feedback.Mirror, way: true},
	{check: CheckPolicy, class: feedback.Policy},
	{check: CheckUnclassified, class: feedback.Unknown},
}

// checkOf is the check of a class.
func checkOf(c feedback.Class) failing {
	i := slices.IndexFunc(failingChecks, func(f failing) bool { return f.class == c })
	if i < 0 {
		return failingChecks[len(failingChecks)-1]
	}
	return failingChecks[i]
}

// order of the checks in the output.
var order = []string{
	CheckThrottled, CheckKubeletQPS, CheckAuth, CheckBadTag, CheckPlatform, CheckDNS, CheckTLS, CheckTimeout, CheckUnreachable, CheckDisk,
	CheckMirror, CheckPolicy, CheckUnclassified, CheckDemand, CheckAnonymous, CheckEgress, CheckAlways, CheckMoved, CheckCachePruned,
	CheckCacheUnknown, CheckRuntime, CheckNodesHeld, CheckTaint, CheckTolerates, CheckNodeHold, CheckDisruption, CheckMirrorInUse, CheckWindow, CheckManyAtOnce, CheckKubeletConfig,
}

// Checks lists the names of all checks, in order.
func Checks() []string { return slices.Clone(order) }
