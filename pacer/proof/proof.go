package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// The reasons of an Answer, which are those of the condition GateActive.
const (
	// Proven: the pod came back gated.
	Proven = "Proven"
	// NotGating: the webhook answered and says why it gates nothing.
	NotGating = "NotGating"
	// NotCalled: the pod came back as it was sent, so that the webhook was not
	// asked or did not answer in time.
	NotCalled = "NotCalled"
	// WebhookMissing: there is no webhook that could be asked.
	WebhookMissing = "WebhookMissing"
	// Refused: the API server did not accept the dry run.
	Refused = "Refused"
)

// Answer is what came of a dry run.
type Answer struct {
	Reason string
	// Took is how long the API server took, the webhook included.
	Took time.Duration
	// Detail says why, for a person; empty where the Reason says it all.
	Detail string
	// Err is the API server's where the Reason is Refused.
	Err error
}

// Gated reports whether the gate works.
func (a Answer) Gated() bool { return a.Reason == Proven }

// String says what came of it in one sentence.
func (a Answer) String() string {
	switch a.Reason {
	case Proven:
		return fmt.Sprintf("a dry-run pod came back gated in %d ms", a.Took.Milliseconds())
	case NotGating:
		return "the webhook gates nothing: " + a.Detail
	case NotCalled:
		return fmt.Sprintf("a dry-run pod came back without the gate after %d ms: the webhook did not answer in time, or the API server does not reach or trust it", a.Took.Milliseconds())
	case WebhookMissing:
		return "there is no webhook: " + a.Detail
	}
	return "the API server refused a dry-run pod: " + a.Detail
}

// Pod is the pod that asks. It is never stored, and as restricted as a namespace
// can demand, so that only the gate is in question.
func Pod(namespace, image string) *corev1.Pod {
	size := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1m"), corev1.ResourceMemory: resource.MustParse("1Mi")}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, GenerateName: "pace-proof-",
			Labels:      map[string]string{"app.kubernetes.io/part-of": "pullpace"},
			Annotations: map[string]string{v1alpha1.AnnotationProof: v1alpha1.AskProof},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "proof", Image: image,
				Resources: corev1.ResourceRequirements{Requests: size, Limits: size},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// Asked reports whether a pod is one that asks, in a namespace with these labels.
// Whether it is a dry run only the request says.
func Asked(pod *corev1.Pod, namespace map[string]string) bool {
	return pod.Annotations[v1alpha1.AnnotationProof] == v1alpha1.AskProof && namespace[v1alpha1.LabelPace] == v1alpha1.LabelPaceProof
}

// Asker sends dry runs.
type Asker struct {
	Client client.Client
	// Live reads past a cache, to say why a pod came back as it was.
	Live client.Reader
	// Namespace is ours, Webhook the configuration that must be there.
	Namespace, Webhook string
	// Owner is the field manager of the dry run.
	Owner string
	// Now reads the clock.
	Now func() time.Time
}

// Ask sends one dry run of a pod of that image.
func (a Asker) Ask(ctx context.Context, image string) Answer {
	pod := Pod(a.Namespace, image)
	sent := a.Now()
	err := a.Client.Create(ctx, pod, client.DryRunAll, client.FieldOwner(a.Owner))
	took := a.Now().Sub(sent)
	switch told := pod.Annotations[v1alpha1.AnnotationProof]; {
	case err != nil:
		return Answer{Reason: Refused, Took: took, Detail: err.Error(), Err: err}
	case slices.ContainsFunc(pod.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.Gate }):
		return Answer{Reason: Proven, Took: took}
	case told == v1alpha1.ProofGated:
		// Somebody took the gate off behind us.
		return Answer{Reason: NotGating, Took: took, Detail: "the gate was put on and is not there: another admission webhook took it off"}
	case told != v1alpha1.AskProof && told != "":
		return Answer{Reason: NotGating, Took: took, Detail: told}
	}
	return a.why(ctx, took)
}

// why looks for what may have kept the API server from asking.
func (a Asker) why(ctx context.Context, took time.Duration) Answer {
	var hook admissionv1.MutatingWebhookConfiguration
	switch err := a.Live.Get(ctx, client.ObjectKey{Name: a.Webhook}, &hook); {
	case apierrors.IsNotFound(err):
		return Answer{Reason: WebhookMissing, Took: took, Detail: "MutatingWebhookConfiguration " + a.Webhook + " is not there"}
	case err == nil && !slices.ContainsFunc(hook.Webhooks, admitsPods):
		return Answer{Reason: WebhookMissing, Took: took, Detail: "MutatingWebhookConfiguration " + a.Webhook + " has no entry for pods"}
	}
	var ns corev1.Namespace
	if err := a.Live.Get(ctx, client.ObjectKey{Name: a.Namespace}, &ns); err == nil && ns.Labels[v1alpha1.LabelPace] != v1alpha1.LabelPaceProof {
		return Answer{Reason: WebhookMissing, Took: took,
			Detail: fmt.Sprintf("it is not shown dry runs of namespace %s without the label %s=%s", a.Namespace, v1alpha1.LabelPace, v1alpha1.LabelPaceProof)}
	}
	return Answer{Reason: NotCalled, Took: took}
}

func admitsPods(w admissionv1.MutatingWebhook) bool {
	return slices.ContainsFunc(w.Rules, func(r admissionv1.RuleWithOperations) bool {
		return slices.ContainsFunc(r.Resources, func(name string) bool { return strings.HasPrefix(name, "pods") })
	})
}
