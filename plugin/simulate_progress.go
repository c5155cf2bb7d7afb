package plugin

import (
	"fmt"
	"sync"
	"time"

	"github.com/pullpace/pace/plugin/view"
)

// progressEvery is how often a run that lasts says how far it is.
const progressEvery = 2 * time.Second

// enoughToTell is how many runs must be done before it is said how long the others
// will take: a few may all be of the policy that is simulated fastest.
const enoughToTell = 10

// progress tells on Err how far simulated runs are, once they last.
type progress struct {
	mu          sync.Mutex
	ended, runs int
	end         chan struct{}
	gone        sync.WaitGroup
}

// progress starts telling; stop ends it.
func (s *session) progress(name string) *progress {
	p := &progress{end: make(chan struct{})}
	tick, stop := s.env.Tick(progressEvery)
	began := s.env.Now()
	p.gone.Go(func() {
		defer stop()
		for {
			select {
			case <-tick:
				fmt.Fprintln(s.env.Err, view.Clean(name+": "+p.text(s.env.Now().Sub(began))))
			case <-p.end:
				return
			}
		}
	})
	return p
}

func (p *progress) text(since time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf("running for %s", since.Round(time.Second))
	if p.ended > 0 {
		text += fmt.Sprintf(", %d of %d runs done", p.ended, p.runs)
	}
	if p.ended >= enoughToTell {
		left := since * time.Duration(p.runs-p.ended) / time.Duration(p.ended)
		text += fmt.Sprintf(", about %s to go", left.Round(time.Second))
	}
	return text
}

// done is told of every run that ends.
func (p *progress) done(ended, runs int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended, p.runs = ended, runs
}

func (p *progress) stop() {
	close(p.end)
	p.gone.Wait()
}
