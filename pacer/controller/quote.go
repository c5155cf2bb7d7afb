package controller

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// The bounds of what dry runs can make a replica remember and ask: whoever may
// create pods may make up images.
const (
	maxQuoted   = 4096
	maxAsked    = 64
	quoteRetry  = time.Minute
	quotePerSec = 5
)

// quoter tells what images are made of, on every replica, for prices. It answers from memory; what is not there is looked up behind the answer,
// by one free HEAD. It is safe for concurrent use.
type quoter struct {
	open   func(ctx context.Context, budget *v1alpha1.PullBudget) (asker, error)
	reader client.Reader
	now    func() time.Time
	asked  chan kube.Budgeted

	mu    sync.Mutex
	known map[core.Image]shape
}

// shape is what an image is made of; 0 manifests: the last look failed or is not
// over.
type shape struct {
	manifests int
	asked     time.Time
}

func newQuoter(open func(context.Context, *v1alpha1.PullBudget) (asker, error), reader client.Reader, now func() time.Time) *quoter {
	return &quoter{open: open, reader: reader, now: now, asked: make(chan kube.Budgeted, maxAsked), known: map[core.Image]shape{}}
}

// NeedLeaderElection says that every replica quotes.
func (q *quoter) NeedLeaderElection() bool { return false }

// Start looks images up until ctx ends. It implements manager.Runnable.
func (q *quoter) Start(ctx context.Context) error {
	pace := rate.NewLimiter(quotePerSec, quotePerSec)
	for {
		select {
		case <-ctx.Done():
			return nil
		case image := <-q.asked:
			if pace.Wait(ctx) != nil {
				return nil
			}
			q.look(ctx, image)
		}
	}
}

func (q *quoter) look(ctx context.Context, image kube.Budgeted) {
	var budget v1alpha1.PullBudget
	if err := q.reader.Get(ctx, client.ObjectKey{Name: image.Budget}, &budget); err != nil || budget.ProbesCharged() {
		return
	}
	asker, err := q.open(ctx, &budget)
	if err == nil {
		var manifests int
		if manifests, _, err = asker.Shape(ctx, string(image.Image)); err == nil {
			q.remember(image.Image, manifests)
			return
		}
	}
	log.FromContext(ctx).V(1).Info("image not looked at", "image", image.Image, "cause", err.Error())
}

func (q *quoter) remember(image core.Image, manifests int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.known) >= maxQuoted {
		clear(q.known) // rare, and only costs another look
	}
	q.known[image] = shape{manifests: manifests, asked: q.now()}
}

// manifests answers from memory and has looked up what is not there; 0: not known.
func (q *quoter) manifests(image kube.Budgeted) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	s, ok := q.known[image.Image]
	if s.manifests > 0 || ok && q.now().Sub(s.asked) < quoteRetry {
		return s.manifests
	}
	select {
	case q.asked <- image:
		if len(q.known) < maxQuoted {
			q.known[image.Image] = shape{asked: q.now()}
		}
	default: // many are asked for; the next answer tries again
	}
	return 0
}
