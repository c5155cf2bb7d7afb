package registry

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pullpace/pace/test/registry/dialect"
	"github.com/pullpace/pace/test/registry/limit"
)

// Per says what a limiter keeps a count for.
type Per string

// Counts says what a limiter charges for.
type Counts string

// Answer says what a HEAD of a manifest gets when the allowance is used up.
type Answer string

// Who says whose requests a limiter judges.
type Who string

// Values of Per, Counts, Answer and Who. Zero values stand for the first of each.
const (
	PerEgressIP Per = "EgressIP"
	// PerAccount counts by account, and anonymous requests by address.
	PerAccount Per = "Account"
	// PerRegistry is one count for everybody.
	PerRegistry Per = "Registry"

	CountsPull        Counts = "Pull"
	CountsManifestGET Counts = "ManifestGET"
	// CountsManifest charges for the HEAD of a manifest as for a GET.
	CountsManifest Counts = "Manifest"
	CountsRequest  Counts = "Request"

	Allow Answer = "Allow"
	Deny  Answer = "Deny"

	Everybody         Who = "Everybody"
	OnlyAnonymous     Who = "Anonymous"
	OnlyAuthenticated Who = "Authenticated"
)

// A Limiter is a limit model and how a registry applies it.
type Limiter struct {
	limit.Spec
	Per    Per
	Counts Counts
	// For restricts the limiter to anonymous or to authenticated requests.
	For Who
	// Exempt lists accounts that the limiter does not judge: their requests get no headers from it.
	Exempt []string
	// CountsDenied charges requests that are refused.
	CountsDenied bool
	// NoHeaders keeps the limiter out of the headers.
	NoHeaders bool
	// HeadWhenEmpty says whether a HEAD of a manifest is refused when nothing is left. A HEAD is never charged,
	// except by a limiter that counts requests, or HEADs too.
	HeadWhenEmpty Answer
}

// ask is a request as a meter sees it.
type ask struct {
	id   Identity
	kind Kind
	// child: a manifest that the identity's last index made free.
	child bool
	// missing: a manifest GET that will be answered with an error by the store.
	missing bool
	// early: the request gets no further than the challenge, so only requests are counted.
	early bool
}

// units is what the request costs on a limiter.
func (l Limiter) units(a ask) int64 {
	switch {
	case l.Counts == CountsRequest:
		return 1
	case l.Counts == CountsManifest && !a.early && (a.kind == ManifestGET || a.kind == ManifestHEAD):
		return 1
	case a.kind != ManifestGET || a.early:
		return 0
	case l.Counts == CountsManifestGET:
		return 1
	case a.child || a.missing:
		return 0
	}
	return 1
}

func (l Limiter) judges(id Identity) bool {
	switch {
	case id.Account != "" && (l.For == OnlyAnonymous || slices.Contains(l.Exempt, id.Account)):
		return false
	case id.Account == "" && l.For == OnlyAuthenticated:
		return false
	}
	return true
}

func (l Limiter) key(id Identity) string {
	switch l.Per {
	case PerRegistry:
		return ""
	case PerAccount:
		return id.String()
	}
	return id.Address
}

// meter applies limiters to identities. It is not safe for concurrent use.
type meter struct {
	start    time.Time
	limiters []Limiter
	counts   []map[string]*limit.Limiter // by limiter, by key
}

func newMeter(start time.Time, limiters []Limiter) (*meter, error) {
	m := &meter{start: start}
	for i, l := range limiters {
		if err := l.Validate(); err != nil {
			return nil, fmt.Errorf("limiter %d: %w", i, err)
		}
		m.limiters = append(m.limiters, l)
		m.counts = append(m.counts, map[string]*limit.Limiter{})
	}
	return m, nil
}

// of returns the count of an identity on a limiter; every identity starts full.
func (m *meter) of(i int, id Identity) *limit.Limiter {
	key := m.limiters[i].key(id)
	l, ok := m.counts[i][key]
	if !ok {
		l, _ = limit.New(m.limiters[i].Spec, m.start) // validated by newMeter
		m.counts[i][key] = l
	}
	return l
}

// verdict is what the limiters said to a request.
type verdict struct {
	denied bool
	// charges is aligned with the limiters; nil when there are none.
	charges []int64
	// limited says that a limiter judged the request; charged and remaining are then those of the first that did.
	limited            bool
	charged, remaining int64
	// state is for the headers, nil when none apply.
	state *dialect.State
	// wait is the time until a unit is free; 0 when that is now or never.
	wait    time.Duration
	release func()
}

// look says what the headers would, and charges nothing.
func (m *meter) look(now time.Time, a ask) verdict {
	v := verdict{charges: make([]int64, len(m.limiters)), release: func() {}}
	m.finish(now, a.id, &v)
	return v
}

// judge decides on a request and charges it.
func (m *meter) judge(now time.Time, a ask) verdict {
	v := verdict{charges: make([]int64, len(m.limiters)), release: func() {}}
	for i, l := range m.limiters {
		if l.judges(a.id) && !m.allows(i, now, a) {
			v.denied = true
		}
	}
	for i, l := range m.limiters {
		if l.judges(a.id) && (!v.denied || l.CountsDenied && l.Kind != limit.Concurrency) {
			v.charges[i] = l.units(a)
			m.of(i, a.id).Charge(now, v.charges[i])
		}
	}
	if !v.denied {
		v.release = func() { m.release(a.id, v.charges) }
	}
	m.finish(now, a.id, &v)
	return v
}

func (m *meter) allows(i int, now time.Time, a ask) bool {
	l, count := m.limiters[i], m.of(i, a.id)
	if n := l.units(a); n > 0 {
		return count.Allow(now, n)
	}
	return a.early || a.kind != ManifestHEAD || l.HeadWhenEmpty != Deny || count.Remaining(now) > 0
}

// charge takes what the request costs without asking.
func (m *meter) charge(now time.Time, a ask) verdict {
	v := verdict{charges: make([]int64, len(m.limiters)), release: func() {}}
	for i, l := range m.limiters {
		if l.judges(a.id) && l.Kind != limit.Concurrency {
			v.charges[i] = l.units(a)
			m.of(i, a.id).Charge(now, v.charges[i])
		}
	}
	m.finish(now, a.id, &v)
	return v
}

// finish fills in what the log and the headers say after the request.
func (m *meter) finish(now time.Time, id Identity, v *verdict) {
	for i, l := range m.limiters {
		if !l.judges(id) {
			continue
		}
		count := m.of(i, id)
		if next, ok := count.NextFree(now); ok {
			v.wait = max(v.wait, next.Sub(now))
		}
		if !v.limited {
			v.limited, v.charged, v.remaining = true, v.charges[i], count.Remaining(now)
		}
		if l.NoHeaders || count.Unlimited() || l.Kind == limit.Concurrency {
			continue
		}
		n, window := count.Quota()
		quota := dialect.Quota{Limit: n, Window: window}
		if v.state == nil {
			v.state = &dialect.State{Quota: quota, Remaining: count.Remaining(now), Now: now, Reset: count.Reset(now),
				Source: id.String(), Denied: v.denied}
			continue
		}
		v.state.Others = append(v.state.Others, quota)
	}
}

// release gives the units of concurrency limiters back.
func (m *meter) release(id Identity, charges []int64) {
	for i := range m.limiters {
		m.of(i, id).Release(charges[i])
	}
}

// spend charges up to n units, one by one, as somebody else who uses the same identity; it returns those admitted.
func (m *meter) spend(now time.Time, id Identity, n int64) (admitted int64) {
	for range n {
		v := m.judge(now, ask{id: id, kind: ManifestGET})
		if !v.denied {
			admitted++
		}
		v.release()
	}
	return admitted
}

// remaining is what is left for an identity on limiter i.
func (m *meter) remaining(now time.Time, i int, id Identity) int64 {
	if !m.limiters[i].judges(id) {
		return math.MaxInt64
	}
	return m.of(i, id).Remaining(now)
}

// setLimit changes limiter i for all identities, and for those to come.
func (m *meter) setLimit(now time.Time, i int, n int64) {
	if m.limiters[i].Kind == limit.TokenBucket {
		m.limiters[i].Burst = n
	} else {
		m.limiters[i].Limit = n
	}
	for _, count := range m.counts[i] {
		count.SetLimit(now, n)
	}
}
