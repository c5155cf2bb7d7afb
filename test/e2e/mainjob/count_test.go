//go:build linux

package mainjob

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/registry"
)

// at is a time of a test.
func at(seconds int) time.Time { return time.Date(2026, 3, 2, 14, 0, seconds, 0, time.UTC) }

// goes are releases of an app at seconds.
func goes(app, reason string, seconds ...int) (out []stage.Release) {
	for _, s := range seconds {
		out = append(out, stage.Release{App: app, Reason: reason, At: at(s)})
	}
	return out
}

func TestUnderWayCountsWhatWasLetGoAndNotServed(t *testing.T) {
	t.Parallel()
	releases := goes("a", "Budget", 1, 1, 12, 13, 30)
	tests := map[string]struct {
		charged   []int
		known, at int
		want      int
	}{
		"nothing served":                   {known: 12, at: 12, want: 3},
		"the first two served":             {charged: []int{2, 3}, known: 12, at: 12, want: 1},
		"let go before it could be known":  {charged: []int{2, 3}, known: 14, at: 12, want: 2},
		"served after the fault":           {charged: []int{2, 3, 13}, known: 14, at: 12, want: 2},
		"all that was let go was served":   {charged: []int{2, 3}, known: 5, at: 5, want: 0},
		"a later release is not under way": {charged: []int{2, 3, 12, 13}, known: 20, at: 20, want: 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var charged []registry.Entry
			for _, s := range tc.charged {
				charged = append(charged, registry.Entry{Time: at(s)})
			}
			if got := underWay(releases, charged, at(tc.known), at(tc.at)); got != tc.want {
				t.Errorf("%d under way, want %d", got, tc.want)
			}
		})
	}
}

func TestEvenComplainsOfALead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		releases []stage.Release
		wantErr  bool
	}{
		"by turns":                       {releases: append(goes("a", "Budget", 1, 2), goes("b", "Budget", 1, 2)...)},
		"two in one decision for each":   {releases: append(goes("a", "Budget", 1, 1), goes("b", "Budget", 1, 1)...)},
		"one ahead":                      {releases: append(goes("a", "Budget", 1), goes("b", "Budget", 2)...)},
		"two ahead":                      {releases: append(goes("a", "Budget", 1, 1), goes("b", "Budget", 2, 2)...), wantErr: true},
		"more, when the other has ended": {releases: append(goes("b", "Budget", 1), goes("a", "Budget", 1, 2, 3)...)},
		"only one was held":              {releases: goes("a", "Budget", 1), wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slices.SortStableFunc(tc.releases, func(a, b stage.Release) int { return a.At.Compare(b.At) })
			if err := even(tc.releases, "a", "b"); (err != nil) != tc.wantErr {
				t.Errorf("error %v, want one: %t", err, tc.wantErr)
			}
		})
	}
}

func TestWentFirstComplainsOfWhoeverCameBefore(t *testing.T) {
	t.Parallel()
	back := goes("cold", "Rollback", 10, 10, 10, 11)
	tests := map[string]struct {
		releases []stage.Release
		wantErr  bool
	}{
		"first":                 {releases: append(goes("app", "Budget", 1, 2), append(back, goes("app", "Budget", 20)...)...)},
		"in the same decision":  {releases: append(goes("app", "Budget", 11), back...)},
		"another between":       {releases: append(goes("app", "Budget", 10), back...), wantErr: true},
		"not all of them":       {releases: back[:3], wantErr: true},
		"let go for the budget": {releases: goes("cold", "Budget", 10, 10, 10, 11), wantErr: true},
		"never held":            {wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := wentFirst(tc.releases, "cold", at(9)); (err != nil) != tc.wantErr {
				t.Errorf("error %v, want one: %t", err, tc.wantErr)
			}
		})
	}
}

func TestKeepsTermsComplainsOfALostTerm(t *testing.T) {
	t.Parallel()
	mine := preferences()
	pod := func(terms ...corev1.PreferredSchedulingTerm) corev1.Pod {
		return corev1.Pod{Spec: corev1.PodSpec{Affinity: &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: terms}}}}
	}
	tests := map[string]struct {
		pod     corev1.Pod
		wantErr bool
	}{
		"as they were":   {pod: pod(mine...)},
		"ours behind":    {pod: pod(mine[0], mine[1], corev1.PreferredSchedulingTerm{Weight: 100})},
		"ours in front":  {pod: pod(corev1.PreferredSchedulingTerm{Weight: 100}, mine[0], mine[1]), wantErr: true},
		"one lost":       {pod: pod(mine[0]), wantErr: true},
		"affinity lost":  {pod: corev1.Pod{}, wantErr: true},
		"order reversed": {pod: pod(mine[1], mine[0]), wantErr: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := keepsTerms([]corev1.Pod{tc.pod}, mine); (err != nil) != tc.wantErr {
				t.Errorf("error %v, want one: %t", err, tc.wantErr)
			}
		})
	}
}
