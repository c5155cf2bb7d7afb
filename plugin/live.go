package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/follow"
	"github.com/pullpace/pace/plugin/view"
)

// frame is how long a screen stays at least.
const frame = 500 * time.Millisecond

// accountsEvery is how often the budgets are read again while watching.
const accountsEvery = 10 * time.Second

// maxLog bounds the changes that the screen remembers.
const maxLog = 4

// live shows one rollout until it ends.
type live struct {
	*rolloutOptions
	cluster  *cluster.Cluster
	watch    *follow.Watch
	hosts    map[string]bool // registries of its images
	accounts []view.Account
	readAt   time.Time
	started  time.Time
	// last is what was shown last, heldSince when pods began to be held.
	last      view.Rollout
	shown     bool
	heldSince time.Time
	heldMax   time.Duration
	log       []string
	// lines is how many lines of the screen to draw over.
	lines int
}

// watch shows the rollout and returns the exit code of its end.
func (o *rolloutOptions) watch(ctx context.Context, c *cluster.Cluster, d workload) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := func() (*follow.Watch, error) { return follow.Start(ctx, c.Client, d.Deployment) }
	if d.argo != nil {
		start = func() (*follow.Watch, error) { return follow.StartArgo(ctx, c.Client, d.argo) }
	}
	w, err := start()
	if err != nil {
		return o.interrupted(ctx, err)
	}
	l := &live{rolloutOptions: o, cluster: c, watch: w, started: o.s.env.Now(), hosts: registries(&d.Spec.Template.Spec)}
	if !o.s.env.Terminal {
		return l.loop(ctx, nil)
	}
	keys, restore, err := o.s.env.Keys()
	if err != nil {
		return l.loop(ctx, nil)
	}
	defer restore()
	return l.loop(ctx, keys)
}

// registries are the hosts that the images of a pod come from.
func registries(spec *corev1.PodSpec) map[string]bool {
	hosts := map[string]bool{}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		if _, host, ok := kube.NormalImage(c.Image); ok {
			hosts[host] = true
		}
	}
	return hosts
}

// interrupted turns the end of ctx into the verdict that watching ended.
func (o *rolloutOptions) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	o.s.notef("stopped watching; the rollout goes on: %s rollout %s --follow", o.s.env.program(), o.target)
	if o.s.env.Terminal {
		return nil
	}
	return verdict(ExitPaused)
}

// loop redraws on changes, at most every frame on a terminal.
func (l *live) loop(ctx context.Context, keys <-chan byte) error {
	tick, stop := l.s.env.Tick(frame)
	defer stop()
	changed := l.watch.Changed
	for {
		done, err := l.step(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return l.interrupted(ctx, ctx.Err())
		case <-changed:
			if l.s.env.Terminal {
				// Wait for the frame: many changes are one screen.
				changed = nil
			}
		case <-tick:
			changed = l.watch.Changed
		case key := <-keys:
			if quit, err := l.press(ctx, key, keys); quit || err != nil {
				return err
			}
		}
	}
}

// step reads the state, shows it, and says whether the rollout ended.
func (l *live) step(ctx context.Context) (bool, error) {
	world, ok := l.watch.World()
	if !ok {
		return true, fmt.Errorf("%s is gone", l.target)
	}
	world.Accounts = l.budgets(ctx)
	now := l.s.env.Now()
	r := world.State(now)
	r.Started = l.started
	l.held(&r, now)
	if err := l.show(r); err != nil {
		return true, err
	}
	switch r.State {
	case view.Done:
		return true, nil
	case view.PausedState:
		return true, verdict(ExitPaused)
	case view.Failed:
		return true, verdict(ExitError)
	}
	if now.Sub(l.started) > l.maxWait {
		l.s.notef("not done after --max-wait %s; the rollout goes on: %s rollout %s --follow", l.maxWait, l.s.env.program(), l.target)
		return true, verdict(ExitPaused)
	}
	return false, nil
}

// held measures the longest time that pods, or a step, were held without a break.
func (l *live) held(r *view.Rollout, now time.Time) {
	if r.New.Held == 0 && !r.Steps.Held() {
		l.heldSince = time.Time{}
	} else if l.heldSince.IsZero() {
		l.heldSince = now
	}
	if !l.heldSince.IsZero() {
		l.heldMax = max(l.heldMax, now.Sub(l.heldSince))
	}
	r.HeldMax = l.heldMax
}

// budgets reads the accounts now and then; who may not see them goes without.
func (l *live) budgets(ctx context.Context) []view.Account {
	now := l.s.env.Now()
	if !l.readAt.IsZero() && now.Sub(l.readAt) < accountsEvery {
		return l.accounts
	}
	l.readAt = now
	budgets, err := cluster.Budgets(ctx, l.cluster.Client)
	if err != nil {
		return l.accounts
	}
	l.accounts = nil
	for i := range budgets {
		if !meters(&budgets[i], l.hosts) {
			continue
		}
		for _, row := range cluster.BudgetRows(&budgets[i]) {
			l.accounts = append(l.accounts, cluster.Account(row))
		}
	}
	return l.accounts
}

// show prints a line for a change, or draws the screen.
func (l *live) show(r view.Rollout) error {
	same := l.shown && l.last.Same(r)
	if !same && l.shown {
		l.note(r)
	}
	l.last, l.shown = r, true
	r.Log = l.log
	if l.s.env.Terminal {
		return l.draw(r)
	}
	if same {
		return nil
	}
	return view.RolloutLine(l.s.env.Out, r, l.s.style())
}

// note remembers a change of state or reason for the screen.
func (l *live) note(r view.Rollout) {
	if l.last.State == r.State && l.last.Reason == r.Reason {
		return
	}
	entry := r.At.In(l.s.style().Location).Format("15:04:05") + " " + r.State
	if r.Reason != "" {
		entry += ": " + r.Reason
	}
	l.log = append(l.log, entry)
	l.log = l.log[max(len(l.log)-maxLog, 0):]
}

// draw puts the screen over the one before. Lines end with a carriage return,
// since the terminal is in raw mode while keys are read.
func (l *live) draw(r view.Rollout) error {
	var screen bytes.Buffer
	style := l.s.style()
	if err := view.RolloutScreen(&screen, r, style); err != nil {
		return err
	}
	if err := view.Keys(&screen, style); err != nil {
		return err
	}
	var out strings.Builder
	if l.lines > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", l.lines)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(screen.String(), "\n"), "\n")
	for _, line := range lines {
		out.WriteString("\x1b[2K" + view.Cut(strings.TrimSuffix(line, "\n"), style.Width) + "\r\n")
	}
	// A screen that became shorter leaves no rest behind.
	out.WriteString("\x1b[J")
	l.lines = len(lines)
	_, err := io.WriteString(l.s.env.Out, out.String())
	return err
}

// press carries a key out; quit ends the watch.
func (l *live) press(ctx context.Context, key byte, keys <-chan byte) (quit bool, err error) {
	const interrupt = 3 // Ctrl-C is a key in raw mode
	switch key {
	case 'q', interrupt:
		l.below("stopped watching; the rollout goes on: %s rollout %s --follow", l.s.env.program(), l.target)
		return true, nil
	case 'e':
		l.explain(ctx)
	case 'u':
		l.undo(ctx)
	case 'r':
		l.release(ctx, keys)
	}
	return false, nil
}

// below writes a remark under the screen; the next screen starts under it.
func (l *live) below(format string, args ...any) {
	l.lines = 0
	fmt.Fprintf(l.s.env.Out, "%s\r\n", view.Clean(fmt.Sprintf(format, args...)))
}

func (l *live) explain(ctx context.Context) {
	world, ok := l.watch.World()
	if !ok {
		return
	}
	model := view.Explanation{Object: l.target.String(), Namespace: world.Deployment.Namespace}
	explain := func() error { return explainPods(ctx, l.cluster.Client, &model, world.Deployment) }
	if world.Argo != nil {
		explain = func() error { return explainRollout(ctx, l.cluster.Client, &model, world.Argo.Object) }
	}
	if err := explain(); err != nil {
		l.below("%v", cluster.Explain(err, l.s.env.program()))
		return
	}
	var page bytes.Buffer
	if err := view.ExplanationPage(&page, model, l.s.style()); err != nil {
		return
	}
	l.lines = 0
	// The page was cleaned by its view; only its line ends change.
	_, _ = io.WriteString(l.s.env.Out, strings.ReplaceAll(page.String(), "\n", "\r\n"))
}

func (l *live) undo(ctx context.Context) {
	world, ok := l.watch.World()
	if !ok {
		return
	}
	err := l.back(ctx, world)
	if err != nil {
		l.below("not undone: %v", cluster.Explain(err, l.s.env.program()))
		return
	}
	l.below("undo: the template of the revision before is back")
}

// back puts the template of the revision before back.
func (l *live) back(ctx context.Context, world follow.World) error {
	if world.Argo == nil {
		return cluster.Undo(ctx, l.cluster.Client, world.Deployment)
	}
	return cluster.UndoArgo(ctx, l.cluster.Client, world.Argo)
}

// release asks why and writes the order.
func (l *live) release(ctx context.Context, keys <-chan byte) {
	l.lines = 0
	fmt.Fprint(l.s.env.Out, "release everything of it, why? ")
	why, err := readLine(ctx, keys, l.s.env.Out)
	if err != nil || strings.TrimSpace(why) == "" {
		l.below("not released: no reason was given")
		return
	}
	quiet := *l.s
	quiet.env.Out = io.Discard
	o := &releaseOptions{order: &order{s: &quiet, verb: "release", reason: reasonFlag{text: why}, dry: dryRun{mode: "none"}}}
	if err := o.releaseOne(ctx, l.target); err != nil {
		l.below("not released: %v", cluster.Explain(err, l.s.env.program()))
		return
	}
	l.below("release asked for: %s", why)
}

// errLine says that the line was given up.
var errLine = errors.New("given up")

// readLine reads keys until Enter and echoes what can be printed.
func readLine(ctx context.Context, keys <-chan byte, echo io.Writer) (string, error) {
	const escape, backspace, interrupt = 27, 127, 3
	var line []byte
	for {
		var key byte
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case key = <-keys:
		}
		switch {
		case key == '\r' || key == '\n':
			fmt.Fprint(echo, "\r\n")
			return string(line), nil
		case key == escape || key == interrupt:
			fmt.Fprint(echo, "\r\n")
			return "", errLine
		case key == backspace && len(line) > 0:
			line = line[:len(line)-1]
			fmt.Fprint(echo, "\b \b")
		case key >= ' ' && key < backspace && len(line) < 200:
			line = append(line, key)
			_, _ = echo.Write([]byte{key})
		}
	}
}
