package feedback

import (
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core/quota"
)

// Class is what a failed pull failed of.
type Class string

// The classes. See Classify for the order in which they are recognised.
const (
	Throttled     Class = "Throttled"
	KubeletQPS    Class = "KubeletQPS"
	Auth          Class = "Auth"
	NotFound      Class = "NotFound"
	WrongPlatform Class = "WrongPlatform"
	DNS           Class = "DNS"
	TLS           Class = "TLS"
	Timeout       Class = "Timeout"
	Reset         Class = "Reset"
	Disk          Class = "Disk"
	Mirror        Class = "Mirror"
	Policy        Class = "Policy"
	Unknown       Class = "Unknown"
)

// Classes lists every class, in the order of recognition.
func Classes() []Class {
	return []Class{KubeletQPS, Throttled, Policy, WrongPlatform, Disk, DNS, TLS, Timeout, Reset, Mirror, Auth, NotFound, Unknown}
}

// Kind says what was throttled.
type Kind string

// The kinds of Throttled.
const (
	KindNone Kind = ""
	// KindPull is the limit of pulls, named as such.
	KindPull Kind = "Pull"
	// KindRequest is a limit of requests of any kind, blobs too.
	KindRequest Kind = "Request"
	// KindToken is the token service, or a login.
	KindToken Kind = "Token"
	// KindAbuse is what a registry does to an address that asks too much.
	KindAbuse Kind = "Abuse"
	// KindUpstream is the registry behind a mirror, or the mirror itself.
	KindUpstream Kind = "Upstream"
	// KindForeign is the quota of somebody else: of the registry's own project.
	KindForeign Kind = "Foreign"
	// KindUnsaid is an answer of 429 that does not say of what.
	KindUnsaid Kind = "Unsaid"
)

// Kinds lists every kind of Throttled.
func Kinds() []Kind {
	return []Kind{KindPull, KindRequest, KindToken, KindAbuse, KindUpstream, KindForeign, KindUnsaid}
}

// Failure is a failed pull, understood.
type Failure struct {
	Class Class `json:"class"`
	// Kind is set for Throttled.
	Kind Kind `json:"kind,omitempty"`
	// Host is the host of the request that failed, empty where the text names none.
	Host string `json:"host,omitempty"`
	// RetryAfter is what the registry asked for, zero where it did not say.
	RetryAfter time.Duration `json:"retryAfter,omitempty"`
	// Also is what another of several tries failed of, with another login or through
	// another mirror; empty where there was one try, or all failed alike.
	Also Class `json:"also,omitempty"`
	// Suspect says that the answer may be a throttle in disguise; see Recent. Nobody
	// is to be blamed for it yet.
	Suspect bool `json:"suspect,omitempty"`
}

// maxText bounds how much of a message is read: runtimes may quote whole pages.
const maxText = 4096

// maxTries bounds how many tries of an aggregate are told apart.
const maxTries = 16

// Classify reads the message of a failed pull. host is the registry host of the
// image reference, against which a mirror is told apart; reason is the container's
// waiting reason.
//
// The order matters: a kubelet's own limit looks like a throttle, a missing
// platform like a missing image, a DNS timeout like a timeout. Of several tries the
// first class in that order counts, and names and addresses in the text never do.
func Classify(reason, message, host string) Failure {
	text := strings.ToLower(message[:min(len(message), maxText)])
	f := Failure{Class: Unknown}
	for i, part := range tries(text) {
		next := classify(part, host)
		switch {
		case i == 0:
			f = next
		case next.Class == f.Class:
			f.RetryAfter = max(f.RetryAfter, next.RetryAfter)
		case rank(next.Class) < rank(f.Class):
			next.Also = f.Class
			f = next
		case f.Also == "" || rank(next.Class) < rank(f.Also):
			f.Also = next.Class
		}
	}
	if f.Also == Unknown {
		f.Also = ""
	}
	return f.withReason(reason)
}

// rank is the place of a class in the order of recognition.
func rank(c Class) int { return slices.Index(Classes(), c) }

// classify reads the message of one try, in lower case.
func classify(text, host string) Failure {
	asked := requested(text)
	f := Failure{Class: Unknown, Host: asked.host}
	words := withoutNames(text)
	for _, rule := range rules {
		if rule.matches(words) {
			f.Class = rule.class
			break
		}
	}
	mirrored := asked.mirrored || asked.registry && host != "" && !sameHost(asked.host, host)
	switch f.Class {
	case Throttled:
		f.Kind = kindOf(text, asked, mirrored)
		f.RetryAfter = quota.RetryAfterFromBody(text)
	case Auth, NotFound:
		if mirrored {
			f.Class = Mirror
		}
	case Unknown:
		if status := httpStatus(words); status >= 500 {
			f.Class = Reset
		}
		if mirrored || asked.host != "" && host != "" && !sameHost(asked.host, host) {
			f.Class = Mirror
		}
	}
	return f
}

// withReason takes the waiting reason of the container in, which newer kubelets make
// say more than the text.
func (f Failure) withReason(reason string) Failure {
	switch {
	case f.Class == Throttled:
	case reason == "SignatureValidationFailed":
		f.Class = Policy
	case reason == "RegistryUnavailable" && f.Class == Unknown:
		f.Class = Reset
	case reason == "InvalidImageName" || reason == "ErrImageNeverPull":
		f.Class = NotFound
	}
	return f
}

// Free reports whether an attempt that failed so cannot have been charged: it
// never reached the manifest, or the manifest was there already. Those that have no
// manifest or no right to it never get there until somebody mends that; if what they
// may cost stayed booked, one bad tag would stop all others on its account. A login that
// was throttled is not free: it ends for all who wait for it at once.
func (f Failure) Free() bool {
	switch f.Class {
	case Auth, NotFound:
		return !f.Suspect
	case KubeletQPS, DNS, TLS, Timeout, Disk:
		return true
	}
	return false
}

// OfWorkload reports whether waiting does not cure it: the image, its platform or
// its credentials are wrong. It does not while the answer may be a throttle.
func (f Failure) OfWorkload() bool {
	switch f.Class {
	case Auth, NotFound, WrongPlatform, Policy:
		return !f.Suspect
	}
	return false
}

// rule recognises one class by any of its words, or by an HTTP status.
type rule struct {
	class    Class
	words    []string
	statuses []int
}

func (r rule) matches(text string) bool {
	for _, w := range r.words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return len(r.statuses) > 0 && slices.Contains(r.statuses, httpStatus(text))
}

// rules in order of recognition; words are lower case. Source: error texts of
// containerd, CRI-O and kubelets in public issues.
var rules = []rule{
	{class: KubeletQPS, words: []string{"pull qps exceeded"}},
	{class: Disk, words: []string{"disk quota exceeded"}}, // of a file system, not of a registry
	{class: Throttled, statuses: []int{429}, words: []string{
		"429 too many", "toomanyrequests", "too many requests", "rate exceeded", "quota exceeded", "pull rate limit", "rate limit exceeded",
	}},
	{class: Policy, words: []string{"source image rejected", "signature was required", "signature validation"}},
	{class: WrongPlatform, words: []string{"no match for platform", "no matching manifest for", "no image found in manifest list for architecture", "no image found in image index for architecture", "cannot be used on this platform"}},
	{class: Disk, words: []string{"no space left"}},
	{class: DNS, words: []string{"lookup "}},
	{class: TLS, words: []string{"x509:", "tls: ", "server gave http response to https client", "certificate signed by unknown"}},
	{class: Reset, words: []string{"connection reset", "connection refused", "broken pipe", "unexpected eof", ": eof", "no route to host", "network is unreachable"}},
	{class: Timeout, words: []string{"timeout", "timed out", "context canceled", "deadline exceeded", "awaiting headers"}},
	{class: Mirror, words: []string{"unexpected commit digest", "failed size validation"}},
	{class: Auth, statuses: []int{401, 403}, words: []string{
		"401 unauthorized", "403 forbidden", "unauthorized", "authorization failed", "authentication required", "no basic auth credentials",
		"access denied", "access to the resource is denied", "denied:", "insufficient_scope", "incorrect username or password",
	}},
	{class: NotFound, statuses: []int{404}, words: []string{"not found", "manifest unknown", "name unknown", "manifest_unknown", "name_unknown", "did not resolve to an alias", "invalid reference format", "couldn't parse image"}},
}

// kindOf tells what was throttled.
func kindOf(text string, asked request, mirrored bool) Kind {
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	switch {
	case says("quota exceeded for quota metric"):
		return KindForeign
	case says("hap429", "abuse"):
		return KindAbuse
	case says("cache rule", "upstream registry"):
		return KindUpstream
	case says("oauth token", "login to", "bearer token", "failed to authorize"), asked.token:
		return KindToken
	case mirrored:
		return KindUpstream
	case says("pull rate limit"):
		return KindPull
	case asked.blob, says("rate exceeded", "allowed: ", "aka.ms/acr"):
		return KindRequest
	}
	return KindUnsaid
}

// sameHost reports whether two hosts are one registry, as far as names tell: the
// names of Docker Hub, and hosts below the registry's own domain (its token
// service or blob store).
func sameHost(a, b string) bool {
	a, b = BareHost(a), BareHost(b)
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
}

// BareHost is a registry host without its port, and one name for Docker Hub.
func BareHost(h string) string {
	h, _, _ = strings.Cut(strings.ToLower(h), ":")
	switch h {
	case "registry-1.docker.io", "index.docker.io", "auth.docker.io", "production.cloudflare.docker.com":
		return "docker.io"
	}
	return h
}
