package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/record"
	"github.com/pullpace/pace/simulate/trace"
)

type recordOptions struct {
	s         *session
	decisions bool
	all       bool
	span      time.Duration
}

func newRecord(s *session) *cobra.Command {
	o := &recordOptions{s: s}
	cmd := &cobra.Command{
		Use:   "record [--for TIME] > FILE",
		Short: "Write what happens in a cluster into a trace, read-only",
		Long: "Watch a namespace, or all, and write what its new pods meet into a trace: when they\n" +
			"are created, let go, placed and ready, what pulling their images comes to, and a\n" +
			"scenario of the same to complete. It ends after --for, or with Ctrl-C. `simulate\n" +
			"replay` sets the simulation of the scenario against it.\n\n" +
			"With --decisions it writes what the controller was told and decided instead, from\n" +
			"when it began to lead until now, as `kubectl port-forward` would read it from the pod\n" +
			"that decides; `simulate replay` decides it all again. A controller keeps such a trace\n" +
			"only when it is told so: `install --trace 64Mi`.\n\n" +
			"Nothing in the cluster is changed. Traces hold names of pods, nodes, images and\n" +
			"workloads, and no secrets.",
		Example: s.examples("simulate record -n shop --for 10m > run.jsonl", "simulate record --decisions > decisions.jsonl"),
		Args:    args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.decisions && (o.all || cmd.Flags().Changed("for")) {
				return usagef("--decisions takes neither --for nor --all-namespaces: it reads what is there; usage: %s", cmd.UseLine())
			}
			if o.span <= 0 {
				return usagef("--for is %s: want some time", o.span)
			}
			if o.decisions {
				return o.trace(cmd.Context())
			}
			return o.watch(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.decisions, "decisions", false, "write what the controller was told and decided")
	cmd.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "record pods of all namespaces")
	cmd.Flags().DurationVar(&o.span, "for", 10*time.Minute, "how long to record at most")
	return cmd
}

// trace writes what the controller was told and decided.
func (o *recordOptions) trace(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	text, err := c.Trace(ctx)
	if errors.Is(err, cluster.ErrNoTrace) {
		return fmt.Errorf("%w: `%s install --trace 64Mi` has it keep one from its next start on", err, o.s.env.program())
	}
	if err != nil {
		return err
	}
	return o.write(text)
}

func (o *recordOptions) write(text []byte) error {
	if _, err := o.s.env.Out.Write(text); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}

// watch writes what new pods meet, once it is over.
func (o *recordOptions) watch(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	var in []client.ListOption
	if !o.all {
		in = append(in, client.InNamespace(c.Namespace))
	}
	r := record.New(o.s.env.Now())
	if err := o.before(ctx, c, r, in); err != nil {
		return err
	}
	tick, stop := o.s.env.Tick(o.span)
	defer stop()
	if err := o.take(ctx, c, r, in, tick); err != nil {
		return err
	}
	// The end was asked for; what is left to read takes a moment.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var nodes corev1.NodeList
	if err := c.Client.List(last, &nodes); err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	for i := range nodes.Items {
		r.Node(&nodes.Items[i])
	}
	run := r.Run(o.s.env.Now())
	run.Begin.Version = o.s.env.Version
	if info, err := c.Version(); err == nil {
		run.Begin.Cluster = info.GitVersion
	}
	o.s.notef("recorded %d pods", len(run.Pods))
	return o.write(trace.Encode(run))
}

// before notes the pods that are there.
func (o *recordOptions) before(ctx context.Context, c *cluster.Cluster, r *record.Recorder, in []client.ListOption) error {
	var pods corev1.PodList
	if err := c.Client.List(ctx, &pods, in...); err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	for i := range pods.Items {
		r.Before(&pods.Items[i])
	}
	return nil
}

// take lets the recorder see changes until the time is over or it is interrupted. A
// watch that ends, as the API server ends every one some time, is begun again.
func (o *recordOptions) take(ctx context.Context, c *cluster.Cluster, r *record.Recorder, in []client.ListOption, end <-chan time.Time) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, failed := make(chan watch.Event), make(chan error, 2)
	for _, list := range []client.ObjectList{&corev1.PodList{}, &corev1.EventList{}} {
		go func() { failed <- handOn(ctx, c, list, in, changes) }()
	}
	o.s.notef("recording; Ctrl-C ends it")
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-end:
			return nil
		case err := <-failed:
			return err
		case change := <-changes:
			o.told(r, change)
		}
	}
}

// handOn hands on all changes of a kind until ctx ends.
func handOn(ctx context.Context, c *cluster.Cluster, list client.ObjectList, in []client.ListOption, to chan<- watch.Event) error {
	for {
		watching, err := c.Client.Watch(ctx, list, in...)
		if err != nil {
			return fmt.Errorf("watching %T: %w", list, err)
		}
		for change := range watching.ResultChan() {
			select {
			case to <- change:
			case <-ctx.Done():
				watching.Stop()
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second): // one that is cut off at once must not spin
		}
	}
}

func (o *recordOptions) told(r *record.Recorder, change watch.Event) {
	now := o.s.env.Now()
	switch object := change.Object.(type) {
	case *corev1.Pod:
		r.Pod(now, object)
		if change.Type == watch.Deleted {
			r.Gone(now, object)
		}
	case *corev1.Event:
		if change.Type != watch.Deleted {
			r.Event(now, object)
		}
	}
}
