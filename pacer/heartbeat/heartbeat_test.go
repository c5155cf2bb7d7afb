package heartbeat

import (
	"context"
	"errors"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// start is when every test begins by the reader's clock.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// renewed is a Lease that says it was renewed at a time after start.
func renewed(after time.Duration) *coordinationv1.Lease {
	return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: new(metav1.NewMicroTime(start.Add(after)))}}
}

// look is one look at the Lease.
type look struct {
	at    time.Duration
	lease *coordinationv1.Lease
}

// every looks at the same Lease every second.
func every(from, to time.Duration, lease *coordinationv1.Lease) []look {
	var out []look
	for at := from; at <= to; at += time.Second {
		out = append(out, look{at, lease})
	}
	return out
}

// beating looks at a Lease that a clock of the given skew renews every 5 s.
func beating(from, to, skew time.Duration) []look {
	var out []look
	for at := from; at <= to; at += time.Second {
		out = append(out, look{at, renewed(at - at%(5*time.Second) + skew)})
	}
	return out
}

func TestWatch(t *testing.T) {
	t.Parallel()
	const s = time.Second
	cases := map[string]struct {
		looks     []look
		at        time.Duration
		wantFresh bool
		// wantGone is since when nobody is at work; zero: somebody may be.
		wantGone time.Duration
	}{
		"never looked":                                {at: time.Hour},
		"no lease":                                    {looks: every(0, 60*s, nil), at: 60 * s},
		"no lease for long":                           {looks: every(10*s, 135*s, nil), at: 135 * s, wantGone: 10 * s},
		"renewed lately, first sight":                 {looks: []look{{0, renewed(-10 * s)}}, at: s, wantFresh: true},
		"renewed long ago, first sight":               {looks: []look{{0, renewed(-time.Hour)}}, at: s},
		"renewed long ago, watched":                   {looks: every(0, 20*s, renewed(-time.Hour)), at: 20 * s, wantGone: -time.Hour},
		"a restarted reader does not count from zero": {looks: every(0, 25*s, renewed(-100*s)), at: 25 * s, wantGone: -100 * s},
		"beats":                            {looks: beating(0, 300*s, 0), at: 301 * s, wantFresh: true},
		"beats by a clock that is late":    {looks: beating(0, 300*s, -time.Hour), at: 301 * s, wantFresh: true},
		"beats by a clock that is early":   {looks: beating(0, 300*s, time.Hour), at: 301 * s, wantFresh: true},
		"late clock, not seen to beat yet": {looks: beating(0, 3*s, -time.Hour), at: 4 * s},
		"stops":                            {looks: append(beating(0, 10*s, 0), every(11*s, 45*s, renewed(10*s))...), at: 45 * s},
		"stops by a clock that is early":   {looks: append(beating(0, 10*s, time.Hour), every(11*s, 45*s, renewed(time.Hour+10*s))...), at: 45 * s},
		"stops by a clock that is late, but not for long": {looks: append(beating(0, 10*s, -time.Hour), every(11*s, 100*s, renewed(10*s-time.Hour))...), at: 100 * s},
		"stops for long by a clock that is early":         {looks: append(beating(0, 10*s, time.Hour), every(11*s, 131*s, renewed(time.Hour+10*s))...), at: 131 * s, wantGone: 10 * s},
		"the reader was cut off as long":                  {looks: append(beating(0, 10*s, 0), look{400 * s, renewed(10 * s)}), at: 401 * s},
		"a beat while the reader was cut off":             {looks: append(beating(0, 10*s, 0), look{400 * s, renewed(100 * s)}), at: 401 * s},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var w Watch
			for _, l := range tc.looks {
				w.See(l.lease, start.Add(l.at))
			}
			now := start.Add(tc.at)
			if got := w.Fresh(now); got != tc.wantFresh {
				t.Errorf("fresh %v, want %v", got, tc.wantFresh)
			}
			since, gone := w.Gone(now)
			if gone != (tc.wantGone != 0) {
				t.Fatalf("gone %v since %v, want since %v", gone, since.Sub(start), tc.wantGone)
			}
			if gone && !since.Equal(start.Add(tc.wantGone)) {
				t.Errorf("gone since %v, want %v", since.Sub(start), tc.wantGone)
			}
		})
	}
}

func TestAWriterRenewsAndStartsAgainAfterAnError(t *testing.T) {
	t.Parallel()
	refuse := false
	c := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(interceptor.Funcs{
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if refuse {
				return errors.New("no")
			}
			return c.Update(ctx, o, opts...)
		},
	}).Build()
	key := client.ObjectKey{Namespace: "pace", Name: "beat"}
	w := Writer{Client: c, Live: c, Lease: key, Identity: "me", Version: "v0.3.0"}
	var got coordinationv1.Lease
	beat := func(at, want time.Duration) {
		t.Helper()
		if err := w.Beat(t.Context(), start.Add(at)); (err != nil) != refuse {
			t.Fatalf("beat: %v", err)
		}
		if err := c.Get(t.Context(), key, &got); err != nil {
			t.Fatal(err)
		}
		if at := got.Spec.RenewTime.Sub(start); at != want || *got.Spec.HolderIdentity != "me" || got.Annotations[v1alpha1.AnnotationVersion] != "v0.3.0" {
			t.Errorf("renewed by %s with %v at %v, want %v", *got.Spec.HolderIdentity, got.Annotations, at, want)
		}
	}
	beat(0, 0)
	beat(time.Second, 0) // too soon to be worth a write
	beat(5*time.Second, 5*time.Second)
	refuse = true
	beat(10*time.Second, 5*time.Second)
	refuse = false
	// Somebody else wrote meanwhile; what is remembered must be read again.
	got.Labels = map[string]string{"a": "b"}
	if err := c.Update(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	beat(11*time.Second, 11*time.Second)
	beat(-time.Hour, -time.Hour) // the clock was set back
}
