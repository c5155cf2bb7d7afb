//go:build linux

// Command scale measures Pace on a cluster with a real control plane and as many nodes
// that nobody runs, and pods on them, as are asked for: how long turns and the webhook
// take, how fast pods are let go, the memory of the controller, and the Events it writes.
//
//	go run ./test/bench/scale [-nodes 5000] [-pods 50000] [-held 5000]
//
// It prints key=value, a line for each measurement, and a status other than 0 when a bound
// is missed. The replicas are given time before all else that shares the machine with
// them, as nodes with processors of their own would.
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/bench/measure"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/ground"
	"github.com/pullpace/pace/test/puller"
)

// settings are those of the command line.
type settings struct {
	nodes, pods, held int
	each, rate        int // pods of a workload, and how many of all are made a second
	favour            bool
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
	flag.IntVar(&s.rate, "rate", 50, "pods that the controller manager makes a second at most")
	flag.BoolVar(&s.favour, "favour", true, "give the controller time before all others on this machine")
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
	bounds
	*stage.Stage
	// fast is a client without a limit of its own.
	fast kubernetes.Interface
}

func run(ctx context.Context, s settings) (err error) {
	lab, err := stage.Open(ctx, ground.Options{
		LogsDir: s.logs, Nodes: stage.Machines(2),
		ControllerManagerArgs: []string{
			// Nodes are not lost while a machine of few cores is busy with all of them.
			"--node-monitor-grace-period=2h",
			// One pod after the other, and not many at once: what waits then is the API server.
			fmt.Sprint("--kube-api-qps=", s.rate), fmt.Sprint("--kube-api-burst=", max(1, s.rate/10)),
		},
		// Its defaults: how fast pods are bound is not what is measured.
		SchedulerArgs: []string{"--kube-api-qps=50", "--kube-api-burst=100"},
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
	if err := b.prepare(ctx, lab); err != nil {
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
	if err := errors.Join(b.atRest(ctx), b.letGo(ctx)); err != nil {
		return err
	}
	return b.bounds.err()
}

// prepare gives the replicas the time that they would have on nodes that are not full.
func (b *bench) prepare(ctx context.Context, lab *stage.Lab) error {
	if !b.favour {
		return nil
	}
	pods, err := b.fast.CoreV1().Pods(v1alpha1.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=pacer"})
	if err != nil {
		return fmt.Errorf("listing the controller's pods: %w", err)
	}
	for _, p := range pods.Items {
		if err := lab.Favour(ctx, p.Namespace, p.Name); err != nil {
			return err
		}
	}
	return nil
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
	turn := 1000 * after.Turn.Quantile(before.Turn, 0.99)
	fmt.Printf("%s seconds=%.0f cpu_millicores=%.1f memory_mib=%.0f peak_mib=%.0f api_requests_per_second=%.1f turns=%.0f turn_p50_ms<=%.0f turn_p99_ms<=%.0f\n",
		what, took.Seconds(), 1000*(after.CPU-before.CPU)/took.Seconds(), after.Memory/(1<<20), after.Peak/(1<<20), (after.Requests-before.Requests)/took.Seconds(),
		after.Turn.Count(before.Turn), 1000*after.Turn.Quantile(before.Turn, 0.5), turn)
	b.atMost(what+"_turn_p99_ms", turn, mostTurn)
	b.atMost(what+"_peak_mb", after.Peak/1e6, mostMemory)
	if what != "holding" {
		return // few pods are made, or none
	}
	for _, w := range []struct {
		of            string
		before, after measure.Histogram
	}{{"pods", before.Pods, after.Pods}, {"all", before.Webhook, after.Webhook}, {"answer", before.Answer, after.Answer}} {
		fmt.Printf("%s webhook=%s calls=%.0f p50_ms=%.1f p99_ms=%.1f p50_ms<=%.0f p99_ms<=%.0f\n", what, w.of, w.after.Count(w.before),
			1000*w.after.Estimate(w.before, 0.5), 1000*w.after.Estimate(w.before, 0.99), 1000*w.after.Quantile(w.before, 0.5), 1000*w.after.Quantile(w.before, 0.99))
	}
	// The time that the API server counts has in it how long that waits for a processor.
	b.atMost(what+"_answer_p99_ms", 1000*after.Answer.Estimate(before.Answer, 0.99), mostWebhook)
}
