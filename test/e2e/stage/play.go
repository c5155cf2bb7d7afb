//go:build linux

package stage

import (
	"context"
	"time"

	"github.com/pullpace/pace/test/e2e/suite"
)

// Play is what a case does on its stage.
type Play func(ctx context.Context, s *Stage, r *suite.Report) error

// Case is a case with a stage of its own, which bears its name, on a lab.
func Case(name string, o Options, p Play, lab func(context.Context) (*Lab, error)) suite.Case {
	return suite.Case{
		Name: name,
		Run: func(ctx context.Context, r *suite.Report) error {
			l, err := lab(ctx)
			if err != nil {
				return err
			}
			s, err := l.New(ctx, name, o)
			if err != nil {
				return err
			}
			err = p(ctx, s, r)
			r.Note("pulls", s.Charges(""))
			r.Note("429", s.Throttled(time.Time{}))
			if err != nil {
				return err // the stage is left as it is, to be inspected
			}
			return s.Clear(ctx)
		},
		Inspect: func(ctx context.Context, _ error) string {
			l, err := lab(ctx)
			if err != nil {
				return ""
			}
			return l.Evidence(ctx, name)
		},
	}
}
