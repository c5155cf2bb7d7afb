package feedback

import (
	"slices"
	"time"

	"github.com/pullpace/pace/pacer/core"
)

// minFailing is how many pods must fail before a rate says anything: one pod, however
// often it retries, is not many.
const minFailing = 2

// parts is in how many parts a window slides.
const parts = 12

// Where is what a pull has in common with others.
type Where struct {
	Node core.NodeID
	// Revision names a workload and its revision.
	Revision string
	Egress   string
}

// Blame is what failing pulls are put down to.
type Blame string

// What they are put down to: nothing, what the Rate is of, or what those that fail have
// in common and those that succeed have not.
const (
	NoBlame       Blame = ""
	BlameAll      Blame = "all"
	BlameNode     Blame = "node"
	BlameRevision Blame = "revision"
	BlameEgress   Blame = "egress"
)

// Verdict is what a Rate says.
type Verdict struct {
	Blame Blame
	// Of is where the blame lies, unless it lies with all.
	Of    Where
	Cause Cause
}

// Rate is the share of pods whose pulls failed within a sliding window, each pod
// counted once by its last attempt. The zero value is empty.
type Rate struct {
	failing map[core.PodID]failed
	// line are the failures in the order of their times; of a pod with a later one the
	// earlier is void.
	line []due
	by   map[Where]int // those failing, by each of what they have in common
	// good counts pods that succeeded, by parts of the window; head is the number of the
	// latest part.
	good [parts + 1]int
	head int64
}

type failed struct {
	at    time.Time
	where Where
	class Class
}

type due struct {
	at  time.Time
	pod core.PodID
}

// Fail counts a failed attempt of a pod.
func (r *Rate) Fail(at time.Time, pod core.PodID, where Where, class Class) {
	if r.failing == nil {
		r.failing, r.by = map[core.PodID]failed{}, map[Where]int{}
	}
	r.drop(pod)
	r.failing[pod] = failed{at, where, class}
	r.count(where, 1)
	i := len(r.line)
	for ; i > 0 && r.line[i-1].at.After(at); i-- {
	}
	r.line = append(r.line, due{})
	copy(r.line[i+1:], r.line[i:])
	r.line[i] = due{at, pod}
	if len(r.line) > 2*len(r.failing)+spare {
		r.line = slices.DeleteFunc(r.line, r.void)
	}
}

// spare is how many void failures are kept before they are cleared out.
const spare = 64

// void reports whether the pod has a later failure, or succeeded since, or is gone.
func (r *Rate) void(d due) bool {
	f, ok := r.failing[d.pod]
	return !ok || !f.at.Equal(d.at)
}

// Pass counts a pod whose pulls succeeded.
func (r *Rate) Pass(at time.Time, pod core.PodID, window time.Duration) {
	r.drop(pod)
	r.slide(at, window)
	r.good[r.head%(parts+1)]++
}

// Forget takes back what a pod that is gone failed of.
func (r *Rate) Forget(pod core.PodID) { r.drop(pod) }

// Clear begins anew.
func (r *Rate) Clear() { *r = Rate{} }

func (r *Rate) drop(pod core.PodID) {
	if f, ok := r.failing[pod]; ok {
		r.count(f.where, -1)
		delete(r.failing, pod)
	}
}

// count counts a failing pod in or out, under each of what it may share.
func (r *Rate) count(where Where, by int) {
	for _, key := range where.each() {
		if r.by[key] += by; r.by[key] == 0 {
			delete(r.by, key)
		}
	}
}

// each is the one thing that others may share, for all of them.
func (w Where) each() []Where {
	return []Where{{Node: w.Node}, {Revision: w.Revision}, {Egress: w.Egress}}
}

// slide moves the window on; time that runs backwards moves nothing.
func (r *Rate) slide(now time.Time, window time.Duration) {
	length := max(window/parts, 1)
	head := now.UnixNano() / int64(length)
	if head <= r.head {
		return
	}
	for n := max(r.head+1, head-parts); n <= head; n++ {
		r.good[n%(parts+1)] = 0
	}
	r.head = head
}

// expire forgets failures from before the window.
func (r *Rate) expire(now time.Time, window time.Duration) {
	n := 0
	for ; n < len(r.line) && !r.line[n].at.Add(window).After(now); n++ {
		if d := r.line[n]; !r.void(d) {
			r.drop(d.pod)
		}
	}
	r.line = append(r.line[:0], r.line[n:]...)
}

// passed is how many pods succeeded within the window.
func (r *Rate) passed() int {
	sum := 0
	for _, n := range r.good {
		sum += n
	}
	return sum
}

// Judge says whether enough pods fail, and what that is put down to: to all that is
// counted here, unless the failures stop being many without one node, one revision or
// one egress group under which most of them are, and others have shown that it works
// without that one. One node of several is to blame without such proof, as long as no
// other fails. nodes is how many there are, own how many pods of one of these succeeded.
func (r *Rate) Judge(now time.Time, t Threshold, nodes int, own func(Where) int) Verdict {
	t = t.WithDefaults()
	r.slide(now, t.Window)
	r.expire(now, t.Window)
	good := r.passed()
	bad := len(r.failing)
	if !t.many(bad, bad+good) {
		return Verdict{}
	}
	v := Verdict{Blame: BlameAll, Cause: Cause{Class: r.mostly(), Failed: bad, Pods: bad + good}}
	for _, of := range []Blame{BlameNode, BlameRevision, BlameEgress} {
		worst, n := r.worst(of)
		if 2*n <= bad {
			continue
		}
		rest, others := bad-n, max(0, good-own(worst))
		shown := rest+others >= t.MinPods && !t.share(rest, rest+others)
		alone := of == BlameNode && rest == 0 && nodes > 1
		if worst != (Where{}) && (shown || alone) {
			v.Blame, v.Of = of, worst
			v.Cause.Failed = n
			return v
		}
	}
	return v
}

// Works reports whether a whole sample of pods pulled and so few of them failed that
// what was paused may go on.
func (r *Rate) Works(now time.Time, t Threshold) bool {
	t = t.WithDefaults()
	good := r.Passed(now, t)
	r.expire(now, t.Window)
	bad := len(r.failing)
	return bad+good >= t.MinPods && bad*100 <= t.ResumeBelow*(bad+good)
}

// Fails reports whether pulls of a pod failed within the window and have not succeeded
// since.
func (r *Rate) Fails(now time.Time, t Threshold) bool {
	r.expire(now, t.WithDefaults().Window)
	return len(r.failing) > 0
}

// Passed is how many pods succeeded within the window.
func (r *Rate) Passed(now time.Time, t Threshold) int {
	r.slide(now, t.WithDefaults().Window)
	return r.passed()
}

// Several reports whether pods fail that do not all share one node or revision.
func (r *Rate) Several(of Blame) bool {
	n := 0
	for key := range r.by {
		if key.kind() == of {
			n++
		}
	}
	return n > 1
}

func (t Threshold) many(bad, pods int) bool {
	return bad >= minFailing && pods >= t.MinPods && t.share(bad, pods)
}

func (t Threshold) share(bad, pods int) bool {
	return bad > 0 && bad*100 >= t.FailurePercent*pods
}

// worst is the node, revision or egress group under which most fail, the first by name
// of several.
func (r *Rate) worst(of Blame) (Where, int) {
	var worst Where
	most := 0
	for key, n := range r.by {
		if key.kind() == of && (n > most || n == most && key.name() < worst.name()) {
			worst, most = key, n
		}
	}
	return worst, most
}

func (w Where) kind() Blame {
	switch {
	case w.Node != "":
		return BlameNode
	case w.Revision != "":
		return BlameRevision
	case w.Egress != "":
		return BlameEgress
	}
	return NoBlame
}

func (w Where) name() string { return string(w.Node) + w.Revision + w.Egress }

// mostly is the class that most fail of, the first in the order of recognition of
// several.
func (r *Rate) mostly() Class {
	count := map[Class]int{}
	for _, f := range r.failing {
		count[f.class]++
	}
	most := Unknown
	for _, c := range Classes() {
		if count[c] > count[most] {
			most = c
		}
	}
	return most
}
