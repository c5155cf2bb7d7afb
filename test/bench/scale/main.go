//go:build linux

// Command scale measures Pace on a cluster with a real control plane and as many nodes
// that nobody runs, and pods on them, as are asked for: how long turns and the webhook
// take, how fast pods are let go, the memory of the controller, and the Events it writes.
//
//	go run ./test/bench/scale [-nodes 5000] [-pods 50000] [-held 5000]
//
// It prints key=value, a line for each measurement.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/test/bench/measure"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/ground"
	"github.com/pullpace/pace/test/puller"
)

// settings are those of the command line.
type settings struct {
	nodes, pods, held int
	each              int // pods of a workload
	rest              time.Duration
	logs              string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	s := settings{}
	flag.IntVar(&s.nodes, "nodes", 5000, "nodes of the cluster")
	flag.IntVar(&s.pods, "pods", 50_000, "pods that run when it begins")
	flag.IntVar(&s.held, "held", 5000, "pods that are then held, and let go at once")
	flag.IntVar(&s.each, "each", 100, "pods of a workload")
	flag.DurationVar(&s.rest, "rest", time.Minute, "how long to measure at rest")
	flag.StringVar(&s.logs, "logs", "", "folder that keeps the logs of all processes")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		stop()
		os.Exit(1)
	}
}

// bench is a lab with the product, and a stage in its one paced namespace.
type bench struct {
	settings
	*stage.Stage
	// fast is a client without a limit of its own.
	fast kubernetes.Interface
}

func run(ctx context.Context, s settings) (err error) {
	// Nodes are not lost while a machine of few cores is busy with all of them.
	lab, err := stage.Open(ctx, ground.Options{
		LogsDir: s.logs, Nodes: stage.Machines(2), ControllerManagerArgs: []string{"--node-monitor-grace-period=2h"},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	if err := lab.Cluster.StartKwok(ctx, "--node-lease-duration-seconds=7200"); err != nil {
		return err
	}
	b := &bench{settings: s}
	config := lab.Cluster.RESTConfig()
	config.QPS, config.ContentType = -1, "application/vnd.kubernetes.protobuf"
	if b.fast, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	began := time.Now()
	if err := b.populate(ctx, lab); err != nil {
		return err
	}
	fmt.Printf("populated nodes=%d pods=%d seconds=%.0f\n", s.nodes, s.pods, time.Since(began).Seconds())
	if err := lab.Install(ctx, "--enforce"); err != nil {
		return err
	}
	if b.Stage, err = lab.New(ctx, "scale", stage.Options{Limit: 1 << 20, Window: time.Hour}); err != nil {
		return err
	}
	_, err = puller.Start(ctx, puller.Options{
		Client: b.fast, Selector: cluster.LabelUnrun + "=" + cluster.LabelUnrunValue, Namespace: b.Name, Quiet: true,
		Registry: func(*corev1.Node) *http.Client { return lab.Registry.Client(lab.Address) },
	})
	if err != nil {
		return err
	}
	return errors.Join(b.atRest(ctx), b.letGo(ctx))
}

// atRest measures while nothing happens.
func (b *bench) atRest(ctx context.Context) error {
	before, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(b.rest):
	}
	after, err := measure.Look(ctx, b.Lab)
	if err != nil {
		return err
	}
	b.show("rest", before, after)
	return nil
}

// show prints what was measured between two looks.
func (b *bench) show(what string, before, after measure.Cost) {
	took := after.At.Sub(before.At)
	fmt.Printf("%s seconds=%.0f cpu_millicores=%.1f memory_mib=%.0f api_requests_per_second=%.1f turn_p50_ms<=%.0f turn_p99_ms<=%.0f webhook_p50_ms<=%.0f webhook_p99_ms<=%.0f\n",
		what, took.Seconds(), 1000*(after.CPU-before.CPU)/took.Seconds(), after.Memory/(1<<20), (after.Requests-before.Requests)/took.Seconds(),
		1000*after.Turn.Quantile(before.Turn, 0.5), 1000*after.Turn.Quantile(before.Turn, 0.99),
		1000*after.Webhook.Quantile(before.Webhook, 0.5), 1000*after.Webhook.Quantile(before.Webhook, 0.99))
}
