package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/doctor"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/report"
)

type doctorOptions struct {
	s      *session
	out    output
	dry    dryRun
	target *cluster.Target
	fix    int
	limit  *doctor.Limit
	replay bool
}

func newDoctor(s *session) *cobra.Command {
	o := &doctorOptions{s: s}
	var limit string
	cmd := &cobra.Command{
		Use:   "doctor [TYPE/NAME | pod/NAME | node/NAME]",
		Short: "Say why images are not pulled: which limit, whose, what drew on it, what helps",
		Long: "Look at the cluster, or at one workload, pod or node of it, and say whether a\n" +
			"registry refuses pulls, by which limit, whose account it is and what drew on it;\n" +
			"what only looks like that (names, certificates, timeouts, disks, tags, platforms,\n" +
			"passwords); and what may become it. It needs no controller and nothing installed.\n\n" +
			"It only reads: statuses, events, names of pull secrets, never what is in them. It\n" +
			"asks no registry and spends nothing. What may not be read is listed as unknown.\n" +
			"Fixes come the cheapest first, with what the simulator makes of each on this\n" +
			"cluster. doctor applies none: --fix N --dry-run prints one.\n\n" +
			"Exit codes: 0 nothing was found, 1 error, 2 usage, 3 there are findings.",
		Example: s.examples("doctor", "doctor deploy/billing -n billing", "doctor node/worker-7", "doctor --fix 1 --dry-run", "doctor --limit 100/1h -o json"),
		Args:    args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd, args, limit); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	o.out.add(cmd.Flags())
	o.dry.add(cmd.Flags())
	cmd.Flags().IntVar(&o.fix, "fix", 0, "print the change of the fix of this number; needs --dry-run, doctor changes nothing")
	cmd.Flags().StringVar(&limit, "limit", "", "what the registry allows, as 100/1h, for the replay; default: as the controller read it")
	cmd.Flags().BoolVar(&o.replay, "replay", true, "let the simulator say what each fix would have done")
	return cmd
}

// complete checks the command line.
func (o *doctorOptions) complete(cmd *cobra.Command, args []string, limit string) error {
	if err := errors.Join(o.out.validate(), o.dry.validate()); err != nil {
		return &exitError{code: ExitUsage, err: err}
	}
	switch {
	case cmd.Flags().Changed("fix") && o.fix < 1:
		return usagef("--fix is the number of a fix, 1 or more; usage: %s", cmd.UseLine())
	case o.fix > 0 && !o.dry.on():
		return usagef("doctor changes nothing: `--fix %d --dry-run` prints the change, for you to review and apply", o.fix)
	case o.fix == 0 && o.dry.on():
		return usagef("--dry-run is of a fix: name it with --fix N")
	}
	if limit != "" {
		l, err := parseLimit(limit)
		if err != nil {
			return &exitError{code: ExitUsage, err: err}
		}
		o.limit = &l
	}
	if len(args) == 0 {
		return nil
	}
	t, err := cluster.ParseTarget(args[0])
	if err != nil {
		return &exitError{code: ExitUsage, err: err}
	}
	if doctored[t.Kind].Empty() {
		return usagef("%s: doctor knows deploy, sts, ds, rs, job, pod and node", t)
	}
	o.target = &t
	return nil
}

// doctored are the kinds that doctor looks at by name, as the API knows them.
var doctored = map[cluster.Kind]schema.GroupVersion{
	cluster.Deployment: appsv1.SchemeGroupVersion, cluster.StatefulSet: appsv1.SchemeGroupVersion, cluster.DaemonSet: appsv1.SchemeGroupVersion,
	cluster.ReplicaSet: appsv1.SchemeGroupVersion, cluster.Job: batchv1.SchemeGroupVersion,
	cluster.Pod: corev1.SchemeGroupVersion, cluster.Node: corev1.SchemeGroupVersion,
}

// parseLimit reads 100/1h.
func parseLimit(text string) (doctor.Limit, error) {
	pulls, window, ok := strings.Cut(text, "/")
	n, err := strconv.ParseInt(pulls, 10, 64)
	d, problem := time.ParseDuration(window)
	if !ok || err != nil || problem != nil || n < 1 || d < time.Second {
		return doctor.Limit{}, fmt.Errorf("--limit %q: want pulls per window, as 100/1h", text)
	}
	return doctor.Limit{Pulls: n, Window: d}, nil
}

func (o *doctorOptions) run(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	scope, err := o.scope(ctx, c)
	if err != nil {
		return err
	}
	snapshot, err := o.s.snapshot(ctx, c)
	if err != nil {
		return err
	}
	d := doctor.Diagnose(snapshot, scope)
	if o.fix > 0 {
		return o.printFix(d)
	}
	if o.replay {
		if err := o.replayed(ctx, snapshot, scope, &d); err != nil {
			return err
		}
	}
	if err := show(o.s, o.out, d, view.DiagnosisPage); err != nil {
		return err
	}
	switch {
	case d.Verdict == doctor.Unknown:
		return verdict(ExitError)
	case len(d.Findings) > 0:
		return verdict(ExitHold)
	}
	return nil
}

// scope is what was asked for; it must be there.
func (o *doctorOptions) scope(ctx context.Context, c *cluster.Cluster) (doctor.Scope, error) {
	if o.target == nil {
		return doctor.Scope{}, nil
	}
	t := *o.target
	if err := exists(ctx, c, t); err != nil {
		return doctor.Scope{}, err
	}
	scope := doctor.Scope{Name: t.String(), Namespace: c.Namespace}
	switch t.Kind {
	case cluster.Node:
		scope.Node, scope.Namespace = t.Name, ""
	case cluster.Pod:
		scope.Pod = t.Name
	default:
		scope.Owner = kube.Owner{Kind: string(t.Kind), Namespace: c.Namespace, Name: t.Name}
	}
	return scope, nil
}

// exists complains unless the cluster has the object.
func exists(ctx context.Context, c *cluster.Cluster, t cluster.Target) error {
	var obj metav1.PartialObjectMetadata
	obj.SetGroupVersionKind(doctored[t.Kind].WithKind(string(t.Kind)))
	key, where := client.ObjectKey{Namespace: c.Namespace, Name: t.Name}, fmt.Sprintf("in namespace %q", c.Namespace)
	if t.Kind == cluster.Node {
		key.Namespace, where = "", "in the cluster"
	}
	err := c.Client.Get(ctx, key, &obj)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s is not %s: check the name, or choose another namespace with -n", t, where)
	case err != nil:
		return fmt.Errorf("reading %s: %w", t, err)
	}
	return nil
}

// printFix prints the change of one fix.
func (o *doctorOptions) printFix(d view.Diagnosis) error {
	if o.fix > len(d.Fixes) {
		return fmt.Errorf("there is no fix %d: %d are known now; `%s doctor` lists them", o.fix, len(d.Fixes), o.s.env.program())
	}
	return show(o.s, o.out, d.Fixes[o.fix-1], view.FixPage)
}

// replayTime bounds what a diagnosis waits for the simulator.
const replayTime = 5 * time.Second

// replayed adds what the simulator makes of what was refused.
func (o *doctorOptions) replayed(ctx context.Context, s *doctor.Snapshot, scope doctor.Scope, d *view.Diagnosis) error {
	if !slices.ContainsFunc(d.Findings, func(f view.Finding) bool { return f.Check == doctor.CheckThrottled }) {
		return nil
	}
	r, runs := doctor.Replay(s, scope, *d, o.limit)
	d.Replay = &r
	bounded, cancel := context.WithTimeout(ctx, replayTime)
	defer cancel()
	for _, run := range runs {
		result, err := simulate.Run(bounded, run.Scenario, simulate.Options{Version: o.s.env.Version, Now: o.s.env.Now})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case bounded.Err() != nil:
			r.Not = fmt.Sprintf("it takes the simulator longer than %s: %s simulate import", replayTime, o.s.env.program())
		case err != nil && run.Fix > 0:
			r.Assumed = append(r.Assumed, fmt.Sprintf("nothing of fix %d, which the simulator refuses: %v", run.Fix, err))
			continue
		case err != nil:
			r.Not = "the simulator refuses it: " + err.Error()
		}
		if r.Not != "" {
			return nil
		}
		figures := figuresOf(result)
		switch {
		case run.Fix == 0 && figures.Throttled == 0:
			r.Not = fmt.Sprintf("a limit of %d in %s would not have refused these %d pods: others drew on it, or it is smaller; --limit says it", r.Limit, time.Duration(r.WindowSeconds*float64(time.Second)), r.Pods)
			return nil
		case run.Fix == 0:
			r.AsItIs = &figures
		default:
			d.Fixes[run.Fix-1].Replay = &figures
		}
	}
	return nil
}

func figuresOf(r report.Result) view.Replayed {
	p := r.Policies[0]
	return view.Replayed{Throttled: p.Throttled, HalfReadySeconds: p.HalfReadySeconds, AllReadySeconds: p.MakespanSeconds, HorizonSeconds: r.HorizonSeconds}
}
