package enginetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/core/quota"
)

// Run plays the scenarios of a file. Every command takes key=value arguments:
//
//	world [slots=N] [scheduler=firstfit] [write=D] [bind=D] [rtt=D]
//	limiter name= type=rolling|fixed|bucket|sliding limit= window= [phase=] [reserve=PERCENT]
//	        [rollback-need=N] [foreign-every=D] [counts-denied] [silent] [egress=]
//	        [windowless] [late=D] (headers without a window; headers that lag, not for a bucket)
//	        [heads-charge] (a probe costs a unit, and gets a 429 where none is left)
//	image name= account=(a,b) [manifests=1] [pull=3s] [unshaped]
//	nodes count= [egress=] [zone=] [of=] [hold=D] [at=]   (of names the group whose held nodes they are)
//	warm image= count= [from=N]
//	group name= pods= images=(a,b) [class=rollout] [namespace=default] [lane=] [weight=] [canary=] [wave=] [by=]
//	        [init=D] [stuck=D] [hold=D] [more=N] [ungated] [whole] [pinned] [at=]
//	scale name= by=N [every=D for=D] [at=] override name= [now] [at=]
//	limit account= value= [at=]           foreign account= units= [at=]
//	headers account= [at=] [for=]         (they vanish)
//	outage account= [at=] [for=]          (no answer to probes; pulls still work)
//	pause account=|group= [at=] [for=]    crash [at=] [for=] [lost]
//	fail [account=] [image=] [node=] [class=Reset] [kind=] [wait=D] [heads] [at=] [for=]
//	        (attempts of that account, image or node fail so; with heads its probes too)
//	recreate name= [at=]                  resume account= [at=]
//	run until=D                           to the end of all pods and entries, D at the latest
//	expect                                with lines `name op expression`, see values
//	show holds|releases|namespaces|accounts|breakers [span=D]
//
// Times are since the start of the world.
func Run(t *testing.T, path string) {
	w := New()
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		a := args{pos: d.Pos, list: slices.Clone(d.CmdArgs)}
		if d.Cmd == "world" {
			w = New()
		}
		out, err := w.command(t, d, a)
		if err != nil {
			t.Fatalf("%s: %s: %v", d.Pos, d.Cmd, err)
		}
		return out
	})
}

func (w *World) command(t *testing.T, d *datadriven.TestData, a args) (string, error) {
	switch d.Cmd {
	case "run":
		w.run(a.span("until", 48*time.Hour))
		return w.summary(), nil
	case "expect":
		broken, err := w.expect(d.Input)
		if broken != "" {
			t.Errorf("%s: %s", d.Pos, broken)
		}
		return "ok\n", err
	case "show":
		return w.show(a), nil
	case "world":
		w.slots, w.firstFit = a.int("slots", 0), a.text("scheduler", "") == "firstfit"
		w.write, w.bind, w.rtt = a.span("write", w.write), a.span("bind", w.bind), a.span("rtt", w.rtt)
		return "", nil
	}
	return "", w.enter(d.Cmd, a)
}

// enter carries a command out, now or at its time.
func (w *World) enter(cmd string, a args) error {
	act, err := w.entry(cmd, a)
	if err != nil {
		return err
	}
	if at := a.span("at", 0); at > 0 {
		w.timeline++
		w.at(at, func() { w.timeline--; act() })
		return nil
	}
	act()
	return nil
}

// entry is what a command does when its time has come.
func (w *World) entry(cmd string, a args) (func(), error) {
	switch cmd {
	case "limiter":
		return w.limiterEntry(a)
	case "image":
		return func() { w.imageEntry(a) }, nil
	case "group":
		return w.groupEntry(a)
	case "nodes":
		return func() { w.addNodes(a) }, nil
	case "warm":
		return func() { w.warm(core.Image(a.text("image", "")), a.int("from", 0), a.int("count", 0)) }, nil
	case "crash":
		return func() { w.crash(a.span("for", 0), !a.has("lost")) }, nil
	case "fail":
		return w.failEntry(a), nil
	case "pause":
		return func() { w.pause(a, true); w.later(a, func() { w.pause(a, false) }) }, nil
	}
	if r := w.registries[core.AccountID(a.text("account", ""))]; r != nil {
		return w.registryEntry(cmd, a, r)
	}
	if g := a.text("name", ""); cmd == "recreate" {
		return func() { w.recreate(w.groupNamed(g)) }, nil
	}
	if g := a.text("name", ""); cmd == "scale" || cmd == "override" {
		return func() { w.groupCommand(cmd, a, w.groupNamed(g)) }, nil
	}
	return nil, fmt.Errorf("unknown command or account")
}

func (w *World) registryEntry(cmd string, a args, r *registry) (func(), error) {
	switch cmd {
	case "limit":
		return func() { r.limiter.setLimit(int64(a.int("value", 0))) }, nil
	case "foreign":
		return func() { w.others(r, a.int("units", 1)) }, nil
	case "headers":
		return func() { r.silent = true; w.later(a, func() { r.silent = false }) }, nil
	case "resume":
		return func() { w.resume(r) }, nil
	case "outage":
		return func() { r.down = true; w.later(a, func() { r.down = false }) }, nil
	}
	return nil, fmt.Errorf("unknown command for an account")
}

// later undoes an entry after its `for`, if it has one.
func (w *World) later(a args, undo func()) {
	if d := a.span("for", 0); d > 0 {
		w.timeline++
		w.after(d, func() { w.timeline--; undo() })
	}
}

func (w *World) limiterEntry(a args) (func(), error) {
	l, err := newLimiter(a.text("type", "rolling"), int64(a.int("limit", 0)), a.span("window", 0), a.span("phase", 0))
	if err != nil {
		return nil, err
	}
	id := core.AccountID(a.text("name", ""))
	need := a.int("rollback-need", 0)
	r := &registry{limiter: l, kind: a.text("type", "rolling"), countsDenied: a.has("counts-denied"), silent: a.has("silent"),
		foreignEvery: a.span("foreign-every", 0), phase: a.span("phase", 0), late: a.span("late", 0), windowless: a.has("windowless"), headsCharge: a.has("heads-charge"),
		account: engine.Account{ID: id, Host: string(id), Egress: a.text("egress", ""), RollbackNeed: core.Units(need),
			Settings: quota.Settings{ReservePercent: a.int("reserve", 0), RollbackReserve: need > 0}}}
	return func() {
		w.registries[id] = r
		account := r.account
		w.observe(engine.Event{Account: &account})
		if r.foreignEvery > 0 {
			w.after(r.foreignEvery/2, func() { w.visit(r) })
		}
	}, nil
}

// visit is one unit of somebody else, and the next.
func (w *World) visit(r *registry) {
	w.others(r, 1)
	w.after(r.foreignEvery, func() { w.visit(r) })
}

func (w *World) imageEntry(a args) {
	i := &image{name: core.Image(a.text("name", "")),
		manifests: a.int("manifests", 1), pull: a.span("pull", 3*time.Second), unshaped: a.has("unshaped")}
	for _, id := range a.values("account") {
		i.accounts = append(i.accounts, core.AccountID(id))
	}
	w.images[i.name] = i
	if !i.unshaped {
		w.observe(engine.Event{Shape: &engine.ImageShape{Image: i.name, Manifests: i.manifests}})
	}
}

func (w *World) groupEntry(a args) (func(), error) {
	class, err := core.ParseClass(a.text("class", "rollout"))
	if err != nil {
		return nil, err
	}
	g := &group{initFor: a.span("init", 0), stuck: a.span("stuck", 0), hold: a.span("hold", 0), ungated: a.has("ungated"),
		Group: engine.Group{ID: core.GroupID(a.text("name", "")), Namespace: a.text("namespace", "default"), Class: class,
			Weight: a.int("weight", 0), Lane: engine.Lane(a.text("lane", "")), Pool: "all", More: a.int("more", 0), Whole: a.has("whole"), Pinned: a.has("pinned"),
			Waves: engine.Waves{By: a.text("by", ""), Size: a.int("wave", 0), Canary: a.int("canary", 0)}}}
	g.Workload = "Deployment/" + g.Namespace + "/" + string(g.ID)
	for _, name := range a.values("images") {
		img := w.images[core.Image(name)]
		if img == nil {
			return nil, fmt.Errorf("no image %q", name)
		}
		g.Images = append(g.Images, engine.ImageUse{Image: img.name, Accounts: img.accounts})
	}
	return func() { w.addGroup(g, a.int("pods", 0)) }, nil
}

func (w *World) warm(name core.Image, from, count int) {
	for _, n := range w.nodes[from : from+count] {
		n.cache[name] = true
		w.seeNode(n)
	}
}

func (w *World) groupCommand(cmd string, a args, g *group) {
	by := a.int("by", 0)
	if every := a.span("every", 0); every > 0 {
		w.arrive(g, by, every, w.now+a.span("for", every))
		return
	}
	switch {
	case cmd == "override":
		w.observe(engine.Event{Override: &engine.Override{Group: g.ID, Now: a.has("now")}})
	case by < 0:
		w.removePods(g, -by)
	default:
		w.addPods(g, by)
	}
}

// arrive adds pods now and again every so often, until the end.
func (w *World) arrive(g *group, by int, every, end time.Duration) {
	w.addPods(g, by)
	if w.now+every <= end {
		w.timeline++
		w.after(every, func() { w.timeline--; w.arrive(g, by, every, end) })
	}
}

func (w *World) pause(a args, on bool) {
	if r := w.registries[core.AccountID(a.text("account", ""))]; r != nil {
		r.account.Paused = on
		account := r.account
		w.observe(engine.Event{Account: &account})
		return
	}
	g := w.groupNamed(a.text("group", ""))
	g.Paused = on
	seen := g.Group
	w.observe(engine.Event{Group: &seen})
}

// mostEvents ends a world that goes round in circles.
const mostEvents = 3_000_000

// run lets time pass until all pods are done and nothing is to come.
func (w *World) run(until time.Duration) {
	w.kick()
	for w.unfinished > 0 || w.timeline > 0 {
		if !w.step(until) {
			w.now = max(w.now, until)
			return
		}
		if w.ran > mostEvents {
			w.wrong("goes round in circles")
			return
		}
	}
}

func (w *World) show(a args) string {
	switch {
	case a.has("holds"):
		return w.report.list(false)
	case a.has("releases"):
		return w.report.list(true)
	case a.has("breakers"):
		return w.report.breakerList()
	case a.has("namespaces"):
		return w.report.namespaces(a.span("span", time.Hour))
	}
	var out strings.Builder
	for _, v := range w.report.accounts {
		fmt.Fprintf(&out, "%s grade=%s remaining=%d/%d reserved=%d ungated=%d foreign/h=%v held=%d unlimited=%v%s\n", v.Account, v.Grade,
			v.Remaining, v.Limit, v.Reserved, v.Ungated, v.ForeignPerHour, v.Held, v.Unlimited, heads(v))
	}
	return out.String()
}

// heads says since when HEADs are known to be charged.
func heads(v engine.View) string {
	if v.HeadsCharged.IsZero() {
		return ""
	}
	return fmt.Sprintf(" heads-charged=%v", v.HeadsCharged.Sub(epoch).Round(time.Second))
}

// expect checks lines `name op expression`; an expression is a sum of numbers,
// spans and factor*name. It returns those that do not hold: no golden can hide one.
func (w *World) expect(input string) (string, error) {
	values := w.values()
	var out strings.Builder
	out.WriteString(w.report.wrongList())
	for line := range strings.Lines(input) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return "", fmt.Errorf("line %q: want `name op expression`", line)
		}
		left, ok := values[fields[0]]
		if !ok {
			return "", fmt.Errorf("line %q: no value %q", line, fields[0])
		}
		right, err := evaluate(strings.Join(fields[2:], ""), values)
		if err != nil {
			return "", fmt.Errorf("line %q: %w", line, err)
		}
		if !holds(left, fields[1], right) {
			fmt.Fprintf(&out, "not %s: %v is not %s %v\n", strings.TrimSpace(line), left, fields[1], right)
		}
	}
	return out.String(), nil
}

func holds(a float64, op string, b float64) bool {
	switch op {
	case "==":
		return a == b
	case "<=":
		return a <= b
	case ">=":
		return a >= b
	}
	return false
}

func evaluate(expr string, values map[string]float64) (float64, error) {
	var sum float64
	for _, term := range strings.Split(expr, "+") {
		product := 1.0
		for _, factor := range strings.Split(term, "*") {
			f, err := atom(factor, values)
			if err != nil {
				return 0, err
			}
			product *= f
		}
		sum += product
	}
	return sum, nil
}

func atom(s string, values map[string]float64) (float64, error) {
	if v, ok := values[s]; ok {
		return v, nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return n, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no value, number or span", s)
	}
	return d.Seconds(), nil
}
