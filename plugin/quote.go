package plugin

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// A quote that is not whole yet is asked for again, since the controller looks at
// an image behind its first answer.
const (
	quoteTries = 8
	quotePause = 250 * time.Millisecond
)

// manifests asks the controller what the images of a Deployment are made of, by the
// dry run of a pod, which anybody may who may create one. What it does not say
// stays unknown.
func (s *session) manifests(ctx context.Context, c *cluster.Cluster, d *appsv1.Deployment, controller view.Controller) map[core.Image]int {
	known := map[core.Image]int{}
	if !controller.Alive(s.env.Now()) {
		return known
	}
	for try := range quoteTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return known
			case <-time.After(quotePause):
			}
		}
		quote, ok := askQuote(ctx, c.Client, d)
		if !ok {
			return known
		}
		whole := true
		for _, image := range quote.Images {
			if image.Manifests > 0 {
				known[core.Image(image.Image)] = image.Manifests
			}
			whole = whole && image.Manifests > 0
		}
		if whole {
			return known
		}
	}
	return known
}

// askQuote has the API server admit a pod of the Deployment without storing it.
func askQuote(ctx context.Context, c client.Client, d *appsv1.Deployment) (v1alpha1.PodQuote, bool) {
	template := d.Spec.Template.DeepCopy()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: d.Namespace, GenerateName: "pace-quote-",
			Labels: template.Labels, Annotations: map[string]string{v1alpha1.AnnotationQuote: v1alpha1.AskQuote},
		},
		Spec: template.Spec,
	}
	if err := c.Create(ctx, pod, client.DryRunAll, client.FieldOwner(cluster.FieldManager)); err != nil {
		return v1alpha1.PodQuote{}, false
	}
	quote, err := v1alpha1.ParsePodQuote(pod.Annotations[v1alpha1.AnnotationQuote])
	return quote, err == nil
}
