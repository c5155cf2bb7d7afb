package controller

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// noted is an object of any kind with annotations; nil: there is none.
func noted(notes map[string]string) runtime.RawExtension {
	if notes == nil {
		return runtime.RawExtension{}
	}
	raw, err := json.Marshal(map[string]any{"kind": "Deployment", "metadata": map[string]any{"name": "web", "annotations": notes}, "spec": map[string]any{"fieldOfTomorrow": 1}})
	if err != nil {
		panic(err)
	}
	return runtime.RawExtension{Raw: raw}
}

// Whoever writes an order, it is kept as that of the user whom the API server knows.
func TestOrdersAreStampedWithWhoGaveThem(t *testing.T) {
	t.Parallel()
	const paused, override, resumed = v1alpha1.AnnotationPaused, v1alpha1.AnnotationOverride, v1alpha1.AnnotationResumed
	order := func(by, reason string, at time.Time) string {
		return v1alpha1.Order{By: by, Reason: reason, At: at}.String()
	}
	earlier := start.Add(-time.Hour)
	kims := order("kim", "it leaks", earlier)
	cases := map[string]struct {
		user          string
		before, after map[string]string
		want          map[string]string
		audit         map[string]string
	}{
		"a pause that claims another": {after: map[string]string{paused: order("the boss", "it leaks", earlier), "theirs": "kept"}, before: map[string]string{},
			want:  map[string]string{paused: order("eve", "it leaks", start), "theirs": "kept"},
			audit: map[string]string{"by": "eve", "action": "pause", "reason": "it leaks", "decision": "nothing more is let go until resume"}},
		"a pause by hand": {before: map[string]string{}, after: map[string]string{paused: "it leaks"},
			want:  map[string]string{paused: order("eve", "it leaks", start)},
			audit: map[string]string{"by": "eve", "action": "pause", "reason": "it leaks", "decision": "nothing more is let go until resume"}},
		"a pause at creation": {after: map[string]string{paused: order("kim", "not yet", earlier)},
			want:  map[string]string{paused: order("eve", "not yet", start)},
			audit: map[string]string{"by": "eve", "action": "pause", "reason": "not yet", "decision": "nothing more is let go until resume"}},
		"the same pause again": {before: map[string]string{paused: kims}, after: map[string]string{paused: order("eve", "it leaks", start)},
			want: map[string]string{paused: kims}},
		"a release of before now": {before: map[string]string{}, after: map[string]string{override: order("kim", "customers wait", earlier)},
			want:  map[string]string{override: order("eve", "customers wait", earlier)},
			audit: map[string]string{"by": "eve", "action": "release", "reason": "customers wait", "decision": "what is held is let go at the rate of the refill"}},
		"a release of tomorrow, at once": {before: map[string]string{}, after: map[string]string{override: v1alpha1.Order{Reason: "now", At: start.Add(24 * time.Hour), Now: true}.String()},
			want:  map[string]string{override: v1alpha1.Order{By: "eve", Reason: "now", At: start, Now: true}.String()},
			audit: map[string]string{"by": "eve", "action": "release", "reason": "now", "decision": "what is held is let go at once"}},
		"the same release again": {before: map[string]string{override: kims}, after: map[string]string{override: order("eve", "it leaks", earlier)},
			want: map[string]string{override: kims}},
		"another release for the same reason": {before: map[string]string{override: kims}, after: map[string]string{override: order("kim", "it leaks", start)},
			want:  map[string]string{override: order("eve", "it leaks", start)},
			audit: map[string]string{"by": "eve", "action": "release", "reason": "it leaks", "decision": "what is held is let go at the rate of the refill"}},
		"a release that is taken off": {before: map[string]string{override: kims}, after: map[string]string{}, want: map[string]string{}},
		"a resume with its reason": {before: map[string]string{paused: kims}, after: map[string]string{resumed: order("the boss", "fixed", earlier)},
			want:  map[string]string{resumed: order("eve", "fixed", start)},
			audit: map[string]string{"by": "eve", "action": "resume", "reason": "fixed", "decision": "what waits goes as the budget allows"}},
		"a resume by hand": {before: map[string]string{paused: kims, resumed: kims}, after: map[string]string{resumed: kims},
			want:  map[string]string{resumed: order("eve", "", start)},
			audit: map[string]string{"by": "eve", "action": "resume", "reason": "", "decision": "what waits goes as the budget allows"}},
		"a resume of what no person paused": {before: map[string]string{resumed: kims}, after: map[string]string{resumed: order("the boss", "the tag is there now", start)},
			want:  map[string]string{resumed: order("eve", "the tag is there now", start)},
			audit: map[string]string{"by": "eve", "action": "resume", "reason": "the tag is there now", "decision": "what failed before does not count; what waits goes as the budget allows"}},
		"the same resume again": {before: map[string]string{resumed: kims}, after: map[string]string{resumed: order("eve", "it leaks", earlier.Add(-time.Hour))},
			want: map[string]string{resumed: kims}},
		"a resume in a pause": {before: map[string]string{paused: kims, resumed: kims}, after: map[string]string{paused: kims, resumed: order("eve", "lies", start)},
			want: map[string]string{paused: kims, resumed: kims}},
		"a resume that is taken off": {before: map[string]string{resumed: kims}, after: map[string]string{}, want: map[string]string{resumed: kims}},
		"our own writes": {user: "system:serviceaccount:pullpace-system:pacer", before: map[string]string{paused: kims}, after: map[string]string{paused: "x"},
			want: map[string]string{paused: "x"}},
		"nothing of ours": {before: map[string]string{"theirs": "a"}, after: map[string]string{"theirs": "b"}, want: map[string]string{"theirs": "b"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &orderAdmitter{clock: clocktesting.NewFakePassiveClock(start), own: ownAccounts(v1alpha1.Namespace)}
			req := admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				UserInfo: authenticationv1.UserInfo{Username: "eve"}, Object: noted(tc.after), OldObject: noted(tc.before),
			}}
			if tc.user != "" {
				req.UserInfo.Username = tc.user
			}
			resp := a.Handle(t.Context(), req)
			if !resp.Allowed {
				t.Fatalf("refused: %+v", resp.Result)
			}
			if diff := cmp.Diff(tc.audit, resp.AuditAnnotations); diff != "" {
				t.Errorf("audit (-want +got):\n%s", diff)
			}
			got, err := notesOf(patched(t, req.Object.Raw, resp))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			// A tool that applies its own version again changes nothing.
			if tc.user == "" {
				again := req
				again.OldObject.Raw = patched(t, req.Object.Raw, resp)
				second := a.Handle(t.Context(), again)
				if same, err := notesOf(patched(t, again.Object.Raw, second)); err != nil || !cmp.Equal(got, same) {
					t.Errorf("applied again (-first +second): %v\n%s", err, cmp.Diff(got, same))
				}
			}
		})
	}
}

// patched is what the API server would store.
func patched(t *testing.T, raw []byte, resp admission.Response) []byte {
	t.Helper()
	if len(resp.Patches) == 0 {
		return raw
	}
	text, err := json.Marshal(resp.Patches)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := patch.Apply(raw)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// Junk cannot keep a write from going through, nor make a mark of any size.
func TestHostileOrders(t *testing.T) {
	t.Parallel()
	a := &orderAdmitter{clock: clocktesting.NewFakePassiveClock(start), own: "own:"}
	for name, object := range map[string]runtime.RawExtension{
		"not JSON":    {Raw: []byte("{")},
		"not a map":   {Raw: []byte(`{"metadata":{"annotations":[1]}}`)},
		"very long":   noted(map[string]string{v1alpha1.AnnotationPaused: strings.Repeat("x", 200<<10)}),
		"not to read": noted(map[string]string{v1alpha1.AnnotationPaused: "\x1b[2J\u202e"}),
	} {
		resp := a.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			UserInfo: authenticationv1.UserInfo{Username: strings.Repeat("u", 10_000)}, Object: object,
		}})
		if !resp.Allowed {
			t.Errorf("%s: refused", name)
		}
		for _, op := range resp.Patches {
			if text := op.Value.(string); len(text) > 2000 {
				t.Errorf("%s: a mark of %d bytes", name, len(text))
			}
		}
	}
}
