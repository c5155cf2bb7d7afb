package heartbeat

import (
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// A heartbeat younger than Fresh is a sign of life; one older than Gone says that
// nobody will come back by itself. In between nothing new is held, and what is held
// waits.
const (
	Fresh = 30 * time.Second
	Gone  = 2 * time.Minute
)

// doubt is how long a reader must have looked on before it believes the time in a
// Lease that it has not seen change: a living writer renews several times in it.
const doubt = 20 * time.Second

// Watch ages one Lease. It must be shown the Lease often, at least every few
// seconds, and told of times that carry a monotonic reading, as those of time.Now
// do. It is safe for concurrent use.
type Watch struct {
	mu sync.Mutex
	// renewed is the time in the Lease; known says that there is one.
	renewed time.Time
	known   bool
	// since is when renewed was seen first, looked when the Lease was looked at last.
	since, looked time.Time
	// witnessed says that the Lease was seen to change while it was watched.
	witnessed bool
}

// See shows the Lease as it is at now; nil: there is none.
func (w *Watch) See(lease *coordinationv1.Lease, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	attended := !w.since.IsZero() && now.Sub(w.looked) < doubt
	w.looked = now
	known := lease != nil && lease.Spec.RenewTime != nil
	var renewed time.Time
	if known {
		renewed = lease.Spec.RenewTime.Time
	}
	if attended && known == w.known && renewed.Equal(w.renewed) {
		return
	}
	// After a pause of the reader it cannot tell when a change was made, nor blame a
	// writer that may have been cut off likewise.
	w.witnessed = attended && known
	w.renewed, w.known, w.since = renewed, known, now
}

// Fresh reports whether work was done a short while ago. In doubt it was not.
func (w *Watch) Fresh(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known {
		return false
	}
	age := now.Sub(w.since)
	if !w.witnessed {
		age = max(age, now.Sub(w.renewed))
	}
	return age < Fresh
}

// Gone reports whether no work was done for so long that nobody is at work any
// more, and since when. In doubt somebody is.
func (w *Watch) Gone(now time.Time) (since time.Time, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() {
		return time.Time{}, false
	}
	watched := now.Sub(w.since)
	silent := watched
	if w.known && !w.witnessed && watched >= doubt {
		silent = max(silent, now.Sub(w.renewed))
	}
	return now.Add(-silent), silent >= Gone
}
