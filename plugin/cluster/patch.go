package cluster

import (
	"context"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patchTries is how often a patch is tried again on an object whose status changes
// all the time, as that of a workload in the middle of a rollout does.
const patchTries = 10

// PatchLocked writes what changed between two versions of an object, unless
// somebody else wrote it meanwhile. A new status is nobody's writing.
func PatchLocked(ctx context.Context, c client.Client, before, after client.Object) error {
	before = before.DeepCopyObject().(client.Object)
	for try := 1; ; try++ {
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		err := c.Patch(ctx, after, patch, client.FieldOwner(FieldManager))
		if !apierrors.IsConflict(err) || try == patchTries {
			return err
		}
		now := before.DeepCopyObject().(client.Object)
		if again := c.Get(ctx, client.ObjectKeyFromObject(before), now); again != nil {
			return fmt.Errorf("reading it again after %w: %w", err, again)
		}
		if !unwritten(before, now) {
			return err
		}
		before.SetResourceVersion(now.GetResourceVersion())
		after.SetResourceVersion(now.GetResourceVersion())
	}
}

// unwritten reports whether all that anybody but a status has written of an object
// is as it was. An object without a generation tells no status from a writing.
func unwritten(before, now client.Object) bool {
	return before.GetUID() == now.GetUID() && now.GetGeneration() > 0 && before.GetGeneration() == now.GetGeneration() &&
		maps.Equal(before.GetLabels(), now.GetLabels()) &&
		maps.Equal(peoples(before.GetAnnotations()), peoples(now.GetAnnotations()))
}

// peoples are annotations without those of the workload's own controller.
func peoples(all map[string]string) map[string]string {
	rest := maps.Clone(all)
	maps.DeleteFunc(rest, func(key, _ string) bool {
		return strings.HasPrefix(key, "deployment.kubernetes.io/") || strings.HasPrefix(key, "rollout.argoproj.io/")
	})
	return rest
}
