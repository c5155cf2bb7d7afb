//go:build linux

package argo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// patience is the time limit of a case: the longest lets a gate be down for 75 s, and
// kubelets that failed wait for up to five minutes before they try again.
const patience = 10 * time.Minute

// Plan is the suite on a lab with Argo's controller. Cases that take longest come first.
func Plan(lab *stage.Lab) stage.Plan {
	f := &front{lab: lab, down: map[string]int{}}
	on := func(name string, o stage.Options, play func(context.Context, act, *suite.Report) error) suite.Case {
		c := stage.Case(name, o, func(ctx context.Context, s *stage.Stage, r *suite.Report) error {
			return play(ctx, act{s, f}, r)
		}, func(context.Context) (*stage.Lab, error) { return lab, nil })
		c.Patience = patience
		return c
	}
	ways := on("bypasses", stage.Options{}, bypassed)
	again := on("restarted", stage.Options{}, restarted)
	ways.Alone, again.Alone = true, true // those of others are counted too; all ask the controller
	return stage.Plan{Ready: f.start, Cases: []suite.Case{
		on("gate-down-75s", stage.Options{}, gateDown),
		on("throttled-mid-canary", stage.Options{Breaker: hasty()}, throttledMidCanary),
		on("canary", stage.Options{Window: burst}, canaryWaits),
		on("commands", stage.Options{Window: forLong}, commands),
		on("routed", stage.Options{}, routed),
		on("blue-green", stage.Options{}, blueGreen),
		on("bad-image", stage.Options{}, badImage),
		on("bad-image-by-policy", stage.Options{Policy: aborting()}, badImageByPolicy),
		on("neighbour", stage.Options{}, neighbour),
		ways,
		again, // its counters begin anew
	}}
}

// burst is the window of the account in which a canary asks for half as much again as
// there is: long enough for all of its steps to fall into it where nothing waits.
const burst = 40 * time.Second

// images of a pod of the second revision: with a pod on each of four nodes, 12 pulls of
// which 8 are allowed in a window. Its steps make one pod, one more and two more: three,
// three and six pulls.
func (a act) images(ctx context.Context) ([]string, error) {
	all := []string{a.Image("front"), a.Image("back"), a.Image("log")}
	for _, image := range all {
		if err := a.Push(ctx, image); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// canaryWaits rolls the same revision out with gates and without. With them the last
// step waits for the refill, and no pull is refused.
func canaryWaits(ctx context.Context, a act, r *suite.Report) error {
	alone, err := a.Stage.New(ctx, a.Name+"-unpaced", stage.Options{Window: burst, NotPaced: true, NoBudget: true})
	if err != nil {
		return err
	}
	b := act{alone, a.front}
	unpaced := make(chan error, 1)
	go func() { unpaced <- b.rollOut(ctx, notGated, b.updates) }()
	if err := errors.Join(a.rollOut(ctx, gated, a.rolls), <-unpaced); err != nil {
		return err
	}
	all, err := a.measurements(ctx)
	if err != nil {
		return err
	}
	waited, went := 0, 0
	for _, m := range all {
		switch m.phase {
		case "Inconclusive":
			waited++
		case "Successful":
			went++
		case "Error": // a question that had no answer in time holds
		default:
			err = errors.Join(err, fmt.Errorf("a measurement is %+v", m))
		}
	}
	r.Note("held_polls", waited)
	r.Note("ungated_429", b.Throttled(time.Time{}))
	r.Note("spread", a.Spread().Round(time.Second))
	if waited == 0 || went != 3 {
		err = errors.Join(err, fmt.Errorf("%d answers of hold and %d of allow, want some and one for each gate", waited, went))
	}
	if n := a.Throttled(time.Time{}); n != 0 {
		err = errors.Join(err, fmt.Errorf("%d pulls were refused", n))
	}
	if n := a.Charges(""); n != 12 {
		err = errors.Join(err, fmt.Errorf("%d units were charged, want 12", n))
	}
	// Eight in a window and twelve in all: the last comes after the first has expired.
	if a.Spread() < burst {
		err = errors.Join(err, fmt.Errorf("all pulls within %s, want the last after the refill", a.Spread()))
	}
	if n := b.Throttled(time.Time{}); n == 0 {
		err = errors.Join(err, errors.New("without gates no pull was refused: nothing is proved"))
	}
	return errors.Join(err, alone.Clear(ctx))
}

// rolls has the plugin make the next revision and watch it to its end.
func (a act) rolls(images ...string) deed {
	args := []string{"rollout", it}
	for i, image := range images {
		args = append(args, "--image", fmt.Sprintf("c%d=%s", i, image))
	}
	return a.says(0, []string{"state=starting", "state=held", "step=5/5 reason=WaitingForBudget", "state=done new=4/4"}, args...)
}

// rollOut makes a Rollout with those steps and rolls its second revision out.
func (a act) rollOut(ctx context.Context, steps string, roll func(images ...string) deed) error {
	images, err := a.images(ctx)
	if err != nil {
		return err
	}
	if err := a.begin(ctx, options{steps: steps}, len(images)); err != nil {
		return err
	}
	before, err := a.look(ctx)
	if err != nil {
		return err
	}
	return inTurn(ctx, roll(images...),
		a.comesTo("the second revision to serve", func(s state) bool { return healthy(s) && s.hash != before.hash }))
}

// The gate of a held step is down for longer than Argo's own limit of errors survives,
// which is four in a row, and the whole hold is longer than the deadline of the Rollout.
const (
	downFor  = 75 * time.Second
	survived = 5
	deadline = 20
)

// gateDown takes the gate away while a step waits.
func gateDown(ctx context.Context, a act, r *suite.Report) error {
	images, err := a.images(ctx)
	if err != nil {
		return err
	}
	if err := inTurn(ctx, a.begins(options{steps: gated, deadline: deadline}, len(images)), a.Pause, a.updates(images...), a.hears(`"hold"`, `"Paused"`)); err != nil {
		return err
	}
	before, err := a.measurements(ctx)
	if err != nil {
		return err
	}
	a.takeDown(a.Name)
	defer a.putUp(a.Name)
	for until := time.Now().Add(downFor); time.Now().Before(until) || a.refused(a.Name) <= survived; {
		s, err := a.look(ctx)
		if err != nil {
			return err
		}
		if s.phase != "Progressing" || s.step != 0 || s.aborted {
			return fmt.Errorf("while the gate is down the rollout is %s", s)
		}
		if err := stage.Pass(ctx, time.Second); err != nil {
			return err
		}
	}
	r.Note("refused", a.putUp(a.Name))
	// It is held on, by answers now, and well all the time.
	if err := a.awaitLater(ctx, last(before).at.Add(downFor), `"hold"`, `"Paused"`); err != nil {
		return err
	}
	if s, err := a.look(ctx); err != nil || s.phase != "Progressing" || s.step != 0 || s.aborted {
		return fmt.Errorf("after the gate was down the rollout is %s: %w", s, err)
	}
	if n := a.Charges(""); n != 0 {
		return fmt.Errorf("%d pulls of a step that is held", n)
	}
	if err := a.Resume(ctx); err != nil {
		return err
	}
	return a.await(ctx, "the second revision to serve", func(s state) bool { return healthy(s) && s.step == 5 })
}
