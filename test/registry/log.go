package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Entry is one request. It is in the log before the first byte of its answer is sent.
type Entry struct {
	// Time is when the request arrived, by the server's clock.
	Time time.Time
	// Host is the name of the virtual host, or the name that the request used where there is none.
	Host     string
	Identity Identity
	// Remote is the source as it was seen, with its port.
	Remote          string
	Method, Path    string
	Kind            Kind
	Repo, Reference string
	// Status is what was answered; 0 for a request that was reset or left without an answer.
	Status int
	// Limited says that a limiter judged the request. Charged (units) and Remaining (after the request) are then
	// those of the first that did; Charges are those of all limiters of the host, in their order.
	Limited            bool
	Charged, Remaining int64
	Charges            []int64
	// Denied says that a limiter refused the request, whatever status tells so.
	Denied bool
	// Fault is the name of the fault that answered or delayed the request or changed its headers.
	Fault     string
	UserAgent string
}

// String is one line for test failures.
func (e Entry) String() string {
	return fmt.Sprintf("%s %s %s %s %s %d charged=%d remaining=%d denied=%t fault=%q agent=%q",
		e.Time.Format(time.RFC3339Nano), e.Identity, e.Host, e.Method, e.Path, e.Status, e.Charged, e.Remaining, e.Denied, e.Fault, e.UserAgent)
}

// Throttled says whether the request was refused by a limiter or answered 429.
func (e Entry) Throttled() bool { return e.Denied || e.Status == http.StatusTooManyRequests }

// A Filter selects entries. Its zero value selects all; all fields that are set must match.
type Filter struct {
	Host, Address, Account string
	// Anonymous selects requests without an account.
	Anonymous          bool
	Kind               Kind
	Method             string
	Repo, Reference    string
	Status             int
	Fault              string
	UserAgent          string // a part of it
	NotBefore          time.Time
	Throttled, Charged bool
	// Where is any further condition.
	Where func(Entry) bool
}

// Match says whether the filter selects the entry.
func (f Filter) Match(e Entry) bool {
	equal := func(want, got string) bool { return want == "" || want == got }
	return equal(f.Host, e.Host) && equal(f.Address, e.Identity.Address) && equal(f.Account, e.Identity.Account) &&
		(!f.Anonymous || e.Identity.Account == "") &&
		equal(string(f.Kind), string(e.Kind)) && equal(f.Method, e.Method) && equal(f.Repo, e.Repo) && equal(f.Reference, e.Reference) &&
		(f.Status == 0 || f.Status == e.Status) && equal(f.Fault, e.Fault) && strings.Contains(e.UserAgent, f.UserAgent) &&
		!e.Time.Before(f.NotBefore) && (!f.Throttled || e.Throttled()) && (!f.Charged || e.Charged > 0) &&
		(f.Where == nil || f.Where(e))
}

// A Log holds every request of a server in the order in which they were answered. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	entries []Entry
	grown   chan struct{} // closed and replaced when an entry is added
}

func newLog() *Log { return &Log{grown: make(chan struct{})} }

func (l *Log) add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	close(l.grown)
	l.grown = make(chan struct{})
}

// Entries returns a copy of the entries that match.
func (l *Log) Entries(f Filter) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Entry
	for _, e := range l.entries {
		if f.Match(e) {
			out = append(out, e)
		}
	}
	return out
}

// Count is the number of entries that match.
func (l *Log) Count(f Filter) int { return len(l.Entries(f)) }

// Throttled is the number of entries that match and were throttled.
func (l *Log) Throttled(f Filter) int {
	f.Throttled = true
	return l.Count(f)
}

// Charged is the sum of the units of the entries that match.
func (l *Log) Charged(f Filter) (units int64) {
	for _, e := range l.Entries(f) {
		units += e.Charged
	}
	return units
}

// Busiest is the most that entries were charged within any span as long as the window, and when it ended. They come
// in the order of time.
func Busiest(entries []Entry, window time.Duration) (most int64, at time.Time) {
	var sum int64
	first := 0
	for _, e := range entries {
		sum += e.Charged
		for !entries[first].Time.After(e.Time.Add(-window)) {
			sum -= entries[first].Charged
			first++
		}
		if sum > most {
			most, at = sum, e.Time
		}
	}
	return most, at
}

// FirstCharged is the first manifest GET that matches and was charged.
func (l *Log) FirstCharged(f Filter) (Entry, bool) {
	es := l.chargedGETs(f)
	if len(es) == 0 {
		return Entry{}, false
	}
	return es[0], true
}

// LastCharged is the last manifest GET that matches and was charged.
func (l *Log) LastCharged(f Filter) (Entry, bool) {
	es := l.chargedGETs(f)
	if len(es) == 0 {
		return Entry{}, false
	}
	return es[len(es)-1], true
}

func (l *Log) chargedGETs(f Filter) []Entry {
	f.Kind, f.Charged = ManifestGET, true
	return l.Entries(f)
}

// A Tally sums up one identity's requests.
type Tally struct {
	Identity            Identity
	Requests, Throttled int
	Charged             int64
}

// ByIdentity sums up the entries that match, in order of account, then address.
func (l *Log) ByIdentity(f Filter) []Tally {
	sums := map[Identity]*Tally{}
	for _, e := range l.Entries(f) {
		t, ok := sums[e.Identity]
		if !ok {
			t = &Tally{Identity: e.Identity}
			sums[e.Identity] = t
		}
		t.Requests++
		t.Charged += e.Charged
		if e.Throttled() {
			t.Throttled++
		}
	}
	var out []Tally
	for _, t := range sums {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Tally) int {
		if c := strings.Compare(a.Identity.Account, b.Identity.Account); c != 0 {
			return c
		}
		return strings.Compare(a.Identity.Address, b.Identity.Address)
	})
	return out
}

// Wait returns the matching entries as soon as there are n, those already logged included; the error is that of the context.
func (l *Log) Wait(ctx context.Context, n int, f Filter) ([]Entry, error) {
	var found []Entry
	for seen := 0; ; {
		l.mu.Lock()
		fresh, grown := slices.Clone(l.entries[min(seen, len(l.entries)):]), l.grown
		seen = len(l.entries)
		l.mu.Unlock()
		for _, e := range fresh {
			if f.Match(e) {
				found = append(found, e)
			}
		}
		if len(found) >= n {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return found, fmt.Errorf("waiting for %d log entries, have %d: %w", n, len(found), context.Cause(ctx))
		case <-grown:
		}
	}
}
