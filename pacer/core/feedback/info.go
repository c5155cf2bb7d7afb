package feedback

import "slices"

// ClassInfo documents one class of failures. Conditions, Events, CLI text and the pages
// of the documentation derive from it.
type ClassInfo struct {
	Class Class
	// Text says for a person what happened.
	Text string
	// Pauses says what a failure of this class pauses.
	Pauses string
	// Remedy says what a person can do about it.
	Remedy string
}

// What failures pause.
const (
	pausesAccount  = "the account"
	pausesWorkload = "that revision of the workload, and never the account"
	pausesRoute    = "the accounts of the registry or egress that they correlate with"
	pausesNothing  = "nothing; a node of which many pulls fail is named"
)

// infos are in the order of recognition.
var infos = []ClassInfo{
	{KubeletQPS, "the kubelet's own limit of pulls was met; no registry was asked", pausesNothing,
		"raise registryPullQPS and registryBurst of the kubelet, or let fewer pods start on one node at once"},
	{Throttled, "the registry answered 429: a limit of it was met", pausesAccount,
		"wait, it resumes by itself; for more: authenticate, use a mirror, pin images: `kubectl pace budget`"},
	{Policy, "a policy refuses the image: its signature, or where it is from", pausesWorkload,
		"sign the image, or change the policy of the nodes' runtime"},
	{WrongPlatform, "the image is not made for the platform of the node", pausesWorkload,
		"push the image for that platform, or keep the pods off those nodes by nodeSelector"},
	{Disk, "the node's disk is full", pausesNothing,
		"free the disk of the node, or let the kubelet collect images earlier"},
	{DNS, "the name of the registry could not be resolved", pausesRoute,
		"look at DNS on the nodes that are named: resolv.conf, the DNS service, a firewall"},
	{TLS, "the certificate of the registry or of a mirror is not trusted", pausesRoute,
		"give the nodes its certificate authority, and check the clocks of the nodes"},
	{Timeout, "the registry did not answer in time", pausesRoute,
		"check the way from the nodes to the registry: proxy, firewall, NAT; then the registry itself"},
	{Reset, "the registry is not there, or broke the answer off", pausesRoute,
		"check the registry's own status page and the way to it; it resumes by itself"},
	{Mirror, "a mirror failed, or gave what it should not", pausesRoute,
		"look at the mirror; nodes that fall back to the registry draw on the account"},
	{Auth, "the registry refuses the login, or the image is private", pausesWorkload,
		"rotate or add the pull secret, and check that the pods use it; then it resumes by itself"},
	{NotFound, "the registry does not have that image or tag", pausesWorkload,
		"fix the reference or push the image; the next revision is not held for it"},
	{Unknown, "the pull failed in a way that is not understood", pausesNothing,
		"read the kubelet's words; report them, so that they are understood"},
}

// Infos returns the documentation of every class, in the order of recognition.
func Infos() []ClassInfo { return slices.Clone(infos) }

// Info returns the documentation of a class, that of Unknown for one outside the list.
func (c Class) Info() ClassInfo {
	i := slices.IndexFunc(infos, func(info ClassInfo) bool { return info.Class == c })
	if i < 0 {
		i = len(infos) - 1
	}
	return infos[i]
}
