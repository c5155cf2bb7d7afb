package manifests_test

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/pullpace/pace/manifests"
	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// build does what `kubectl apply -k manifests` does before it applies.
func build(t *testing.T) resmap.ResMap {
	t.Helper()
	disk := filesys.MakeFsInMemory()
	err := fs.WalkDir(manifests.Files(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := manifests.Files().ReadFile(name)
		if err != nil {
			return err
		}
		return disk.WriteFile(path.Join("/base", name), text)
	})
	if err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(disk, "/base")
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// decode reads every built object of a kind, refusing fields that the kind does
// not have.
func decode[T any](t *testing.T, kind string) []T {
	t.Helper()
	var out []T
	for _, r := range build(t).Resources() {
		if r.GetKind() != kind {
			continue
		}
		var obj T
		if err := yaml.UnmarshalStrict([]byte(r.MustYaml()), &obj); err != nil {
			t.Fatalf("%s: %v", r.CurId(), err)
		}
		out = append(out, obj)
	}
	if len(out) == 0 {
		t.Fatalf("the base holds no %s: the test proves nothing", kind)
	}
	return out
}

func TestBaseHoldsWhatIsExpected(t *testing.T) {
	t.Parallel()
	var got []string
	for _, r := range build(t).Resources() {
		got = append(got, strings.TrimPrefix(r.GetNamespace()+"/"+r.GetKind()+"/"+r.GetName(), "/"))
	}
	slices.Sort(got)
	want := []string{
		"ClusterRole/pace-admin", "ClusterRole/pace-edit", "ClusterRole/pace-view", "ClusterRole/pacer", "ClusterRole/pacer-failsafe", "ClusterRole/pacer-rollouts",
		"ClusterRoleBinding/pace-view", "ClusterRoleBinding/pacer", "ClusterRoleBinding/pacer-failsafe", "ClusterRoleBinding/pacer-rollouts",
		"CustomResourceDefinition/pacepolicies.pullpace.dev", "CustomResourceDefinition/pullbudgets.pullpace.dev",
		"MutatingWebhookConfiguration/pacer", "Namespace/pullpace-system",
		"pullpace-system/Deployment/pacer", "pullpace-system/Deployment/pacer-failsafe",
		"pullpace-system/PodDisruptionBudget/pacer",
		"pullpace-system/Role/pace-heartbeat", "pullpace-system/Role/pacer", "pullpace-system/Role/pacer-failsafe", "pullpace-system/Role/pacer-probe",
		"pullpace-system/RoleBinding/pace-heartbeat", "pullpace-system/RoleBinding/pacer", "pullpace-system/RoleBinding/pacer-failsafe", "pullpace-system/RoleBinding/pacer-probe",
		"pullpace-system/Service/pacer", "pullpace-system/ServiceAccount/pacer", "pullpace-system/ServiceAccount/pacer-failsafe", "pullpace-system/ServiceAccount/pacer-probe",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("built objects (-want +got):\n%s", diff)
	}
}

// ruled is the rules of one role, and where they hold.
type ruled struct {
	name, namespace string
	rules           []rbacv1.PolicyRule
}

func roles(t *testing.T) []ruled {
	t.Helper()
	var out []ruled
	for _, r := range decode[rbacv1.ClusterRole](t, "ClusterRole") {
		out = append(out, ruled{r.Name, "", r.Rules})
	}
	for _, r := range decode[rbacv1.Role](t, "Role") {
		out = append(out, ruled{r.Name, r.Namespace, r.Rules})
	}
	return out
}

func TestSecretsAreReadInTheOwnNamespaceOnly(t *testing.T) {
	t.Parallel()
	granted := 0
	for _, role := range roles(t) {
		for _, rule := range role.rules {
			for _, all := range [][]string{rule.Verbs, rule.Resources, rule.APIGroups} {
				if slices.Contains(all, "*") {
					t.Errorf("role %s grants a wildcard: %v", role.name, rule)
				}
			}
			if !slices.ContainsFunc(rule.Resources, func(r string) bool { return strings.HasPrefix(r, "secrets") }) {
				continue
			}
			granted++
			if role.namespace != v1alpha1.Namespace {
				t.Errorf("role %s reads secrets outside %s", role.name, v1alpha1.Namespace)
			}
		}
	}
	if granted == 0 {
		t.Error("no role grants secrets: the test proves nothing")
	}
}

// writes are what a role may do besides reading, sorted.
func writes(t *testing.T, name string) []string {
	t.Helper()
	var got []string
	for _, role := range roles(t) {
		if role.name != name {
			continue
		}
		for _, rule := range role.rules {
			for _, verb := range rule.Verbs {
				if slices.Contains([]string{"get", "list", "watch"}, verb) {
					continue
				}
				for _, resource := range rule.Resources {
					got = append(got, strings.TrimPrefix(role.namespace+" "+verb+" "+resource, " "))
				}
			}
		}
	}
	slices.Sort(got)
	return got
}

// What the controller may write, word for word: another write is a decision.
func TestControllerWritesLittle(t *testing.T) {
	t.Parallel()
	got := writes(t, "pacer")
	want := []string{
		"create events", "create tokenreviews",
		"patch deployments", "patch events", "patch jobs", "patch mutatingwebhookconfigurations", "patch pacepolicies/status", "patch pods", "patch pods/status",
		"patch pullbudgets/status", "patch replicasets",
		"pullpace-system create configmaps", "pullpace-system create daemonsets", "pullpace-system create deployments",
		"pullpace-system create leases", "pullpace-system create pods", "pullpace-system create secrets",
		"pullpace-system delete configmaps", "pullpace-system delete daemonsets", "pullpace-system delete deployments",
		"pullpace-system patch configmaps", "pullpace-system patch daemonsets", "pullpace-system patch deployments",
		"pullpace-system patch leases", "pullpace-system patch secrets",
		"pullpace-system update leases", "pullpace-system update secrets",
		"update mutatingwebhookconfigurations", "update pacepolicies/status", "update pullbudgets/status",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("writes of the controller (-want +got):\n%s", diff)
	}
}

// The failsafe can take off what Pace put on, and nothing else.
func TestFailsafeWritesLess(t *testing.T) {
	t.Parallel()
	want := []string{
		"create events", "patch deployments", "patch events", "patch jobs", "patch nodes", "patch pods",
		"pullpace-system create leases", "pullpace-system update leases",
	}
	if diff := cmp.Diff(want, writes(t, "pacer-failsafe")); diff != "" {
		t.Errorf("writes of the failsafe (-want +got):\n%s", diff)
	}
}

func TestPodsRunRestricted(t *testing.T) {
	t.Parallel()
	for _, d := range decode[appsv1.Deployment](t, "Deployment") {
		pod := d.Spec.Template.Spec
		if pod.PriorityClassName != "system-cluster-critical" {
			t.Errorf("%s: priority %q, want system-cluster-critical", d.Name, pod.PriorityClassName)
		}
		if d.Name == "pacer" && (*d.Spec.Replicas != 2 || pod.Affinity.PodAntiAffinity == nil) {
			t.Errorf("%s: want 2 replicas apart", d.Name)
		}
		if s := pod.SecurityContext; s == nil || !*s.RunAsNonRoot || *s.RunAsUser != 65532 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: pod security context %+v", d.Name, s)
		}
		if pod.HostNetwork || pod.HostPID || pod.HostIPC || len(pod.Volumes) > 0 {
			t.Errorf("%s shares the node or mounts volumes", d.Name)
		}
		if !slices.ContainsFunc(pod.Tolerations, func(o corev1.Toleration) bool { return o.Key == v1alpha1.Taint }) {
			t.Errorf("%s does not tolerate what Pace taints", d.Name)
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			s := c.SecurityContext
			if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !cmp.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
				t.Errorf("%s/%s: security context %+v", d.Name, c.Name, s)
			}
			if c.Image != manifests.Image+":dev" {
				t.Errorf("%s/%s: image %q, want the name that the installer replaces, with tag dev", d.Name, c.Name, c.Image)
			}
			if c.LivenessProbe == nil || c.ReadinessProbe == nil {
				t.Errorf("%s/%s: no probes", d.Name, c.Name)
			} else if c.LivenessProbe.TimeoutSeconds < 5 {
				// The default is 1 s: a node that is busy for half a minute would end it.
				t.Errorf("%s/%s: it is ended when it does not answer within %d s", d.Name, c.Name, c.LivenessProbe.TimeoutSeconds)
			}
		}
	}
}

// A registry's name has a dot: it must be asked for before what the cluster would make
// of it, or a Service could get what is meant for the registry.
func TestNamesOfRegistriesAreNotLookedUpInTheClusterFirst(t *testing.T) {
	t.Parallel()
	for _, d := range decode[appsv1.Deployment](t, "Deployment") {
		if d.Name != "pacer" {
			continue
		}
		config := d.Spec.Template.Spec.DNSConfig
		if config == nil || !slices.ContainsFunc(config.Options, func(o corev1.PodDNSConfigOption) bool {
			return o.Name == "ndots" && o.Value != nil && *o.Value == "1"
		}) {
			t.Errorf("%s: dnsConfig %+v, want ndots 1", d.Name, config)
		}
	}
}

func TestWebhookFailsOpenAndSparesTheSystem(t *testing.T) {
	t.Parallel()
	for _, hook := range decode[admissionv1.MutatingWebhookConfiguration](t, "MutatingWebhookConfiguration")[0].Webhooks {
		if *hook.FailurePolicy != admissionv1.Ignore || *hook.TimeoutSeconds != 2 || *hook.SideEffects != admissionv1.SideEffectClassNone {
			t.Errorf("%s: failurePolicy %s, timeout %d, sideEffects %s", hook.Name, *hook.FailurePolicy, *hook.TimeoutSeconds, *hook.SideEffects)
		}
		if len(hook.ClientConfig.CABundle) > 0 {
			t.Errorf("%s brings a certificate authority: the controller fills it in", hook.Name)
		}
		if got := asked(t, hook.NamespaceSelector, metav1.NamespaceDefault, ""); got {
			t.Errorf("%s asks about namespaces that are not opted in", hook.Name)
		}
		for _, label := range []string{v1alpha1.LabelPaceEnabled, v1alpha1.LabelPaceProof} {
			if asked(t, hook.NamespaceSelector, metav1.NamespaceSystem, label) {
				t.Errorf("%s asks about kube-system", hook.Name)
			}
		}
		if !asked(t, hook.NamespaceSelector, "shop", v1alpha1.LabelPaceEnabled) {
			t.Errorf("%s does not ask about a namespace that is opted in", hook.Name)
		}
		if !asked(t, hook.NamespaceSelector, v1alpha1.Namespace, decode[corev1.Namespace](t, "Namespace")[0].Labels[v1alpha1.LabelPace]) {
			continue
		}
		// Of our own namespace dry runs only: the test of the condition itself runs on a
		// real API server.
		if !slices.ContainsFunc(hook.MatchConditions, func(c admissionv1.MatchCondition) bool {
			return c.Expression == "request.namespace != '"+v1alpha1.Namespace+"' || has(request.dryRun) && request.dryRun"
		}) {
			t.Errorf("%s asks about pods of %s that are made", hook.Name, v1alpha1.Namespace)
		}
	}
}

// asked says whether a webhook is shown a namespace with that label.
func asked(t *testing.T, s *metav1.LabelSelector, namespace, label string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	set := labels.Set{corev1.LabelMetadataName: namespace}
	if label != "" {
		set[v1alpha1.LabelPace] = label
	}
	return selector.Matches(set)
}

// The API server dials the pod itself where no Service is routed: the Service must
// lead to the port that the contract names.
// TestPortsAreApart: what a pod serves to others must not take the port by which it keeps
// its trace to itself.
func TestPortsAreApart(t *testing.T) {
	t.Parallel()
	for _, d := range decode[appsv1.Deployment](t, "Deployment") {
		taken := map[int32]string{v1alpha1.TracePort: "trace"}
		for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
			if other := taken[p.ContainerPort]; other != "" {
				t.Errorf("%s: %s and %s are both at port %d", d.Name, other, p.Name, p.ContainerPort)
			}
			taken[p.ContainerPort] = p.Name
		}
	}
}

func TestServiceLeadsToTheWebhook(t *testing.T) {
	t.Parallel()
	hook := decode[admissionv1.MutatingWebhookConfiguration](t, "MutatingWebhookConfiguration")[0].Webhooks[0]
	service := decode[corev1.Service](t, "Service")[0]
	pod := decode[appsv1.Deployment](t, "Deployment")[0].Spec.Template
	ref := hook.ClientConfig.Service
	if ref.Name != service.Name || ref.Namespace != service.Namespace {
		t.Fatalf("the webhook is at %s/%s, the Service is %s/%s", ref.Namespace, ref.Name, service.Namespace, service.Name)
	}
	for key, value := range service.Spec.Selector {
		if pod.Labels[key] != value {
			t.Errorf("the Service selects %s=%s, the pods have %q", key, value, pod.Labels[key])
		}
	}
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == *ref.Port })
	if i < 0 {
		t.Fatalf("the Service has no port %d", *ref.Port)
	}
	target := service.Spec.Ports[i].TargetPort.StrVal
	if !slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool {
		return p.Name == target && p.ContainerPort == v1alpha1.WebhookPort
	}) {
		t.Errorf("port %q of the pod is not %d", target, v1alpha1.WebhookPort)
	}
}
