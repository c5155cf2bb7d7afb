//go:build linux

// Command bench measures what Pace costs on a real cluster of four nodes: processor
// time, memory and requests to the API server at rest and in a wave, the time that
// its webhook takes, and the time that it adds to the start of a pod while there is
// budget to spare, against the same Deployments in a namespace that is not paced.
//
//	go run ./test/bench [-rest 60s] [-rounds 4] [-pods 20]
//
// It prints key=value, a line for each measurement, and a status other than 0 when
// Pace adds more than a second to the start of a pod at p99.
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
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/ground"
)

// settings are those of the command line.
type settings struct {
	rest   time.Duration
	rounds int
	pods   int
	logs   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	s := settings{}
	flag.DurationVar(&s.rest, "rest", time.Minute, "how long to measure at rest")
	flag.IntVar(&s.rounds, "rounds", 4, "pairs of Deployments, paced and not, of each kind of image")
	flag.IntVar(&s.pods, "pods", 20, "pods of a Deployment")
	flag.StringVar(&s.logs, "logs", "", "folder that keeps the logs of all processes")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	lab, err := stage.Open(ctx, ground.Options{LogsDir: s.logs})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	if err := lab.Install(ctx, "--enforce"); err != nil {
		return err
	}
	b := &bench{settings: s}
	// Enough for everything: what is measured is Pace, not a limit.
	if b.paced, err = lab.New(ctx, "bench", stage.Options{Limit: 100_000, Window: time.Hour}); err != nil {
		return err
	}
	if err := lab.Namespace(ctx, plain, false); err != nil {
		return err
	}
	if err := b.atRest(ctx); err != nil {
		return err
	}
	return b.compare(ctx)
}
