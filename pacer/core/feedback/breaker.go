package feedback

import "time"

// okAfter is how many pulls in a row must succeed before a breaker closes.
const okAfter = 3

// longest is the most that a state somebody wrote can make it wait.
const longest = 24 * time.Hour

// quietFor is how long a breaker tries one while nothing fails before it closes by
// itself: nobody may want anything of it, and a kubelet that does asks again after 5 min
// at most.
const quietFor = 10 * time.Minute

// soonest is the least back-off: full jitter could make it next to nothing.
const soonest = time.Second

// The defaults of Settings and Threshold, and so of the fields of the API.
const (
	DefaultFailurePercent = 20
	DefaultResumeBelow    = 5
	DefaultMinPods        = 5
	DefaultWindow         = 2 * time.Minute
	DefaultBase           = 30 * time.Second
	DefaultMax            = 30 * time.Minute
)

// Breaker stops releases while pulls fail. It opens (Paused), lets one release at a
// time pass when its back-off is over and a free HEAD was answered (Trying), and
// closes (OK) after some pulls in a row that succeeded. The zero value is closed. It
// knows no clock and no lots: both are arguments.
type Breaker struct {
	Kept
	// failedAt is when the last failure was seen that counted against it.
	failedAt time.Time
	// heard is when the last HEAD was sent that was answered as it should be; one that
	// was refused since clears it.
	heard time.Time
	// told is when the failing side asked us to come back; the back-off can be waived,
	// this cannot.
	told time.Time
}

// Wait is how long a breaker stays open at least.
type Wait struct {
	// Told is what the registry asked for.
	Told time.Duration
	// Readable says that a reading will tell when there are units again, so that the
	// first time nothing else is waited for.
	Readable bool
	// Base and Max bound the back-off; Lot in [0, 1) draws from it.
	Base, Max time.Duration
	Lot       float64
}

// WithDefaults are the settings with what is not set filled in.
func (s Settings) WithDefaults() Settings {
	if s.FailurePercent <= 0 {
		s.FailurePercent = DefaultFailurePercent
	}
	if s.Max <= 0 {
		s.Max = DefaultMax
	}
	if s.Base <= 0 {
		s.Base = min(DefaultBase, s.Max)
	}
	return s
}

// WithDefaults is the threshold with what is not set filled in.
func (t Threshold) WithDefaults() Threshold {
	if t.FailurePercent <= 0 {
		t.FailurePercent, t.ResumeBelow = DefaultFailurePercent, DefaultResumeBelow
	}
	if t.MinPods <= 0 {
		t.MinPods = DefaultMinPods
	}
	if t.Window <= 0 {
		t.Window = DefaultWindow
	}
	return t
}

// Closed reports whether everything may pass.
func (b *Breaker) Closed() bool { return b.State == "" || b.State == OK }

// Open opens a closed breaker at a failure, or takes in another failure of an open one:
// of pods that went before. Nothing is tried then until another HEAD was answered.
func (b *Breaker) Open(at time.Time, c Cause, w Wait) {
	again := !b.Closed()
	if !again {
		b.Cause, b.Failed = c, 0
		b.Opened++
	}
	if b.Closed() || b.State == Trying && w.Told > 0 {
		b.State, b.Since = Paused, at
	}
	b.fail(at, w.Told)
	if !again && !(w.Readable && c.Class == Throttled) {
		b.Until = laterOf(b.Until, at.Add(w.backoff(0)))
	}
}

// TryFailed takes in that the one release which was tried failed too: the next one
// waits longer.
func (b *Breaker) TryFailed(at time.Time, c Cause, w Wait) {
	b.Failed++
	b.Cause = c
	b.State, b.Since = Paused, at
	b.fail(at, w.Told)
	b.Until = laterOf(b.Until, at.Add(w.backoff(b.Failed-1)))
}

// fail notes a failure that counts against it.
func (b *Breaker) fail(at time.Time, told time.Duration) {
	b.Passed = 0
	b.failedAt = laterOf(b.failedAt, at)
	if told > 0 {
		b.told = laterOf(b.told, at.Add(told))
		b.Until = laterOf(b.Until, b.told)
	}
}

// backoff is the k-th back-off: full jitter over a time that doubles.
func (w Wait) backoff(k int) time.Duration {
	d := w.Base
	for ; k > 0 && d < w.Max; k-- {
		d *= 2
	}
	return max(min(soonest, w.Max), time.Duration(w.Lot*float64(min(d, w.Max))))
}

// Heard takes in the answer to a HEAD. empty says that it states a limit of which
// nothing is left: that explains an answer of 429, so that a reading with units is all
// that is waited for then.
func (b *Breaker) Heard(sent time.Time, good, empty bool) {
	if b.Closed() || !sent.After(b.failedAt) {
		return
	}
	switch {
	case empty && b.Cause.Class == Throttled:
		b.heard, b.Until = time.Time{}, b.told
	case good:
		b.heard = sent
	default:
		b.heard = time.Time{}
	}
}

// Turn lets time pass: an open breaker tries one when its back-off is over and a HEAD
// was answered since the last failure, or where nobody can be asked. One that has tried
// for long without a failure closes.
func (b *Breaker) Turn(now time.Time, asked bool) {
	if b.Passed >= okAfter && !now.Before(b.told) {
		b.Close(now)
	}
	if b.State == Trying && now.Sub(laterOf(b.failedAt, b.Since)) >= quietFor {
		b.Close(now)
	}
	if b.State == Paused && b.ripe(now, asked) {
		b.State, b.Since = Trying, now
	}
}

// MayTry reports whether one more may go now, if none is being tried.
func (b *Breaker) MayTry(now time.Time, asked bool) bool {
	return b.Closed() || b.State == Trying && b.ripe(now, asked)
}

// ripe reports whether its back-off is over and a HEAD was answered since the last
// failure, where one is asked for.
func (b *Breaker) ripe(now time.Time, asked bool) bool {
	return !now.Before(b.Until) && (!asked || b.heard.After(b.failedAt))
}

// Passes takes in a pull that succeeded and that began after it opened, or that had
// failed before.
func (b *Breaker) Passes(now time.Time) {
	if b.Closed() {
		return
	}
	if b.Passed++; b.Passed >= okAfter && !now.Before(b.told) {
		b.Close(now)
	}
}

// WantsHead is when a HEAD should be sent at the latest; zero: no need of one.
func (b *Breaker) WantsHead() time.Time {
	if b.Closed() || b.heard.After(b.failedAt) {
		return time.Time{}
	}
	return laterOf(b.Until, b.failedAt.Add(soonest))
}

// Before reports whether its last failure was seen before t.
func (b *Breaker) Before(t time.Time) bool { return b.failedAt.Before(t) }

// Close closes it: all is well, or a person says so.
func (b *Breaker) Close(now time.Time) {
	if !b.Closed() {
		b.Kept = Kept{State: OK, Since: now, Opened: b.Opened}
		b.failedAt, b.heard, b.told = time.Time{}, time.Time{}, time.Time{}
	}
}

// View is the breaker as people see it.
func (b *Breaker) View() View {
	if b.Closed() {
		return View{State: OK, Since: b.Since, Opened: b.Opened}
	}
	return View{State: b.State, Cause: b.Cause, Since: b.Since, Until: b.Until, Opened: b.Opened, Failed: b.Failed}
}

// Export returns what must survive a restart; nil: nothing.
func (b *Breaker) Export() *Kept {
	if b.Opened == 0 {
		return nil
	}
	kept := b.Kept
	return &kept
}

// Restore takes an exported state back. Whoever wrote it cannot make it wait for ever;
// what was tried is tried again, after a HEAD.
func (b *Breaker) Restore(now time.Time, k Kept) {
	*b = Breaker{}
	if k.State != OK && k.State != Paused && k.State != Trying {
		return
	}
	k.Opened, k.Failed, k.Passed = max(k.Opened, 0), max(k.Failed, 0), min(max(k.Passed, 0), okAfter-1)
	k.Since = earlierOf(k.Since, now)
	b.Kept = k
	if k.State == OK {
		b.Kept = Kept{State: OK, Since: k.Since, Opened: k.Opened}
		return
	}
	b.State = Paused
	b.Until = earlierOf(k.Until, now.Add(longest))
	b.failedAt = now // a HEAD of before says nothing
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlierOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
