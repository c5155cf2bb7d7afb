package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/kube"
)

// shaper is a registry that knows some images.
type shaper map[string]int

func (s shaper) Probe(context.Context, string) (quota.Observation, error) {
	return quota.Observation{}, errors.New("not asked for")
}

func (s shaper) Shape(_ context.Context, ref string) (int, string, error) {
	if n, ok := s[ref]; ok {
		return n, "", nil
	}
	return 0, "", errors.New("no such image")
}

// The first answer knows nothing and sends somebody to look; a later one knows.
// What cannot be found is not looked for again at once.
func TestQuoterLooksBehindItsAnswer(t *testing.T) {
	t.Parallel()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&v1alpha1.PullBudget{ObjectMeta: metav1.ObjectMeta{Name: "hub"}}).Build()
	registry := shaper{"docker.io/acme/api:2": 2}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	q := newQuoter(func(context.Context, *v1alpha1.PullBudget) (asker, error) { return registry, nil }, reader, func() time.Time { return now })
	images := []kube.Budgeted{{Image: "docker.io/acme/api:2", Budget: "hub"}, {Image: "docker.io/acme/gone:1", Budget: "hub"}}
	want := func(what string, manifests ...int) {
		t.Helper()
		for i, image := range images {
			if got := q.manifests(image); got != manifests[i] {
				t.Errorf("%s: %s has %d manifests, want %d", what, image.Image, got, manifests[i])
			}
		}
	}
	want("before a look", 0, 0)
	for range images {
		q.look(t.Context(), <-q.asked)
	}
	want("after it", 2, 0)
	if len(q.asked) != 0 {
		t.Errorf("%d images are asked for again at once", len(q.asked))
	}
	now = now.Add(quoteRetry)
	want("after a while", 2, 0)
	if len(q.asked) != 1 {
		t.Errorf("%d images are asked for again, want the one that was not found", len(q.asked))
	}
}

func TestOnlyADryRunThatAsksIsQuoted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dryRun bool
		asks   string
		want   bool
	}{
		"a dry run that asks":           {true, v1alpha1.AskQuote, true},
		"a real pod that asks":          {false, v1alpha1.AskQuote, false},
		"a dry run that does not ask":   {true, "", false},
		"a dry run with something else": {true, `{"images":[]}`, false},
	}
	for name, tc := range tests {
		a := makeAdmitter(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
		a.pricer = makePricer(a)
		raw := sent(func(pod map[string]any) {
			pod["metadata"].(map[string]any)["annotations"] = map[string]any{v1alpha1.AnnotationQuote: tc.asks}
		})
		response := a.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			DryRun: &tc.dryRun, Namespace: "shop", Object: runtime.RawExtension{Raw: raw},
		}})
		quoted := false
		for _, op := range response.Patches {
			quoted = quoted || strings.HasSuffix(op.Path, "pullpace.dev~1quote")
		}
		if quoted != tc.want {
			t.Errorf("%s: quoted %v, want %v", name, quoted, tc.want)
		}
	}
}
