package model

import (
	"time"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/scenario"
)

// What numbers are rolled for.
const (
	rollTick uint64 = iota + 1
	rollLook
)

// dice are the numbers of an entity for a purpose. They need no state but how often
// they were rolled, so that what a million pods may roll costs nothing until they
// do.
type dice uint64

func (w *World) dice(purpose, entity uint64) dice { return dice(mix(mix(w.looks^purpose) ^ entity)) }

// roll is the n-th number, of 53 bits.
func (d dice) roll(n uint64) uint64 { return mix(uint64(d)+n) >> 11 }

// rollOne is what dice that are rolled once have, in [0, 1).
func (d dice) rollOne() float64 { return float64(d.roll(0)) / (1 << 53) }

// mix is one step of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// times draws from a distribution, at no cost if it is constant.
type times struct {
	delay    kernel.Delay
	constant bool
	value    time.Duration
}

func newTimes(d scenario.Distribution) times {
	t := times{delay: delay(d), constant: d.LogNormal == nil && d.Uniform == nil && d.Exponential == nil}
	t.value = t.delay.Mean()
	return t
}

func (t *times) draw(s *kernel.Stream) time.Duration {
	if t.constant {
		return t.value
	}
	return t.delay.Draw(s)
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
