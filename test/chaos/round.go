//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/ground"
	"github.com/pullpace/pace/test/registry"
)

// round is one installation, from beginning to end.
type round struct {
	*campaign
	number int
	stages []*stage.Stage
	watch  *watcher

	mu sync.Mutex
	// excused are accounts on which refusals are not Pace's doing, and why.
	excused map[string]map[int]span
}

// The sizes of a round.
const (
	accounts = 3
	replicas = 4
	limit    = 4 // units per window: a whole rollout
	together = 6 // faults at the same time
	calmDown = 4 * time.Minute
)

func (c *campaign) round(whole context.Context, number int) error {
	r := &round{campaign: c, number: number, excused: map[string]map[int]span{}}
	r.watch = newWatcher(func(format string, args ...any) { c.violate(number, format, args...) })
	ctx, cancel := context.WithCancel(whole)
	defer cancel()
	if err := r.set(ctx); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	c.say("round %d  up, %d faults follow", number, c.faults)
	r.unleash(ctx)
	// Every other time it is taken out in the middle of what is going on.
	if number%2 == 1 {
		r.settle(ctx, "with Pace")
	}
	r.remove(ctx)
	r.settle(ctx, "without Pace")
	r.judge(ctx)
	// What ends from here on ends because it is cleared away.
	cancel()
	for _, s := range r.stages {
		if err := s.Clear(whole); err != nil {
			return err
		}
	}
	return whole.Err()
}

// set installs the product and gives every account its workloads, which run an image
// that nobody meters.
func (r *round) set(ctx context.Context) error {
	if err := r.lab.Install(ctx, "--enforce"); err != nil {
		return err
	}
	// Short, so that bounds are met within a round.
	if err := r.kubectl(ctx, "patch", "pacepolicy", "default", "--type=merge", "-p", `{"spec":{"maxHold":"90s"}}`); err != nil {
		return err
	}
	if err := r.watch.start(ctx, r.lab.Cluster.Client()); err != nil {
		return err
	}
	for i := range accounts {
		s, err := r.lab.New(ctx, fmt.Sprintf("r%d-%c", r.number, 'a'+i), stage.Options{Limit: limit})
		if err != nil {
			return err
		}
		r.stages = append(r.stages, s)
		for _, name := range images() {
			if err := s.Push(ctx, s.Image(name)); err != nil {
				return err
			}
		}
		for _, a := range apps() {
			r.watch.promise(s.Name, a.name, a.missing)
			if err := s.Create(ctx, workload(s.Name, a)); err != nil {
				return err
			}
		}
	}
	for _, s := range r.stages {
		for _, a := range apps() {
			if err := s.Await(ctx, a.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// workload is the Deployment of an app at its start.
func workload(namespace string, a app) *appsv1.Deployment {
	d := ground.Deployment(namespace, a.name, stage.Unmetered, replicas)
	if a.missing > 0 {
		share := intstr.FromString(fmt.Sprintf("%d%%", a.missing))
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxUnavailable: &share, MaxSurge: &share}
	}
	return d
}

// unleash lets the faults loose and returns when the last has ended.
func (r *round) unleash(ctx context.Context) {
	all, dice := catalogue(), r.dice(r.number, 0)
	lanes := map[string]*sync.Mutex{}
	for _, f := range all {
		lanes[f.lane] = new(sync.Mutex)
	}
	slots := make(chan struct{}, together)
	var running sync.WaitGroup
	for i := range r.faults {
		f := pick(all, dice)
		wait(ctx, between(dice, 200*time.Millisecond, 1600*time.Millisecond))
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if f.lane != "" {
				lanes[f.lane].Lock()
				defer lanes[f.lane].Unlock()
			}
			did, err := f.do(ctx, r, r.dice(r.number, i+1))
			r.count(f, err)
			if err != nil {
				did += " (" + strings.Join(strings.Fields(err.Error()), " ") + ")"
			}
			r.say("  %-9s %-26s %.200s", f.kind, f.name, did)
		})
	}
	running.Wait()
	for _, s := range r.stages {
		s.Host.ClearFaults()
	}
}

// settle waits until every workload runs what it should.
func (r *round) settle(ctx context.Context, how string) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, calmDown)
	defer cancel()
	var late []string
	for _, s := range r.stages {
		for _, a := range apps() {
			if err := s.Await(ctx, a.name); err != nil {
				late = append(late, err.Error())
			}
		}
	}
	if len(late) > 0 {
		r.violate(r.number, "not calm %s after %s: %s", how, calmDown, strings.Join(late, "; "))
		for _, s := range r.stages {
			fmt.Println(r.lab.Evidence(context.WithoutCancel(ctx), s.Name))
		}
		return
	}
	r.say("round %d  calm %s after %.1f s", r.number, how, time.Since(began).Seconds())
}

// remove takes the product out and looks for what it left.
func (r *round) remove(ctx context.Context) {
	args := []string{"pace", "uninstall"}
	if r.number%4 == 2 {
		args = append(args, "--now")
	}
	for _, s := range r.stages {
		// Uninstalling lets go what does not fit, and nobody counts afterwards.
		if r.watch.holding(s.Name) {
			r.excuse(s.Name, "uninstalled in a hold")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, calmDown)
	defer cancel()
	out := r.lab.Kubectl(ctx, args...)
	if out.Code != 0 {
		r.violate(r.number, "%s", out)
		return
	}
	r.say("round %d  uninstalled after %.1f s", r.number, out.Took.Seconds())
	search, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if err := r.lab.NothingLeft(search, stage.KeptCRDs); err != nil {
		r.violate(r.number, "%v", err)
	}
}

// judge holds the round against what is promised.
func (r *round) judge(ctx context.Context) {
	for _, s := range r.stages {
		entries := s.Registry.Log().Entries(s.Own())
		if most, at := registry.Busiest(entries, s.Options.Window); most > s.Options.Limit {
			r.violate(r.number, "%s was charged %d units within %s at %s, the limit is %d", s.Name, most, s.Options.Window, at.Format(time.TimeOnly), s.Options.Limit)
		}
		refused, why := 0, map[string]int{}
		for _, e := range entries {
			if !e.Denied {
				continue
			}
			refused++
			why[r.excuseOf(s, r.clock.machine(e.Time))]++
		}
		r.say("round %d  %s charged=%d refused=%d %v", r.number, s.Name, s.Charges(""), refused, why)
		if n := why[""]; n > 0 {
			r.violate(r.number, "%s: the nodes were refused %d times although nobody had gone past Pace\n%s", s.Name, n, r.lab.Evidence(ctx, s.Name))
		}
		r.unchanged(ctx, s)
		r.free(ctx, s)
	}
}

// free looks for what is still held or suspended.
func (r *round) free(ctx context.Context, s *stage.Stage) {
	var jobs batchv1.JobList
	if err := r.lab.Client.List(ctx, &jobs, client.InNamespace(s.Name)); err != nil {
		r.violate(r.number, "listing jobs of %s: %v", s.Name, err)
	}
	for _, j := range jobs.Items {
		if j.Spec.Suspend != nil && *j.Spec.Suspend {
			r.violate(r.number, "job %s/%s is still suspended", s.Name, j.Name)
		}
	}
	pods, err := s.Pods(ctx, "")
	if err != nil {
		r.violate(r.number, "listing pods of %s: %v", s.Name, err)
	}
	if n := stage.Count(pods, stage.Held); n > 0 {
		r.violate(r.number, "%d pods of %s are still held", n, s.Name)
	}
}

// unchanged compares the fields that Pace may change with what they were.
func (r *round) unchanged(ctx context.Context, s *stage.Stage) {
	for _, a := range apps() {
		var d appsv1.Deployment
		if err := r.lab.Client.Get(ctx, client.ObjectKey{Namespace: s.Name, Name: a.name}, &d); err != nil {
			r.violate(r.number, "reading deployment %s/%s: %v", s.Name, a.name, err)
			continue
		}
		want := workload(s.Name, a).Spec.Strategy.RollingUpdate
		got := d.Spec.Strategy.RollingUpdate
		if got == nil || got.MaxUnavailable.String() != want.MaxUnavailable.String() || got.MaxSurge.String() != want.MaxSurge.String() ||
			d.Spec.Paused || d.Spec.ProgressDeadlineSeconds == nil || *d.Spec.ProgressDeadlineSeconds != 600 {
			r.violate(r.number, "deployment %s/%s is not what it was: strategy %+v, paused %t, progressDeadlineSeconds %v", s.Name, a.name, got, d.Spec.Paused, d.Spec.ProgressDeadlineSeconds)
		}
	}
}

// span is a time in which somebody drew on an account past Pace, and who.
type span struct {
	from, to time.Time
	why      string
}

// aftermath is how long after a span its pulls may still be in the way: they take a
// moment to come, and then a window to be forgotten.
const aftermath = stage.Window + 20*time.Second

// excuse notes from when on refusals on an account may not be Pace's doing. What it
// returns notes the end.
func (r *round) excuse(account, why string) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.excused[account] == nil {
		r.excused[account] = map[int]span{}
	}
	key := len(r.excused[account])
	s := span{from: time.Now(), to: time.Now().Add(time.Hour), why: why}
	r.excused[account][key] = s
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		s.to = time.Now()
		r.excused[account][key] = s
	}
}

// excuseOf is why the nodes may have been refused at a time, "" for no reason.
func (r *round) excuseOf(s *stage.Stage, at time.Time) string {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.excused[s.Name]))
	r.mu.Unlock()
	for _, e := range append(all, r.watch.loose(s.Name, s.Host.Name())...) {
		// Times of objects are whole seconds.
		if !at.Before(e.from.Add(-time.Second)) && !at.After(e.to.Add(aftermath)) {
			return e.why
		}
	}
	return ""
}

// kubectl runs it once, as a person does who then sees an error.
func (r *round) kubectl(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if out := r.lab.Kubectl(ctx, args...); out.Code != 0 {
		return errors.New(out.String())
	}
	return nil
}

// insist runs it until it works: what is undone here must not stay done.
func (r *round) insist(ctx context.Context, args ...string) (err error) {
	for range 20 {
		if err = r.kubectl(ctx, args...); err == nil || ctx.Err() != nil {
			return err
		}
		wait(ctx, 500*time.Millisecond)
	}
	return err
}
