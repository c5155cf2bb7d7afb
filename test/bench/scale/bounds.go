//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"
)

// The bounds that are kept on a machine that does nothing else.
const (
	mostTurn      = 1000. // ms at p99
	mostWebhook   = 10.   // ms at p99
	mostMemory    = 600.  // MB, of a replica
	leastReleases = 100.  // a second
)

// bounds are those that were missed.
type bounds struct{ missed []string }

func (b *bounds) atMost(what string, got, most float64) {
	if !(got <= most) {
		b.missed = append(b.missed, fmt.Sprintf("%s is %.3g, %.3g is the most", what, got, most))
	}
}

func (b *bounds) atLeast(what string, got, least float64) {
	if !(got >= least) {
		b.missed = append(b.missed, fmt.Sprintf("%s is %.3g, %.3g is the least", what, got, least))
	}
}

// err says which bounds were missed.
func (b *bounds) err() error {
	if len(b.missed) == 0 {
		return nil
	}
	return errors.New(strings.Join(b.missed, "; "))
}
