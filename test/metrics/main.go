//go:build linux

// Command metrics records what Prometheus would scrape while Pace is at work on a real
// cluster of four nodes, so that the alerts of manifests/monitoring are tested on it.
//
//	go run ./test/metrics [-o manifests/monitoring/testdata/run.yaml] [-logs DIR]
//
// The run: a rollout that is held for budget, a registry that answers 429, an image that
// does not exist, and at last a controller that is gone, so that the failsafe lets go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/ground"
	"github.com/pullpace/pace/test/registry"
)

// The account of the run: as many pulls in such a window.
const (
	limit  = 8
	window = 30 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	out := flag.String("o", "manifests/monitoring/testdata/run.yaml", "file to write")
	logs := flag.String("logs", "", "folder that keeps the logs of all processes")
	flag.Parse()
	if err := run(ctx, *out, *logs); err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, out, logs string) (err error) {
	lab, err := stage.Open(ctx, ground.Options{LogsDir: logs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	if err := lab.Install(ctx, "--enforce"); err != nil {
		return err
	}
	s, err := lab.New(ctx, "shop", stage.Options{Limit: limit, Window: window})
	if err != nil {
		return err
	}
	r := newRecorder(lab)
	recording, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.record(recording) }()
	played := play(ctx, s, r)
	end()
	if err := errors.Join(played, <-done); err != nil {
		return err
	}
	return r.write(out)
}

// play is the run.
func play(ctx context.Context, s *stage.Stage, r *recorder) error {
	for _, act := range []struct {
		name string
		do   func(context.Context, *stage.Stage) error
	}{{"held", held}, {"throttled", throttled}, {"missing", missing}, {"gone", gone}} {
		r.note(act.name)
		if err := act.do(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", act.name, err)
		}
	}
	r.note("end")
	return nil
}

// held rolls out twice what a window allows, at once.
func held(ctx context.Context, s *stage.Stage) error {
	names, err := s.Fleet(ctx, 2*limit/stage.Nodes)
	if err != nil {
		return err
	}
	return s.Await(ctx, names...)
}

// throttled has the registry refuse every pull for a while, the account being full.
func throttled(ctx context.Context, s *stage.Stage) error {
	if err := pause(ctx, window+5*time.Second); err != nil {
		return err
	}
	lift := s.Host.Inject(registry.Refusing(registry.HubDenial(), registry.ManifestGET))
	d, err := s.Deployment(ctx, "refused", 2)
	if err != nil {
		return err
	}
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if err := pause(ctx, 15*time.Second); err != nil {
		return err
	}
	lift()
	return s.Await(ctx, "refused")
}

// missing rolls out a tag that nobody pushed.
func missing(ctx context.Context, s *stage.Stage) error {
	d := ground.Deployment(s.Name, "typo", s.Image("typo"), 6)
	if err := s.Client.Create(ctx, d); err != nil {
		return fmt.Errorf("making a Deployment: %w", err)
	}
	if err := pause(ctx, 40*time.Second); err != nil {
		return err
	}
	return s.Client.Delete(ctx, d)
}

// gone holds pods, takes the controller away, and waits until the failsafe has let
// them go.
func gone(ctx context.Context, s *stage.Stage) error {
	s.Host.Spend(s.Identity(), limit)
	if err := pause(ctx, 10*time.Second); err != nil { // until it is read
		return err
	}
	d, err := s.Deployment(ctx, "waits", 3)
	if err != nil {
		return err
	}
	if err := s.Client.Create(ctx, d); err != nil {
		return fmt.Errorf("making a Deployment: %w", err)
	}
	if _, err := s.AwaitPods(ctx, "waits", "three held pods", func(pods []corev1.Pod) bool { return stage.Count(pods, stage.Held) == 3 }); err != nil {
		return err
	}
	pacer := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: "pacer"}}
	if err := s.Client.Patch(ctx, pacer, client.RawPatch(client.Merge.Type(), []byte(`{"spec":{"replicas":0}}`))); err != nil {
		return fmt.Errorf("taking the controller away: %w", err)
	}
	if err := s.Await(ctx, "waits"); err != nil {
		return err
	}
	return pause(ctx, 20*time.Second)
}

// pause lets time pass, which is what is recorded.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
