package doctor

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// What kubelets say of failed pulls: texts of real runtimes, as people reported them or
// as a cluster of real kubelets gave them.
const (
	hubLimit     = "failed to pull and unpack image \"docker.io/acme/web:2.0\": failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://registry-1.docker.io/v2/acme/web/manifests/sha256:50aa: 429 Too Many Requests\ntoomanyrequests: You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"
	ghcrLimit    = "failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://ghcr.io/v2/acme/web/blobs/sha256:11: 429 Too Many Requests\ntoomanyrequests: retry-after: 333.939671ms, allowed: 44000/minute"
	hubAbuse     = "error parsing HTTP 429 response body: invalid character 'T' looking for beginning of value: \"Too Many Requests (HAP429).\\n\""
	tokenLimit   = "failed to resolve image: failed to authorize: failed to fetch oauth token: unexpected status from POST request to https://auth.docker.io/token: 429 Too Many Requests"
	harborLimit  = "failed to resolve image: unexpected status from HEAD request to https://harbor.corp/v2/hub/acme/web/manifests/2.0: 429 Too Many Requests - Server message: unknown: too many requests to upstream registry"
	ownersQuota  = "failed to copy: httpReadSeeker: failed open: unexpected status from GET request to https://registry.k8s.io/v2/pause/manifests/sha256:11: 429 Too Many Requests\ntoomanyrequests: Quota exceeded for quota metric 'Requests per project per region' and limit 'Requests per project per region per minute per region' of service 'artifactregistry.googleapis.com' for consumer 'project_number:1'."
	kubeletLimit = "pull QPS exceeded"
	noPlatform   = "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/acme/web:2.0\": no match for platform in manifest: not found"
	noName       = "failed to resolve image: failed to do request: Head \"https://registry-1.docker.io/v2/acme/web/manifests/2.0\": dial tcp: lookup registry-1.docker.io on 10.96.0.10:53: server misbehaving"
	noTrust      = "failed to resolve image: failed to do request: Head \"https://hub.corp/v2/acme/web/manifests/2.0\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
	noAnswer     = "failed to resolve image: failed to do request: Head \"https://registry-1.docker.io/v2/acme/web/manifests/2.0\": dial tcp 34.96.108.209:443: connect: connection timed out"
	brokenOff    = "failed to copy: httpReadSeeker: failed open: failed to do request: Get \"https://hub.corp/v2/acme/web/blobs/sha256:11\": read tcp 198.18.64.10:40000->198.18.0.1:443: read: connection reset by peer"
	noSpace      = "failed to extract layer sha256:11: write /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/9/fs/app: no space left on device: unknown"
	noTag        = "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/acme/web:typo\": failed to resolve image: docker.io/acme/web:typo: not found"
	noPassword   = "failed to resolve image: failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://auth.docker.io/token?scope=repository%3Aacme%2Fweb%3Apull&service=registry.docker.io: 401 Unauthorized"
	badMirror    = "failed to resolve image: unexpected status from HEAD request to https://127.0.0.1:6443/v2/acme/web/manifests/2.0?ns=docker.io: 500 Internal Server Error"
	noSignature  = "Source image rejected: A signature was required, but no signature exists"
	somethingNew = "the moon is in the wrong house"
)

// planted are faults, one each, in a cluster that is healthy without it, with what is
// to be found of it.
var planted = map[string]struct {
	plant                 func(b builder)
	check, class, limiter string
	findings              int // 0 is the planted one alone
}{
	"pull limit": {func(b builder) {
		b.roll("docker.io/acme/web:2.0", hubLimit)
		b.event("Pod", "shop", "gone", "Pulled", `Successfully pulled image "docker.io/acme/web:2.0" in 1s (1s including waiting). Image size: 9 bytes.`, 20*time.Minute)
	}, CheckThrottled, "Throttled", "pull", 0},
	"request limit":   {func(b builder) { b.roll("ghcr.io/acme/web:2.0", ghcrLimit) }, CheckThrottled, "Throttled", "request", 0},
	"abuse limit":     {func(b builder) { b.roll("docker.io/acme/web:2.0", hubAbuse) }, CheckThrottled, "Throttled", "abuse", 0},
	"token limit":     {func(b builder) { b.roll("docker.io/acme/web:2.0", tokenLimit) }, CheckThrottled, "Throttled", "token", 0},
	"upstream limit":  {func(b builder) { b.roll("harbor.corp/hub/acme/web:2.0", harborLimit) }, CheckThrottled, "Throttled", "upstream", 0},
	"quota of others": {func(b builder) { b.roll("registry.k8s.io/pause:3.10", ownersQuota) }, CheckThrottled, "Throttled", "foreign", 0},
	"bare 429": {func(b builder) {
		b.roll("hub.corp/acme/web:2.0", "unexpected status from HEAD request to https://hub.corp/v2/acme/web/manifests/2.0: 429 Too Many Requests")
	}, CheckThrottled, "Throttled", "unsaid", 0},
	"kubelet qps": {func(b builder) { b.roll("docker.io/acme/web:2.0", kubeletLimit) }, CheckKubeletQPS, "KubeletQPS", "kubelet", 0},
	"wrong platform": {func(b builder) {
		b.Nodes[2].Status.NodeInfo.Architecture = "arm64"
		b.waits("shop", "web", "docker.io/acme/web:2.0", "node-3", noPlatform)
	}, CheckPlatform, "WrongPlatform", "", 0},
	"dns on one node": {func(b builder) {
		b.waits("shop", "web", "docker.io/acme/web:2.0", "node-3", noName)
		b.came("shop", "web", "docker.io/acme/web:2.0", "node-1")
		b.came("shop", "web", "docker.io/acme/web:2.0", "node-2")
	}, CheckDNS, "DNS", "", 0},
	"unknown authority": {func(b builder) { b.roll("hub.corp/acme/web:2.0", noTrust) }, CheckTLS, "TLS", "", 0},
	"timeout":           {func(b builder) { b.roll("docker.io/acme/web:2.0", noAnswer) }, CheckTimeout, "Timeout", "", 0},
	"registry down":     {func(b builder) { b.roll("hub.corp/acme/web:2.0", brokenOff) }, CheckUnreachable, "Reset", "", 0},
	"disk full":         {func(b builder) { b.waits("shop", "web", "docker.io/acme/web:2.0", "node-1", noSpace) }, CheckDisk, "Disk", "", 0},
	"bad tag":           {func(b builder) { b.roll("docker.io/acme/web:typo", noTag) }, CheckBadTag, "NotFound", "", 0},
	"revoked secret": {func(b builder) {
		b.secret("shop", "hub", "named")
		for i := range 2 {
			b.waits("shop", "web", "docker.io/acme/web:2.0", fmt.Sprint("node-", i+1), noPassword).Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "hub"}}
		}
	}, CheckAuth, "Auth", "", 0},
	"mirror":       {func(b builder) { b.roll("docker.io/acme/web:2.0", badMirror) }, CheckMirror, "Mirror", "", 0},
	"policy":       {func(b builder) { b.roll("docker.io/acme/web:2.0", noSignature) }, CheckPolicy, "Policy", "", 0},
	"unclassified": {func(b builder) { b.roll("docker.io/acme/web:2.0", somethingNew) }, CheckUnclassified, "Unknown", "", 0},
	"an old kubelet hides the cause": {func(b builder) {
		p := b.waits("shop", "web", "docker.io/acme/web:2.0", "node-1", "")
		p.Status.ContainerStatuses[0].State.Waiting.Message = `Back-off pulling image "docker.io/acme/web:2.0"`
		b.event("Pod", "shop", p.Name, "Failed", `Failed to pull image "docker.io/acme/web:2.0": rpc error: code = Unknown desc = `+hubLimit, 2*time.Minute)
	}, CheckThrottled, "Throttled", "pull", 0},
	"sandbox image": {func(b builder) {
		p := b.pod("shop", "web", "two", "docker.io/acme/web:1.0", "node-1", 2*time.Minute)
		b.event("Pod", "shop", p.Name, "FailedCreatePodSandBox", `Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = failed to get sandbox image "docker.io/rancher/pause:3.6": failed to pull image "docker.io/rancher/pause:3.6": `+noName, time.Minute)
	}, CheckDNS, "DNS", "", 0},
	"taken for anonymous": {func(b builder) {
		b.secret("shop", "hub", "named")
		b.waits("shop", "web", "docker.io/acme/web:2.0", "node-1", hubLimit).Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "hub"}}
	}, CheckAnonymous, "", "", 2},
	"silently anonymous": {func(b builder) { b.secret("shop", "hub", "") }, CheckAnonymous, "", "", 0},
	"a secret that is not there": {func(b builder) {
		b.runs("shop", "web", "docker.io/acme/web:1.0", "node-1").Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "hub"}}
	}, CheckAnonymous, "", "", 0},
	"pulls do not show": {func(b builder) {
		b.account(v1alpha1.AccountStatus{Account: "docker.io/acme", Grade: "OK", Limit: 200, Window: metav1.Duration{Duration: time.Hour}, Doubt: "Unseen"})
	}, CheckAnonymous, "", "", 0},
	"nodes held": {func(b builder) {
		b.holds("30s")
		b.held("fresh", now.Add(-2*time.Minute), 8*time.Minute)
	}, CheckNodesHeld, "", "", 0},
	"nodes held for too long": {func(b builder) {
		b.held("fresh", now.Add(-20*time.Minute), -10*time.Minute)
		b.held("orphan", now.Add(-20*time.Minute), 0)
	}, CheckNodesHeld, "", "", 0},
	"taint undeclared": {func(b builder) {
		b.holds("10m")
		b.NodePools = []cluster.KarpenterPool{{Name: "general"}, {Name: "knows", Template: kube.NodeTemplate{StartupTaints: []corev1.Taint{{Key: v1alpha1.Taint, Effect: corev1.TaintEffectNoSchedule}}}}}
		for i := range b.Nodes {
			b.Nodes[i].Labels = map[string]string{kube.LabelNodePool: "general"}
		}
	}, CheckTaint, "", "", 0},
	"taint tolerated": {func(b builder) {
		b.holds("10m")
		b.account(v1alpha1.AccountStatus{Account: "docker.io/anonymous", Grade: "OK", Limit: 100, Window: metav1.Duration{Duration: time.Hour}})
		everything := []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		b.daemon("logs", "docker.io/acme/logs:1", everything)
		b.daemon("proxy", "registry.k8s.io/kube-proxy:v1.34.4", everything)
		b.daemon("metrics", "docker.io/acme/metrics:1", nil)
	}, CheckTolerates, "", "", 0},
	"node hold too long": {func(b builder) { b.holds("20m") }, CheckNodeHold, "", "", 0},
	"disruption left": {func(b builder) {
		b.NodePools = []cluster.KarpenterPool{{Name: "general", Paused: true, Ours: 1, Budgets: 2}, {Name: "others"}, {Name: "spot", Paused: true, Ours: 0, Budgets: 1}, {Name: "edited", Paused: true, Ours: -1, Budgets: 1}}
		for i := range b.Nodes {
			b.Nodes[i].Labels = map[string]string{kube.LabelNodePool: "general"}
		}
	}, CheckDisruption, "", "", 0},
	"demand above supply": {func(b builder) {
		since := metav1.NewTime(now.Add(-time.Hour))
		b.account(v1alpha1.AccountStatus{Account: "docker.io/anonymous", Grade: "OK", Limit: 100, Window: metav1.Duration{Duration: time.Hour},
			Flow: &v1alpha1.FlowStatus{AskedPerHour: "150.00", GivenPerHour: "100.00", Over: metav1.Duration{Duration: 6 * time.Hour}, HopelessSince: &since}})
	}, CheckDemand, "", "", 0},
	"shared egress": {func(b builder) {
		b.account(v1alpha1.AccountStatus{Account: "docker.io/anonymous", Grade: "OK", Limit: 100, Window: metav1.Duration{Duration: time.Hour}, Source: "203.0.113.42", ForeignPerHour: "40.00"})
	}, CheckEgress, "", "", 0},
	"always and latest": {func(b builder) {
		b.node("node-5", "cri-o://1.34.1", "amd64", time.Hour)
		b.runs("shop", "job", "docker.io/acme/job", "node-5").Spec.Containers[0].ImagePullPolicy = corev1.PullAlways
	}, CheckAlways, "", "", 0},
	"a tag that moved": {func(b builder) { b.Pods[0].Status.ContainerStatuses[0].ImageID = "docker.io/acme/web@sha256:bb" }, CheckMoved, "", "", 0},
	"pruned cache": {func(b builder) {
		b.event("Node", "", "node-2", "FreeDiskSpaceFailed", "Failed to garbage collect required amount of images. Attempted to free 1 bytes, but only found 0 bytes eligible to free.", 10*time.Minute)
	}, CheckCachePruned, "", "", 0},
	"truncated list": {func(b builder) {
		for len(b.Nodes[0].Status.Images) < 50 {
			b.Nodes[0].Status.Images = append(b.Nodes[0].Status.Images, corev1.ContainerImage{SizeBytes: 1})
		}
	}, CheckCacheUnknown, "", "", 0},
	"costly runtime": {func(b builder) { b.Nodes[0].Status.NodeInfo.ContainerRuntimeVersion = "cri-o://1.33.2" }, CheckRuntime, "", "", 0},
}

func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	for name, tc := range planted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := healthy()
			tc.plant(b)
			d := Diagnose(b.Snapshot, Scope{})
			i := slices.IndexFunc(d.Findings, func(f view.Finding) bool { return f.Check == tc.check })
			if i < 0 {
				t.Fatalf("not found; findings: %v", d.Names())
			}
			if f := d.Findings[i]; f.Class != tc.class || f.Limiter != tc.limiter {
				t.Errorf("class %q limiter %q, want %q %q", f.Class, f.Limiter, tc.class, tc.limiter)
			}
			if wants := max(tc.findings, 1); len(d.Findings) != wants {
				t.Errorf("findings %v, want %d", d.Names(), wants)
			}
			golden(t, name, d)
		})
	}
}

func TestHealthyClusterHasNoFinding(t *testing.T) {
	t.Parallel()
	d := Diagnose(healthy().Snapshot, Scope{})
	if d.Verdict != Healthy || len(d.Findings) != 0 || len(d.Fixes) != 0 {
		t.Errorf("verdict %s, findings %v, want healthy and none", d.Verdict, d.Names())
	}
	golden(t, "healthy", d)
}

// Every check finds something in some test, and every one that was not found there is
// told to be fine or unknown.
func TestEveryCheckIsAccountedFor(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, tc := range planted {
		found[tc.check] = true
	}
	d := Diagnose(healthy().Snapshot, Scope{})
	for _, check := range Checks() {
		if !found[check] && !slices.Contains(neverClear, check) {
			t.Errorf("no planted fault is found by %s", check)
		}
		unknown := slices.ContainsFunc(d.Unknown, func(u view.UnknownCheck) bool { return u.Check == check })
		if !slices.Contains(d.Clear, check) && !unknown && !slices.Contains(neverClear, check) {
			t.Errorf("a healthy cluster says nothing of %s", check)
		}
	}
}

// golden compares the page of a diagnosis.
func golden(t *testing.T, name string, d view.Diagnosis) {
	t.Helper()
	var out bytes.Buffer
	if err := view.DiagnosisPage(&out, d, view.Style{Now: now}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "-")+".txt")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}
