package kernel

import (
	"math"
	"testing"
	"time"
)

// The tests of this file hold the queue of events, the streams and the link to
// what queueing theory says of them, at a million jobs. Each tolerance covers the
// spread of ten seeds at that length.
const jobs = 1_000_000

const (
	kindArrival = iota
	kindDeparture
)

// waits runs jobs through servers in order of arrival, and returns how long they
// waited on the mean. All times are in means of a service.
func waits(seed uint64, servers int, load float64, service Delay) float64 {
	streams := Streams{Seed: seed}
	arrivals, services := streams.Stream(0, "arrivals"), streams.Stream(0, "services")
	gap := Exponential(time.Duration(float64(time.Second) / load))
	var q Queue
	var waiting []Time
	var sum float64
	free, begun := servers, 0
	begin := func(now, arrived Time) {
		sum += now.Sub(arrived).Seconds()
		begun++
		q.Push(now.Add(service.Draw(&services)), kindDeparture, 0)
	}
	q.Push(0, kindArrival, 0)
	for begun < jobs {
		e, _ := q.Pop()
		switch {
		case e.Kind() == kindArrival && free > 0:
			free--
			begin(e.At, e.At)
		case e.Kind() == kindArrival:
			waiting = append(waiting, e.At)
		case len(waiting) > 0:
			begin(e.At, waiting[0])
			waiting = waiting[1:]
		default:
			free++
		}
		if e.Kind() == kindArrival {
			q.Push(e.At.Add(gap.Draw(&arrivals)), kindArrival, 0)
		}
	}
	return sum / jobs
}

// TestWaits: M/D/1 at a load of .8 waits load/2(1-load) = 2; M/M/5 at four jobs a
// service waits C/(5-4), with C = .5541 by Erlang's formula.
func TestWaits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		servers         int
		load            float64
		service         Delay
		want, tolerance float64
	}{
		"M/D/1": {1, .8, Constant(time.Second), 2, .02},
		"M/M/5": {5, 4, Exponential(time.Second), .5541, .03},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := waits(1, tc.servers, tc.load, tc.service)
			if math.Abs(got/tc.want-1) > tc.tolerance {
				t.Errorf("a job waits %.4f on the mean, want %.4f +- %v %%", got, tc.want, 100*tc.tolerance)
			}
		})
	}
}

// sojourns sends flows through a link at a load of .8 and returns how long they
// took on the mean, in times that one alone takes.
func sojourns(seed uint64, size func(*Stream) float64) float64 {
	const nodes = 16
	streams := Streams{Seed: seed}
	arrivals, sizes := streams.Stream(0, "arrivals"), streams.Stream(0, "sizes")
	gap := Exponential(time.Duration(float64(time.Second) / .8))
	l := NewLink(1e9)
	for range nodes {
		l.AddNode(1e9)
	}
	began := make([]Time, 0, jobs)
	var sum float64
	over := 0
	for next := gap.Draw(&arrivals); over < jobs; {
		if at := l.Next(); at <= Time(next) {
			ref, _ := l.Finish(at)
			sum += at.Sub(began[ref]).Seconds()
			over++
			continue
		}
		began = append(began, Time(next))
		l.Start(Time(next), arrivals.IntN(nodes), int64(1e9*size(&sizes)), len(began)-1)
		next += gap.Draw(&arrivals)
	}
	return sum / jobs
}

// TestSojourns: a shared link takes 1/(1-load) = 5 times as long whatever the
// distribution of sizes is, which a link that favours some flows does not. The
// last sizes have a squared coefficient of variation of ten.
func TestSojourns(t *testing.T) {
	t.Parallel()
	exponential := func(s *Stream) float64 { return Exponential(time.Second).Draw(s).Seconds() }
	often := (1 + math.Sqrt(9./11)) / 2
	tests := map[string]struct {
		size      func(*Stream) float64
		tolerance float64
	}{
		"all alike":   {func(*Stream) float64 { return 1 }, .02},
		"exponential": {exponential, .02},
		"mixed": {func(s *Stream) float64 {
			if s.Float() < often {
				return exponential(s) / (2 * often)
			}
			return exponential(s) / (2 * (1 - often))
		}, .04},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := sojourns(1, tc.size); math.Abs(got/5-1) > tc.tolerance {
				t.Errorf("a flow takes %.4f times as long as alone, want 5 +- %v %%", got, 100*tc.tolerance)
			}
		})
	}
}
