package model

import (
	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// What numbers are rolled for.
const (
	rollTick uint64 = iota + 1
	rollLook
)

// roll is a number in [0, 1) that belongs to an entity, a purpose and how often it
// was rolled before. It needs no state, so that what a million pods may roll costs
// nothing until they do.
func (w *World) roll(purpose, entity, n uint64) float64 {
	return float64(mix(mix(mix(w.looks^purpose)^entity)+n)>>11) / (1 << 53)
}

// mix is one step of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// delay is a distribution of a scenario.
func delay(d scenario.Distribution) kernel.Delay {
	switch {
	case d.Constant != nil:
		return kernel.Constant(*d.Constant)
	case d.LogNormal != nil:
		return kernel.LogNormal(d.LogNormal.P50, d.LogNormal.P99)
	case d.Uniform != nil:
		return kernel.Uniform(d.Uniform.Min, d.Uniform.Max)
	case d.Exponential != nil:
		return kernel.Exponential(d.Exponential.Mean)
	}
	return kernel.Delay{}
}
