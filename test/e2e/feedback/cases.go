//go:build linux

package feedback

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// builder makes cases on one lab.
type builder struct{ lab *stage.Lab }

// scene is a stage and what was seen there.
type scene struct {
	*stage.Stage
	witness *stage.Witness
}

// play is what a case does on its stage.
type play func(ctx context.Context, s *scene, r *suite.Report) error

// on is a case with a stage of its own. What kubelets said there of pulls that failed is
// kept, whatever becomes of the case.
func (b builder) on(name string, o stage.Options, p play) suite.Case {
	c := stage.Case(name, o, func(ctx context.Context, s *stage.Stage, r *suite.Report) error {
		w, err := s.Witness(ctx)
		if err != nil {
			return err
		}
		err = p(ctx, &scene{s, w}, r)
		return all(err, record(context.WithoutCancel(ctx), s, w))
	}, func(context.Context) (*stage.Lab, error) { return b.lab, nil })
	c.Patience = patience
	return c
}

// patience is the time limit of a case: outages take a minute or two of it, the kubelets'
// ladder up to five, and all the rest many times as long on a busy machine.
const patience = 10 * time.Minute

// Cases are those of the suite. Those that take longest come first.
func Cases(lab *stage.Lab) []suite.Case {
	b := builder{lab}
	hasty := stage.Options{Breaker: hastyBreaker()}
	login := stage.Options{Login: true, Strict: true, Breaker: hastyBreaker()}
	revoked := login
	revoked.PullSecrets = []string{spare}
	return append([]suite.Case{
		b.on("throttle-mid-rollout", stage.Options{}, throttledMidRollout),
		b.on("registry-down-40s", hasty, registryDown),
		b.on("denies-for-ever", stage.Options{Breaker: hastyBreaker(), Policy: boundedHolds()}, deniesForEver),
		b.on("revoked-secret", revoked, revokedSecret),
		b.on("token-throttled", login, tokenThrottled),
		b.on("head-only-429", hasty, headsThrottled),
		b.on("bad-tag", stage.Options{}, badTag),
		b.on("dns-one-node", stage.Options{}, dnsOfOneNode),
		b.on("resume-override", stage.Options{}, resumeOverride),
		b.on("recreated", stage.Options{}, recreated),
		{Name: "decided-again", Alone: true, Run: b.decidedAgain},
	}, doctorCases(b)...)
}

// decidedAgain has what the controller decided in all cases before decided again by
// another process: pauses, tries and their draws too.
func (b builder) decidedAgain(ctx context.Context, r *suite.Report) error {
	replay, err := b.lab.Replayed(ctx)
	r.Note("decisions", replay.Decisions)
	return err
}

// hastyBreaker tries again sooner than the default does, so that a case ends in its
// time where nothing says when to come back.
func hastyBreaker() *v1alpha1.Breaker {
	return &v1alpha1.Breaker{Base: &metav1.Duration{Duration: 5 * time.Second}, Max: &metav1.Duration{Duration: 10 * time.Second}}
}

// all joins what was found wrong.
func all(errs ...error) error { return errors.Join(errs...) }
