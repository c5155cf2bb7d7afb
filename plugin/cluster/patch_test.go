package cluster

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestPatchLockedOnAnObjectThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		meanwhile    func(*appsv1.Deployment)
		wantConflict bool
	}{
		"nothing":      {meanwhile: func(*appsv1.Deployment) {}},
		"a new status": {meanwhile: func(d *appsv1.Deployment) { d.Status.Replicas++ }},
		"a new revision": {meanwhile: func(d *appsv1.Deployment) {
			d.Annotations = map[string]string{"deployment.kubernetes.io/revision": "2"}
		}},
		"a person's template":  {meanwhile: func(d *appsv1.Deployment) { d.Generation++ }, wantConflict: true},
		"a person's label":     {meanwhile: func(d *appsv1.Deployment) { d.Labels = map[string]string{"team": "shop"} }, wantConflict: true},
		"a person's own order": {meanwhile: func(d *appsv1.Deployment) { d.Annotations = map[string]string{"pullpace.dev/paused": "{}"} }, wantConflict: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scheme, err := Scheme()
			if err != nil {
				t.Fatal(err)
			}
			d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api", UID: "1", Generation: 7}}
			calls := 0
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(d).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
					if calls++; calls == 1 {
						var now appsv1.Deployment
						if err := c.Get(ctx, client.ObjectKeyFromObject(obj), &now); err != nil {
							return err
						}
						tc.meanwhile(&now)
						if err := c.Update(ctx, &now); err != nil {
							return err
						}
					}
					return c.Patch(ctx, obj, p, opts...)
				},
			}).Build()
			var before appsv1.Deployment
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(d), &before); err != nil {
				t.Fatal(err)
			}
			after := before.DeepCopy()
			after.Spec.Template.Labels = map[string]string{"new": "1"}
			err = PatchLocked(t.Context(), c, &before, after)
			if apierrors.IsConflict(err) != tc.wantConflict || (err != nil) != tc.wantConflict {
				t.Fatalf("error %v, want a conflict: %t", err, tc.wantConflict)
			}
			var got appsv1.Deployment
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(d), &got); err != nil {
				t.Fatal(err)
			}
			if written := got.Spec.Template.Labels["new"] == "1"; written == tc.wantConflict {
				t.Errorf("written: %t, want %t", written, !tc.wantConflict)
			}
		})
	}
}
