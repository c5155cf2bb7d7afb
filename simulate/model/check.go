package model

import "github.com/pullpace/pace/simulate/kernel"

// checker looks at a world before and after each event and stops the run at the
// first thing that cannot be. Only tests switch it on.
type checker struct{}

func (c *checker) before(w *World, at kernel.Time) {}
func (c *checker) after(w *World)                  {}
