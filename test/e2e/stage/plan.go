//go:build linux

package stage

import (
	"context"

	"github.com/pullpace/pace/test/e2e/suite"
)

// Plan is a suite as it stands on a lab.
type Plan struct {
	Cases []suite.Case
	// Machines are how many nodes there are; 0: Nodes.
	Machines int
	// Ready starts what the cases need beside the product, before that is installed; nil:
	// nothing. What it starts ends with its context.
	Ready func(ctx context.Context) error
	// Installed changes what is installed before the first case; nil: nothing.
	Installed func(ctx context.Context) error
	// Flags are further ones of the installation.
	Flags []string
	// Measures says that cases measure how long things take: the machine gives nobody time
	// before others.
	Measures bool
}

// Plain is the plan of a suite that needs nothing but a lab with the product.
func Plain(cases func(*Lab) []suite.Case) func(*Lab) Plan {
	return func(l *Lab) Plan { return Plan{Cases: cases(l)} }
}
