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

// failing is a check for one class of failed pulls.
type failing struct {
	check string
	class feedback.Class
	// text says it of a registry, over the same when it is over.
	text string
	// fix is what to do.
	fix string
	// way says that it is of the way to the registry, so that nodes may differ.
	way bool
}

// failures of each class, in the order in which they are told.
var failingChecks = []failing{
	{check: CheckThrottled, class: feedback.Throttled, text: "%s refuses pulls: "},
	{check: CheckKubeletQPS, class: feedback.KubeletQPS, text: "kubelets refuse by their own limit (registryPullQPS) before they ask %s: no registry throttles", way: true,
		fix: "raise registryPullQPS and registryBurst in the kubelets' configuration; pods go on by themselves"},
	{check: CheckAuth, class: feedback.Auth, text: "%s refuses the credentials, or the repository is not for them",
		fix: "renew the pull secret, or name one that may read the repository; kubelets try again by themselves"},
	{check: CheckBadTag, class: feedback.NotFound, text: "%s has no such image, tag or digest: a mistake in the name, or not pushed yet",
		fix: "correct the image, or go back: kubectl rollout undo"},
	{check: CheckPlatform, class: feedback.WrongPlatform, text: "%s has the image, but not for the architecture of these nodes",
		fix: "build the image for these nodes too, or choose nodes: nodeSelector kubernetes.io/arch"},
	{check: CheckDNS, class: feedback.DNS, text: "the name of %s is not resolved: it was not asked", way: true,
		fix: "look at the name servers that these nodes use (/etc/resolv.conf on the node, not of pods)"},
	{check: CheckTLS, class: feedback.TLS, text: "no safe connection to %s: certificates do not fit, or it speaks plain HTTP", way: true,
		fix: "give the runtime the authority's certificate (containerd: certs.d/HOST/hosts.toml, ca), or look for a proxy that opens connections"},
	{check: CheckTimeout, class: feedback.Timeout, text: "%s does not answer in time, or sends too slowly", way: true,
		fix: "look at the network and at proxies between these nodes and the registry, then at the registry's own status"},
	{check: CheckUnreachable, class: feedback.Reset, text: "connections to %s are refused or broken off", way: true,
		fix: "look whether the registry is up and what is between; kubelets try again by themselves"},
	{check: CheckDisk, class: feedback.Disk, text: "images of %s do not fit on the disk", way: true,
		fix: "free or enlarge the disk of these nodes; what was downloaded is often kept, the next attempt then costs nothing"},
	{check: CheckMirror, class: feedback.Mirror, text: "a mirror of %s, or a cache on the way, answers wrongly", way: true,
		fix: "look at the mirror; what it does not give is asked of the registry and charged there"},
	{check: CheckPolicy, class: feedback.Policy, text: "a policy of the node refuses the image of %s: its signature",
		fix: "sign the image, or change the policy of the runtime"},
	{check: CheckUnclassified, class: feedback.Unknown, text: "pulls from %s fail, and the message does not say why",
		fix: "read the runtime's log on one of these nodes (journalctl -u containerd, -u crio)"},
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
	CheckCacheUnknown, CheckRuntime, CheckMirrorInUse, CheckWindow, CheckManyAtOnce, CheckKubeletConfig,
}

// Checks lists the names of all checks, in order.
func Checks() []string { return slices.Clone(order) }
