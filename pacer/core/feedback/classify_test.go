package feedback

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// failures are error texts as people reported them, shortened.
var failures = map[string]struct {
	reason, message, host string
	want                  Class
	wantKind              Kind
}{
	"01 old containerd, get":       {"ErrImagePull", `failed to copy: httpReadSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/busybox/manifests/sha256:50aa: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit.`, "docker.io", Throttled, KindPull},
	"02 unauthenticated":           {"", `429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit`, "docker.io", Throttled, KindPull},
	"03 digest-pinned":             {"", `unexpected status code https://index.docker.io/v2/jaegertracing/all-in-one/manifests/sha256:11: 429 Too Many Requests - Server message: toomanyrequests: You have reached your unauthenticated pull rate limit`, "docker.io", Throttled, KindPull},
	"04 as an account":             {"", `toomanyrequests: You have reached your pull rate limit as 'thornode'`, "docker.io", Throttled, KindPull},
	"05 head":                      {"", `unexpected status from HEAD request to https://registry-1.docker.io/v2/a/manifests/b: 429 Too Many Requests`, "docker.io", Throttled, KindUnsaid},
	"06 oauth token":               {"", `failed to authorize: failed to fetch oauth token: unexpected status: 429 Too Many Requests`, "docker.io", Throttled, KindToken},
	"07 token service":             {"", `unexpected status from POST request to https://auth.docker.io/token: 429 Too Many Requests`, "docker.io", Throttled, KindToken},
	"08 abuse limit":               {"", `error parsing HTTP 429 response body: invalid character 'T' looking for beginning of value: "Too Many Requests (HAP429).\n"`, "docker.io", Throttled, KindAbuse},
	"09 cri-o":                     {"", `reading manifest v3.6.0 in docker.io/openshift/hello-openshift: toomanyrequests: You have reached your unauthenticated pull rate limit`, "docker.io", Throttled, KindPull},
	"10 second get":                {"", `loading manifest for target platform: reading manifest sha256:1070: toomanyrequests: You have reached your pull rate limit`, "docker.io", Throttled, KindPull},
	"11 ecr":                       {"", `Error response from daemon: toomanyrequests: Rate exceeded`, "public.ecr.aws", Throttled, KindRequest},
	"12 two credentials":           {"", `[rpc error: code = Unknown desc = toomanyrequests: Too many requests. Please visit https://aka.ms/acr/skus, rpc error: x]`, "a.azurecr.io", Throttled, KindRequest},
	"13 cache rule":                {"", `toomanyrequests: too many requests to source registry for cache rule 'dotnet-sdk'. CorrelationId: 1`, "a.azurecr.io", Throttled, KindUpstream},
	"14 mcr":                       {"", `error parsing HTTP 429 response body: invalid character 'R' looking for beginning of value: "Ref A: 1 Ref B: 2"`, "mcr.microsoft.com", Throttled, KindUnsaid},
	"15 ghcr":                      {"", `response status code 429: toomanyrequests: retry-after: 1.16676ms, allowed: 44000/minute`, "ghcr.io", Throttled, KindRequest},
	"16 ghcr blob":                 {"", `https://ghcr.io/v2/a/blobs/sha256:1: 429 Too Many Requests - Server message: toomanyrequests: retry-after: 333.939671ms`, "ghcr.io", Throttled, KindRequest},
	"17 someone else's quota":      {"", `toomanyrequests: Quota exceeded for quota metric 'Requests per project per region'`, "registry.k8s.io", Throttled, KindForeign},
	"18 harbor":                    {"", `429 Too Many Requests - Server message: unknown: too many requests to upstream registry`, "harbor.corp", Throttled, KindUpstream},
	"19 html":                      {"", `Status 429 trying to pull repository a: "<!DOCTYPE html>Error 429 (Too Many Requests)!!1`, "gcr.io", Throttled, KindUnsaid},
	"20 kubelet's own limit":       {"ErrImagePull", `Failed to pull image "a.b.c/image-0.1": pull QPS exceeded`, "a.b.c", KubeletQPS, KindNone},
	"21 harbor login":              {"", `login to dockerhub error: {"detail": "Rate limit exceeded"}`, "harbor.corp", Throttled, KindToken},
	"22 nexus hides a throttle":    {"", `manifest for nexus.corp/alpine/git:v2.34.2 not found: manifest unknown: manifest unknown`, "nexus.corp", NotFound, KindNone},
	"23 ecr token":                 {"", `unauthorized: authentication required`, "1.dkr.ecr.eu-west-1.amazonaws.com", Auth, KindNone},
	"24 ibm":                       {"", `unexpected status from GET request to https://icr.io/v2/a/manifests/b: 403 Forbidden`, "icr.io", Auth, KindNone},
	"25 gitlab":                    {"", `unexpected status from GET request to https://registry.gitlab.com/v2/a/manifests/b: 403 Forbidden`, "registry.gitlab.com", Auth, KindNone},
	"26 denied or absent":          {"", `pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`, "docker.io", Auth, KindNone},
	"27 a token service at fault":  {"", `failed to resolve reference "docker.io/a/b:1": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`, "docker.io", Auth, KindNone},
	"28 ghcr token forbidden":      {"", `failed to fetch oauth token: unexpected status from GET request to https://ghcr.io/token?scope=1: 403 Forbidden`, "ghcr.io", Auth, KindNone},
	"29 ghcr head forbidden":       {"", `unexpected status from HEAD request to https://ghcr.io/v2/a/manifests/latest: 403 Forbidden`, "ghcr.io", Auth, KindNone},
	"30 c/image":                   {"", `initializing source docker://ghcr.io/a: Requesting bearer token: invalid status code from registry 403 (Forbidden)`, "ghcr.io", Auth, KindNone},
	"31 sandbox":                   {"", `failed to resolve: authorization failed: no basic auth credentials`, "1.dkr.ecr.eu-west-1.amazonaws.com", Auth, KindNone},
	"32 not found":                 {"", `rpc error: code = NotFound desc = failed to resolve reference "docker.io/bitnami/kubectl:latest": docker.io/bitnami/kubectl:latest: not found`, "docker.io", NotFound, KindNone},
	"33 several hosts":             {"", `(Mirrors also failed: [mirror.gcr.io/library/a: manifest unknown] [registry-1: requested access to the resource is denied])`, "docker.io", Auth, KindNone},
	"34 platform":                  {"", `rpc error: code = NotFound desc = no match for platform in manifest: not found`, "docker.io", WrongPlatform, KindNone},
	"35 platform, older":           {"", `no matching manifest for linux/arm64/v8 in the manifest list entries`, "docker.io", WrongPlatform, KindNone},
	"36 dns":                       {"", `dial tcp: lookup docker.io on 172.16.0.4:53: server misbehaving`, "docker.io", DNS, KindNone},
	"37 dns, sandbox":              {"", `dial tcp: lookup registry-1.docker.io: Try again`, "docker.io", DNS, KindNone},
	"38 dns timeout":               {"", `lookup registry-1.docker.io on 1.1.1.1:53: read udp 10.0.0.1: i/o timeout`, "docker.io", DNS, KindNone},
	"39 unknown authority":         {"", `tls: failed to verify certificate: x509: certificate signed by unknown authority`, "docker.io", TLS, KindNone},
	"40 plain http":                {"", `http: server gave HTTP response to HTTPS client`, "docker.io", TLS, KindNone},
	"41 handshake":                 {"", `net/http: TLS handshake timeout`, "docker.io", Timeout, KindNone},
	"42 connect":                   {"", `dial tcp 34.96.108.209:443: connect: connection timed out`, "k8s.gcr.io", Timeout, KindNone},
	"43 headers":                   {"", `request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`, "docker.io", Timeout, KindNone},
	"44 no progress":               {"", `rpc error: code = Canceled desc = failed to pull and unpack image "a": context canceled`, "docker.io", Timeout, KindNone},
	"45 reset":                     {"", `failed open: failed to do request: Get "https://production.cloudflare.docker.com/a": read tcp 1: read: connection reset by peer`, "docker.io", Reset, KindNone},
	"46 disk":                      {"", `failed to extract layer sha256:1: write /var/lib/containerd/a: no space left on device: unknown`, "docker.io", Disk, KindNone},
	"47 mirror error":              {"", `HEAD request to https://127.0.0.1:6443/v2/a?ns=docker.io: 500 Internal Server Error`, "docker.io", Mirror, KindNone},
	"48 mirror refuses":            {"", `unexpected status https://docker.corp/v2/library/nginx/blobs/sha256:1?ns=docker.io: 400 Bad Request`, "docker.io", Mirror, KindNone},
	"49 corrupt":                   {"", `failed commit on ref "layer-sha256:1": unexpected commit digest sha256:e3b0c442, expected sha256:2: failed precondition`, "docker.io", Mirror, KindNone},
	"50 signature":                 {"", `Source image rejected: A signature was required, but no signature exists`, "docker.io", Policy, KindNone},
	"51 short name":                {"InspectFailed", `Failed to inspect image "": short-name "kong:3.9" did not resolve to an alias`, "", NotFound, KindNone},
	"reason says signature":        {"SignatureValidationFailed", `SignatureValidationFailed: x`, "docker.io", Policy, KindNone},
	"reason says unreachable":      {"RegistryUnavailable", `RegistryUnavailable: x`, "docker.io", Reset, KindNone},
	"the newline of containerd 2":  {"ErrImagePull", "unexpected status from GET request to https://registry-1.docker.io/v2/a: 429 Too Many Requests\ntoomanyrequests: You have reached your pull rate limit", "docker.io", Throttled, KindPull},
	"back-off carries the cause":   {"ImagePullBackOff", `Back-off pulling image "a": ErrImagePull: failed to pull: 429 Too Many Requests`, "docker.io", Throttled, KindUnsaid},
	"back-off without a cause":     {"ImagePullBackOff", `Back-off pulling image "a"`, "docker.io", Unknown, KindNone},
	"a tag that looks like a code": {"ImagePullBackOff", `Back-off pulling image "docker.io/acme/api:4290"`, "docker.io", Unknown, KindNone},
	"another host answers":         {"", `unexpected status from GET request to https://mirror.corp/v2/a: 418 teapot`, "docker.io", Mirror, KindNone},
	"an image called a timeout":    {"ImagePullBackOff", `Back-off pulling image "docker.io/acme/timeout-too-many-requests:404"`, "docker.io", Unknown, KindNone},
	"an image called one word":     {"ImagePullBackOff", `Back-off pulling image "timeout"`, "docker.io", Unknown, KindNone},
	"an image called x509":         {"ImagePullBackOff", `Back-off pulling image "acme/x509:v1"`, "docker.io", Unknown, KindNone},
	"an image called token":        {"ErrImagePull", `unexpected status from HEAD request to https://registry-1.docker.io/v2/acme/token/manifests/1: 429 Too Many Requests`, "docker.io", Throttled, KindUnsaid},
	"a tag called denied":          {"ErrImagePull", `reading manifest timeout in docker.io/acme/denied: manifest unknown`, "docker.io", NotFound, KindNone},
	"a missing image called 429":   {"ErrImagePull", `rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/acme/toomanyrequests:429": failed to resolve reference "docker.io/acme/toomanyrequests:429": docker.io/acme/toomanyrequests:429: not found`, "docker.io", NotFound, KindNone},
	"a quota of the disk":          {"ErrImagePull", `failed to extract layer sha256:1: write /var/lib/containerd/a: disk quota exceeded: unknown`, "docker.io", Disk, KindNone},
	"an unwell registry":           {"ErrImagePull", `unexpected status from HEAD request to https://registry-1.docker.io/v2/a/manifests/b: 503 Service Unavailable`, "docker.io", Reset, KindNone},
	"an unwell registry, bare":     {"ErrImagePull", `received unexpected HTTP status: 500 Internal Server Error`, "docker.io", Reset, KindNone},
	"a retry after that is 503ms":  {"ErrImagePull", `unexpected thing: 503ms`, "docker.io", Unknown, KindNone},
	"a mirror forbids":             {"ErrImagePull", `unexpected status from HEAD request to https://mirror.corp/v2/a/manifests/b: 403 Forbidden`, "docker.io", Mirror, KindNone},
	"a mirror throttles":           {"ErrImagePull", `unexpected status from HEAD request to https://mirror.corp/v2/a/manifests/b?ns=docker.io: 429 Too Many Requests`, "docker.io", Throttled, KindUpstream},
	"a realm that throttles":       {"ErrImagePull", `unexpected status from GET request to https://gitlab.com/jwt/auth/token?scope=x: 429 Too Many Requests`, "registry.gitlab.com", Throttled, KindToken},
	"a login that is refused":      {"ErrImagePull", `failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://auth.docker.io/token?account=x: 401 Unauthorized`, "docker.io", Auth, KindNone},
	"two logins":                   {"ErrImagePull", `[rpc error: code = Unknown desc = failed to authorize: 401 Unauthorized, rpc error: code = Unknown desc = toomanyrequests: You have reached your pull rate limit]`, "docker.io", Throttled, KindPull},
	"two mirrors":                  {"ErrImagePull", `[https://m1.corp/v2/a: 404 Not Found] , [Get "https://m2.corp/v2/": dial tcp: lookup m2.corp: no such host]`, "docker.io", DNS, KindNone},
	"the 2.x transfer service":     {"ErrImagePull", "failed to pull and unpack image \"docker.io/a/b:1\": failed to resolve image: unexpected status from HEAD request to https://registry-1.docker.io/v2/a/b/manifests/1: 429 Too Many Requests\ntoomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit", "docker.io", Throttled, KindPull},
	"cri-o, platform":              {"ErrImagePull", `choosing image instance: no image found in manifest list for architecture "arm64", variant "v8", OS "linux"`, "docker.io", WrongPlatform, KindNone},
	"cri-o, pinging":               {"ErrImagePull", `pinging container registry registry-1.docker.io: Get "https://registry-1.docker.io/v2/": dial tcp 10.0.0.9:443: connect: connection refused`, "docker.io", Reset, KindNone},
	"cri-o, denied":                {"ErrImagePull", `reading manifest 1 in ghcr.io/acme/api: denied: requested access to the resource is denied`, "ghcr.io", Auth, KindNone},
	"an error nobody knows":        {"ErrImagePull", `rpc error: code = Unknown desc = the frobnicator is out of tune`, "docker.io", Unknown, KindNone},
	"nothing":                      {"", "", "", Unknown, KindNone},
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, tc := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Classify(tc.reason, tc.message, tc.host)
			if got.Class != tc.want || got.Kind != tc.wantKind {
				t.Errorf("Classify(%q) = %s %s, want %s %s", tc.message, got.Class, got.Kind, tc.want, tc.wantKind)
			}
		})
	}
}

// kubelets are messages of real kubelets (1.37) over real containerd (2.4) in front of
// a registry that was made to fail; app names, ports and digests made alike. The status
// of a back-off repeats them behind its own words.
var kubelets = map[string]struct {
	host, message string
	want          Class
	wantKind      Kind
	wantAfter     time.Duration
}{
	"no such tag":          {"bad.hub.test", `rpc error: code = NotFound desc = failed to pull and unpack image "bad.hub.test/bad:typo": failed to resolve image: bad.hub.test/bad:typo: not found`, NotFound, KindNone, 0},
	"the limit of pulls":   {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://a.hub.test/v2/app-1/manifests/sha256:11: 429 Too Many Requests` + "\n" + `toomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit`, Throttled, KindPull, 0},
	"as an account":        {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://a.hub.test/v2/app-1/manifests/sha256:11: 429 Too Many Requests` + "\n" + `toomanyrequests: You have reached your pull rate limit as 'a'`, Throttled, KindPull, 0},
	"a wait that is told":  {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://a.hub.test/v2/app-1/manifests/sha256:11: 429 Too Many Requests` + "\n" + `toomanyrequests: retry-after: 22.478995158s, allowed: 44000/minute`, Throttled, KindRequest, 22478995158},
	"of a HEAD":            {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to resolve image: unexpected status from HEAD request to https://a.hub.test/v2/app-1/manifests/1: 429 Too Many Requests`, Throttled, KindUnsaid, 0},
	"of the token service": {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to resolve image: failed to authorize: failed to fetch oauth token: unexpected status from POST request to https://a.hub.test/token: 429 Too Many Requests`, Throttled, KindToken, 0},
	"of a token later on":  {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to copy: httpReadSeeker: failed open: failed to authorize: failed to fetch oauth token: unexpected status from POST request to https://a.hub.test/token: 429 Too Many Requests`, Throttled, KindToken, 0},
	"a login is refused":   {"a.hub.test", `failed to pull and unpack image "a.hub.test/revoked:2": failed to resolve image: failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://a.hub.test/token?scope=repository%3Arevoked%3Apull&service=a.hub.test: 401 Unauthorized`, Auth, KindNone, 0},
	"no right to it":       {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to resolve image: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed`, Auth, KindNone, 0},
	"a name fails":         {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to resolve image: failed to do request: Head "https://a.hub.test/v2/app-1/manifests/1": dial tcp: lookup a.hub.test on 10.96.0.10:53: server misbehaving`, DNS, KindNone, 0},
	"reset in the HEAD":    {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to resolve image: failed to do request: Head "https://a.hub.test/v2/app-1/manifests/1": read tcp 198.18.64.10:40000->198.18.0.1:443: read: connection reset by peer`, Reset, KindNone, 0},
	"reset in a layer":     {"a.hub.test", `failed to pull and unpack image "a.hub.test/app-1:1": failed to copy: httpReadSeeker: failed open: failed to do request: Get "https://a.hub.test/v2/app-1/blobs/sha256:11": read tcp 198.18.64.10:40000->198.18.0.1:443: read: connection reset by peer`, Reset, KindNone, 0},
}

func TestClassifyWhatRealKubeletsSay(t *testing.T) {
	t.Parallel()
	for name, tc := range kubelets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := `"` + tc.host + `/app-1:1"`
			for how, message := range map[string]string{
				"ErrImagePull":     tc.message,
				"ImagePullBackOff": "Back-off pulling image " + image + ": ErrImagePull: " + tc.message,
				"an Event":         "Failed to pull image " + image + ": " + tc.message,
			} {
				got := Classify(how, message, tc.host)
				if got.Class != tc.want || got.Kind != tc.wantKind || got.RetryAfter != tc.wantAfter {
					t.Errorf("%s: %s %s after %v, want %s %s after %v", how, got.Class, got.Kind, got.RetryAfter, tc.want, tc.wantKind, tc.wantAfter)
				}
				if named := strings.Contains(tc.message, "https://"+tc.host); named && got.Host != tc.host {
					t.Errorf("%s: host %q, want %q", how, got.Host, tc.host)
				}
			}
		})
	}
}

func TestRetryAfterInABody(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		message string
		want    time.Duration
	}{
		"microseconds": {"toomanyrequests: retry-after: 880.092µs, allowed: 44000/minute", 880092 * time.Nanosecond},
		"last word":    {"toomanyrequests: retry-after: 333ms", 333 * time.Millisecond},
		"negative":     {"toomanyrequests: retry-after: -5s", 0},
		"not a time":   {"toomanyrequests: retry-after: soon", 0},
		"absent":       {"toomanyrequests", 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Classify("", tc.message, ""); got.RetryAfter != tc.want {
				t.Errorf("retry after %v, want %v", got.RetryAfter, tc.want)
			}
		})
	}
}

func TestFreeAndOfWorkload(t *testing.T) {
	t.Parallel()
	free := map[Class]bool{Auth: true, NotFound: true, KubeletQPS: true, DNS: true, TLS: true, Timeout: true, Disk: true}
	workload := map[Class]bool{Auth: true, NotFound: true, WrongPlatform: true, Policy: true}
	for _, c := range Classes() {
		f := Failure{Class: c, Kind: KindPull}
		if f.Free() != free[c] {
			t.Errorf("%s: Free() = %v, want %v", c, f.Free(), free[c])
		}
		if f.OfWorkload() != workload[c] {
			t.Errorf("%s: OfWorkload() = %v, want %v", c, f.OfWorkload(), workload[c])
		}
	}
	for _, c := range []Class{Auth, NotFound} {
		if (Failure{Class: c, Suspect: true}).Free() {
			t.Errorf("%s that may be a throttle is free, want it booked: it is served as soon as the registry allows", c)
		}
	}
	if (Failure{Class: Throttled, Kind: KindToken}).Free() {
		t.Error("a throttled login is free, want it booked: all that wait for it go on at once when it is over")
	}
}

// TestEveryReportedStringIsInTheTable: the table is numbered like the list of strings
// that people reported.
func TestEveryReportedStringIsInTheTable(t *testing.T) {
	t.Parallel()
	there := map[string]int{}
	for name := range failures {
		number, _, _ := strings.Cut(name, " ")
		there[number]++
	}
	for i := 1; i <= 51; i++ {
		if number := fmt.Sprintf("%02d", i); there[number] != 1 {
			t.Errorf("string %s is in the table %d times, want once", number, there[number])
		}
	}
}

func TestOfAnAggregateTheOthersAreKept(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		message string
		want    Failure
	}{
		"login refused, then throttled": {
			`[rpc error: code = Unknown desc = unexpected status from GET request to https://auth.docker.io/token: 401 Unauthorized, rpc error: code = Unknown desc = unexpected status from HEAD request to https://registry-1.docker.io/v2/a/manifests/b: 429 Too Many Requests]`,
			Failure{Class: Throttled, Kind: KindUnsaid, Host: "registry-1.docker.io", Also: Auth},
		},
		"throttled, then login refused": {
			`[rpc error: code = Unknown desc = 429 Too Many Requests, rpc error: code = Unknown desc = 401 Unauthorized]`,
			Failure{Class: Throttled, Kind: KindUnsaid, Also: Auth},
		},
		"twice alike, the longer wait": {
			`[rpc error: code = Unknown desc = 429 Too Many Requests - toomanyrequests: retry-after: 2s, rpc error: code = Unknown desc = 429 Too Many Requests - toomanyrequests: retry-after: 5s]`,
			Failure{Class: Throttled, Kind: KindUnsaid, RetryAfter: 5 * time.Second},
		},
		"one of them not understood": {
			`[rpc error: code = Unknown desc = what, rpc error: code = NotFound desc = docker.io/a/b:1: not found]`,
			Failure{Class: NotFound},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, Classify("ErrImagePull", tc.message, "docker.io")); diff != "" {
				t.Errorf("failure (-want +got)\n%s", diff)
			}
		})
	}
}

func TestTheHostIsThatOfTheRequest(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ message, want string }{
		"advice is no request":    {"429 Too Many Requests - You have reached your pull rate limit. https://www.docker.com/increase-rate-limit", ""},
		"a request, then advice":  {"unexpected status code https://registry-1.docker.io/v2/a/manifests/b: 429 Too Many Requests - https://www.docker.com/increase-rate-limit", "registry-1.docker.io"},
		"a layer elsewhere":       {`failed to do request: Get "https://production.cloudflare.docker.com/a": read tcp 1: connection reset by peer`, "production.cloudflare.docker.com"},
		"with a port":             {"HEAD request to https://127.0.0.1:6443/v2/a?ns=docker.io: 500 Internal Server Error", "127.0.0.1:6443"},
		"what cri-o copies from":  {"initializing source docker://ghcr.io/a:1: Requesting bearer token: invalid status code from registry 403 (Forbidden)", "ghcr.io"},
		"where cri-o reads":       {"reading manifest v3 in docker.io/a/b: toomanyrequests: x", "docker.io"},
		"an address that is none": {"https://", ""},
		"a scheme and nothing":    {"get ://", ""},
		"no address at all":       {"429", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Classify("", tc.message, "docker.io").Host; got != tc.want {
				t.Errorf("host %q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzClassify(f *testing.F) {
	for _, tc := range failures {
		f.Add(tc.reason, tc.message, tc.host)
	}
	f.Add("ErrImagePull", strings.Repeat("https://", 10_000), "")
	f.Add("ErrImagePull", strings.Repeat("] [", 10_000), "docker.io")
	f.Add("ErrImagePull", strings.Repeat("429", 2000)+"\xff\x00\u202e", "\xff:")
	f.Fuzz(func(t *testing.T, reason, message, host string) {
		got := Classify(reason, message, host)
		if got.RetryAfter < 0 {
			t.Errorf("retry after %v, want none below zero", got.RetryAfter)
		}
		if (got.Class == Throttled) != (got.Kind != KindNone) {
			t.Errorf("class %s has kind %q", got.Class, got.Kind)
		}
		if !slices.Contains(Classes(), got.Class) || got.Also != "" && !slices.Contains(Classes(), got.Also) {
			t.Errorf("class %q, also %q, want some of the list", got.Class, got.Also)
		}
		if got.Class == got.Also {
			t.Errorf("also failed of %s, want another class than the first", got.Also)
		}
		if strings.ContainsAny(got.Host, separators) {
			t.Errorf("host %q holds what no host does", got.Host)
		}
		if again := Classify(reason, message, host); again != got {
			t.Errorf("the same message is %+v and then %+v", got, again)
		}
	})
}

// BenchmarkClassifyHostile reads the longest text that is read, made of what costs most.
func BenchmarkClassifyHostile(b *testing.B) {
	message := strings.Repeat("] [https://a/v2/b 4290 ", 1000)
	for b.Loop() {
		Classify("ErrImagePull", message, "docker.io")
	}
}

func TestEveryClassIsDocumented(t *testing.T) {
	t.Parallel()
	var documented []Class
	for _, info := range Infos() {
		documented = append(documented, info.Class)
		if info.Text == "" || info.Remedy == "" || info.Pauses == "" || info.Class.Info() != info {
			t.Errorf("class %s is documented by %+v", info.Class, info)
		}
	}
	if !slices.Equal(documented, Classes()) {
		t.Errorf("documented %v, want %v", documented, Classes())
	}
}
