package feedback

import (
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

// The kinds of Throttled. KindToken is the token service or a login, KindUpstream
// the registry behind a mirror; KindPull is everything else.
const (
	KindNone     Kind = ""
	KindPull     Kind = "Pull"
	KindToken    Kind = "Token"
	KindUpstream Kind = "Upstream"
)

// Failure is a failed pull, understood.
type Failure struct {
	Class Class
	// Kind is set for Throttled.
	Kind Kind
	// Host is the host of the request that failed, empty where the text names none.
	Host string
	// RetryAfter is what the registry asked for, zero where it did not say.
	RetryAfter time.Duration
}

// maxText bounds how much of a message is read: runtimes may quote whole pages.
const maxText = 4096

// Classify reads the message of a failed pull. host is the registry host of the
// image reference, against which a mirror is told apart; reason is the container's
// waiting reason.
//
// The order matters: a kubelet's own limit looks like a throttle, a missing
// platform like a missing image, a DNS timeout like a timeout.
func Classify(reason, message, host string) Failure {
	text := strings.ToLower(message[:min(len(message), maxText)])
	f := Failure{Class: Unknown, Host: requestHost(text)}
	for _, rule := range rules {
		if rule.matches(text) {
			f.Class = rule.class
			break
		}
	}
	switch {
	case f.Class == Throttled:
		f.Kind = throttleKind(text)
		f.RetryAfter = quota.RetryAfterFromBody(text)
	case reason == "SignatureValidationFailed":
		f.Class = Policy
	case reason == "RegistryUnavailable" && f.Class == Unknown:
		f.Class = Reset
	case reason == "InvalidImageName" || reason == "ErrImageNeverPull":
		f.Class = NotFound
	case f.fromMirror(text, host):
		f.Class = Mirror
	}
	return f
}

// Free reports whether an attempt that failed so cannot have been charged: it
// never reached the manifest, or the manifest was there already.
func (f Failure) Free() bool {
	switch f.Class {
	case KubeletQPS, DNS, TLS, Timeout, Disk:
		return true
	case Throttled:
		return f.Kind == KindToken
	}
	return false
}

// OfWorkload reports whether waiting does not cure it: the image, its platform or
// its credentials are wrong.
func (f Failure) OfWorkload() bool {
	switch f.Class {
	case Auth, NotFound, WrongPlatform, Policy:
		return true
	}
	return false
}

// rule recognises one class by any of its words.
type rule struct {
	class Class
	words []string
}

func (r rule) matches(text string) bool {
	for _, w := range r.words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// rules in order of recognition; words are lower case. Source: error texts of
// containerd, CRI-O and kubelets in public issues.
var rules = []rule{
	{KubeletQPS, []string{"pull qps exceeded"}},
	{Throttled, []string{
		": 429", "http 429", "status 429", "code 429", "status: 429", "code=429", "error 429", "429 too many",
		"toomanyrequests", "too many requests", "rate exceeded", "quota exceeded", "pull rate limit", "rate limit exceeded",
	}},
	{Policy, []string{"source image rejected", "signature was required", "signature validation"}},
	{WrongPlatform, []string{"no match for platform", "no matching manifest for", "no image found in manifest list for architecture", "no image found in image index for architecture"}},
	{Disk, []string{"no space left"}},
	{DNS, []string{"lookup "}},
	{TLS, []string{"x509:", "tls: ", "server gave http response to https client", "certificate signed by unknown"}},
	{Reset, []string{"connection reset", "connection refused", "broken pipe", "unexpected eof", ": eof", "no route to host", "network is unreachable"}},
	{Timeout, []string{
		"timeout", "timed out", "context canceled", "deadline exceeded", "awaiting headers",
	}},
	{Mirror, []string{"unexpected commit digest", "failed size validation", "500 internal server error", "502 bad gateway", "503 service unavailable", "504 gateway"}},
	{Auth, []string{
		"401 unauthorized", "403 forbidden", "403 (forbidden)", "unauthorized", "authorization failed", "authentication required", "no basic auth credentials",
		"access denied", "access to the resource is denied", "status: 401", "status: 403", "denied:",
	}},
	{NotFound, []string{"not found", "manifest unknown", "name unknown", "did not resolve to an alias", "404", "invalid reference format", "couldn't parse image"}},
}

// throttleKind tells what was throttled.
func throttleKind(text string) Kind {
	switch {
	case strings.Contains(text, "cache rule"), strings.Contains(text, "upstream registry"):
		return KindUpstream
	case strings.Contains(text, "oauth token"), strings.Contains(text, "/token"), strings.Contains(text, "login to"), strings.Contains(text, "bearer token"):
		return KindToken
	}
	return KindPull
}

// fromMirror reports whether the request that failed went to another host than
// the image names, or was marked as a mirror's.
func (f Failure) fromMirror(text, host string) bool {
	switch f.Class {
	case Unknown, Auth, NotFound, Mirror:
	default:
		return false
	}
	if strings.Contains(text, "?ns=") || strings.Contains(text, "&ns=") {
		return true
	}
	return f.Class == Unknown && f.Host != "" && host != "" && !sameHost(f.Host, host)
}

// sameHost reports whether two hosts are one registry, as far as names tell: the
// names of Docker Hub, and hosts below the registry's own domain (its token
// service or blob store).
func sameHost(a, b string) bool {
	a, b = bareHost(a), bareHost(b)
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
}

func bareHost(h string) string {
	h, _, _ = strings.Cut(h, ":")
	switch h {
	case "registry-1.docker.io", "index.docker.io", "auth.docker.io", "production.cloudflare.docker.com":
		return "docker.io"
	}
	return h
}

// requestHost is the host of the last URL in the text.
func requestHost(text string) string {
	host := ""
	for _, scheme := range []string{"https://", "http://"} {
		if i := strings.LastIndex(text, scheme); i >= 0 && host == "" {
			rest := text[i+len(scheme):]
			if end := strings.IndexAny(rest, "/\" \n\t?:"); end >= 0 {
				rest = rest[:end]
			}
			host = rest
		}
	}
	return host
}
