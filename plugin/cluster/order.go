package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// reporter names the plugin in Events.
const reporter = "pullpace.dev/plugin"

// WhoAmI asks the API server for the name of the person at work; "unknown" where
// it does not tell.
func WhoAmI(ctx context.Context, c client.Client) string {
	review := &authenticationv1.SelfSubjectReview{}
	if err := c.Create(ctx, review); err != nil || review.Status.UserInfo.Username == "" {
		return "unknown"
	}
	return review.Status.UserInfo.Username
}

// Record writes an Event about an object. verb is what was done ("Pause"), note
// who did it and why.
func Record(ctx context.Context, c client.Client, obj client.Object, now time.Time, verb, note string) error {
	gvk, err := apiutil.GVKForObject(obj, c.Scheme())
	if err != nil {
		return fmt.Errorf("naming the object of an Event: %w", err)
	}
	namespace := obj.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	// 1024 bytes is the limit of the API for a note.
	note = strings.ToValidUTF8(note[:min(len(note), 1024)], "")
	event := &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{GenerateName: obj.GetName() + "-", Namespace: namespace},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: reporter,
		ReportingInstance:   reporter,
		Action:              verb,
		Reason:              verb,
		Type:                corev1.EventTypeNormal,
		Note:                note,
		Regarding: corev1.ObjectReference{
			APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: obj.GetName(),
			Namespace: obj.GetNamespace(), UID: obj.GetUID(), ResourceVersion: obj.GetResourceVersion(),
		},
	}
	if err := c.Create(ctx, event, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("writing an Event about %s: %w", obj.GetName(), err)
	}
	return nil
}
