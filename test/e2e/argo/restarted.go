//go:build linux

package argo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// asker asks every replica again and again, and keeps what was wrong with an answer.
type asker struct {
	act
	question []byte
	mu       sync.Mutex
	// reasons counts the answers by why.
	reasons map[core.Reason]int
	wrong   error
}

// run asks until ctx ends.
func (k *asker) run(ctx context.Context) {
	for ctx.Err() == nil {
		pods, _ := k.Controllers(ctx) // what cannot be listed now is listed next time
		for _, pod := range pods {
			if pod.Status.PodIP == "" {
				continue // it does not run yet
			}
			k.note(k.askPod(ctx, pod.Name, k.question))
		}
		_ = stage.Pass(ctx, 50*time.Millisecond)
	}
}

// note looks at an answer. A replica that does not listen gives none.
func (k *asker) note(text []byte, err error) {
	if err != nil && (errors.Is(err, context.Canceled) || apierrors.IsNotFound(err) || strings.Contains(string(text), "error trying to reach service")) {
		return
	}
	var a answer
	if err == nil {
		err = json.Unmarshal(text, &a)
	}
	if err == nil && !slices.Contains([]string{kube.Allow, kube.Wait, kube.Abort}, a.Decision) {
		err = errors.New("no decision")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reasons[core.Reason(a.Reason)]++
	if err != nil {
		k.wrong = errors.Join(k.wrong, fmt.Errorf("answer %q: %w", text, err))
	}
}

// hearsBoth waits for answers of the leader and of a replica that does not lead.
func (k *asker) hearsBoth(ctx context.Context) error {
	return stage.Poll(ctx, "the leader and another to answer", func(context.Context) (bool, string, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.reasons[core.NotLeader] > 0 && k.reasons[core.Paused] > 0, fmt.Sprint(k.reasons), nil
	})
}

// restarted takes every replica of the controller away while a step waits. Who listens
// answers whole, and the new leader knows who waits: nothing goes until it may.
func restarted(ctx context.Context, a act, r *suite.Report) error {
	images, err := a.images(ctx)
	if err != nil {
		return err
	}
	if err := inTurn(ctx, a.begins(options{steps: gated}, len(images)), a.Pause, a.updates(images...), a.waitsAt(0)); err != nil {
		return err
	}
	theirs, err := a.theirs(ctx)
	if err != nil {
		return err
	}
	question, err := json.Marshal(theirs)
	if err != nil {
		return fmt.Errorf("encoding a question: %w", err)
	}
	k := &asker{act: a, question: question, reasons: map[core.Reason]int{}}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var ended sync.WaitGroup
	ended.Go(func() { k.run(asking) })
	if out := a.Kubectl(ctx, "delete", "pods", "-n", v1alpha1.Namespace, "-l", "app.kubernetes.io/name=pacer"); out.Code != 0 {
		return fmt.Errorf("taking the controller away: %s", out)
	}
	err = inTurn(ctx, func(ctx context.Context) error { return a.awaitLater(ctx, time.Now(), `"hold"`, `"Paused"`) }, k.hearsBoth)
	stop()
	ended.Wait()
	r.Note("answers", fmt.Sprint(k.reasons))
	if err := errors.Join(err, k.wrong); err != nil {
		return err
	}
	s, err := a.look(ctx)
	if err != nil {
		return err
	}
	if s.step != 0 || s.phase != "Progressing" || a.Charges("") != 0 {
		return fmt.Errorf("the rollout is %s after %d pulls, want it held", s, a.Charges(""))
	}
	return inTurn(ctx, a.Resume, a.comesTo("the second revision to serve", func(s state) bool { return healthy(s) && s.step == 5 }))
}
