package policy

import (
	"fmt"

	"github.com/pullpace/pace/simulate/kernel"
	"github.com/pullpace/pace/simulate/limiter"
	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/scenario"
)

// rated lets pods go at a rate. Where a pod lands is not known before, so each is
// taken for a cold pull, and what it took is given back if its node has it all.
type rated struct {
	seat
	bucket *limiter.Limiter
	world  *model.World
	line   line
	went   []bool // by pod: its unit is taken and may come back
	due    kernel.Time
}

func newRated(of seat, s *scenario.StaticRate) (*rated, error) {
	bucket, err := limiter.New(limiter.Config{Type: limiter.TokenBucket, Limit: max(s.Burst, 1), Refill: s.Rate.Units, Every: s.Rate.Every})
	if err != nil {
		return nil, fmt.Errorf("making a static rate: %w", err)
	}
	return &rated{seat: of, bucket: bucket, due: kernel.Never}, nil
}

func (r *rated) Begin(w *model.World) { r.world = w }

func (r *rated) Gate(id model.PodID) bool {
	r.went = grown(r.went, int(id))
	r.line.push(id)
	r.wake(kernel.Time(r.world.Now()))
	return true
}

func (r *rated) Observe(e model.Event) {
	switch e.Kind {
	case model.PodBound:
		if !r.took(e.Pod) {
			return
		}
		r.went[e.Pod] = false
		if warm(r.world, e.Pod, e.Node) {
			r.bucket.Charge(kernel.Time(r.world.Now()), -1)
		}
	case model.TimerFired:
		r.due = kernel.Never
	default:
		return
	}
	r.admit()
}

func (r *rated) Answer(model.Reading) {}

func (r *rated) took(id model.PodID) bool {
	return id != model.None && int(id) < len(r.went) && r.went[id]
}

// admit lets go what the rate allows, and wakes for the rest.
func (r *rated) admit() {
	now := kernel.Time(r.world.Now())
	for {
		id := r.line.first(r.world)
		if id == model.None {
			return
		}
		if !r.bucket.Allows(now, 1) {
			r.wake(r.bucket.Next(now, 1))
			return
		}
		r.bucket.Charge(now, 1)
		r.line.pop()
		r.went[id] = true
		r.world.Release(id, nil)
	}
}

func (r *rated) wake(at kernel.Time) {
	if at < r.due {
		r.due = at
		r.world.SetTimer(at.Sub(0), r.timerRef(0))
	}
}
