package plugin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// restartedAt is the note that `kubectl rollout restart` writes on a template, so
// that tools which know it know this one.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// defaultMaxWait is how long a rollout may take by its price before it is not
// started. It is the default of the product.
const defaultMaxWait = 30 * time.Minute

type rolloutOptions struct {
	s       *session
	target  cluster.Target
	images  map[string]string
	restart bool
	follow  bool
	maxWait time.Duration
	dry     dryRun
}

func newRollout(s *session) *cobra.Command {
	o := &rolloutOptions{s: s}
	var images []string
	cmd := &cobra.Command{
		Use:   "rollout TYPE/NAME [--image CONTAINER=IMAGE | --restart | --follow] [--max-wait 30m]",
		Short: "Roll a Deployment or Argo Rollout out within the budget, and watch it",
		Long: "Change the image of a Deployment or Argo Rollout, or restart it, within what registries still allow,\n" +
			"and watch. It prices the rollout first and does not start one that would take longer\n" +
			"than --max-wait. Ctrl-C stops watching, not the rollout.\n\n" +
			"On a terminal a screen is drawn; elsewhere a line of key=value pairs is printed for\n" +
			"each change. An object of Argo CD, Flux or Helm is not edited: change it at its\n" +
			"source and use --follow.\n\n" +
			"Exit codes: 0 done, 1 error, 2 usage, 3 not started since it would take longer than\n" +
			"--max-wait, 4 paused or timed out.",
		Example: s.examples("rollout deploy/api -n shop --image api=docker.io/acme/api:2.4.1", "rollout deploy/api -n shop --restart", "rollout deploy/api -n shop --follow"),
		Args:    args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args[0], images); err != nil {
				return err
			}
			if err := o.validate(cmd); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&images, "image", nil, "CONTAINER=IMAGE to set; may be repeated")
	flags.BoolVar(&o.restart, "restart", false, "start every pod anew")
	flags.BoolVar(&o.follow, "follow", false, "only watch; change nothing")
	flags.DurationVar(&o.maxWait, "max-wait", defaultMaxWait, "do not start what would take longer, and stop watching after it")
	o.dry.add(flags)
	return cmd
}

func (o *rolloutOptions) complete(arg string, images []string) (err error) {
	if o.target, err = cluster.ParseTarget(arg); err != nil {
		return &exitError{code: ExitUsage, err: err}
	}
	o.images, err = parseImages(images)
	return err
}

// parseImages reads CONTAINER=IMAGE flags.
func parseImages(flags []string) (map[string]string, error) {
	images := map[string]string{}
	for _, flag := range flags {
		container, image, ok := strings.Cut(flag, "=")
		if !ok || container == "" || image == "" {
			return nil, usagef("--image %q is not CONTAINER=IMAGE, such as api=docker.io/acme/api:2.4.1", flag)
		}
		if _, err := name.ParseReference(image); err != nil {
			return nil, fmt.Errorf("--image %s: %q is not an image reference: %w; nothing was changed", container, image, err)
		}
		if _, twice := images[container]; twice {
			return nil, usagef("--image names container %q twice", container)
		}
		images[container] = image
	}
	return images, nil
}

func (o *rolloutOptions) validate(cmd *cobra.Command) error {
	ways := 0
	for _, way := range []bool{len(o.images) > 0, o.restart, o.follow} {
		if way {
			ways++
		}
	}
	if ways != 1 {
		return usagef("say one of --image, --restart and --follow; usage: %s", cmd.UseLine())
	}
	if o.maxWait <= 0 {
		return usagef("--max-wait must be more than 0, such as 30m")
	}
	if err := o.target.Paced(); err != nil {
		return err
	}
	return o.dry.validate()
}

func (o *rolloutOptions) run(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	d, err := o.s.workload(ctx, c.Client, c.Namespace, o.target)
	if err != nil {
		return err
	}
	if !o.follow {
		started, err := o.start(ctx, c, d)
		if err != nil || started == nil {
			return err
		}
		if d, err = d.written(started); err != nil {
			return err
		}
	}
	return o.watch(ctx, c, d)
}

// start prices the change and writes it. It returns the object as written, nil where
// nothing was started.
func (o *rolloutOptions) start(ctx context.Context, c *cluster.Cluster, d workload) (client.Object, error) {
	if err := o.editable(ctx, c, d); err != nil {
		return nil, err
	}
	changed, err := o.change(d.Deployment)
	if err != nil {
		return nil, err
	}
	before, after, err := d.object(changed)
	if err == nil && o.restart && d.argo != nil {
		after, err = d.restarted(o.s.env.Now())
	}
	if err != nil {
		return nil, err
	}
	o.warn(d)
	cost, err := o.s.priceIfAllowed(ctx, c, changed)
	if err != nil {
		return nil, err
	}
	d.noteGate(&cost)
	late := !cost.Finish.IsZero() && cost.Finish.To.After(o.s.env.Now().Add(o.maxWait))
	o.announce(cost, late)
	if late {
		return nil, verdict(ExitHold)
	}
	if o.dry.on() {
		return nil, nil
	}
	if err := cluster.PatchLocked(ctx, c.Client, before, after); err != nil {
		return nil, fmt.Errorf("starting the rollout: %w", err)
	}
	return after, nil
}

// editable complains where an edit would be undone, or would not be paced.
func (o *rolloutOptions) editable(ctx context.Context, c *cluster.Cluster, d workload) error {
	if m := cluster.ManagedBy(d.Deployment); m.Tool != "" {
		return fmt.Errorf("%s belongs to %s (%s), which would undo the change: change it there, then `%s rollout %s -n %s --follow`; nothing was changed",
			o.target, m.Tool, m.Object, o.s.env.program(), o.target, d.Namespace)
	}
	if why := cluster.PausedBy(d.Deployment); why != "" {
		return &exitError{ExitPaused, fmt.Errorf("%s is paused: %s; `%s resume %s -n %s --reason ...` first; nothing was changed",
			o.target, why, o.s.env.program(), o.target, d.Namespace)}
	}
	if d.Spec.Paused {
		return &exitError{ExitPaused, fmt.Errorf("%s has spec.paused set: `kubectl rollout resume %s -n %s` first; nothing was changed", o.target, o.target, d.Namespace)}
	}
	if err := cluster.OptedIn(ctx, c.Client, d.Namespace); err != nil {
		return err
	}
	controller, err := cluster.ControllerOf(ctx, c.Client)
	if err != nil {
		return err
	}
	if err := o.s.refuseSkew(controller); err != nil {
		return err
	}
	return cluster.Working(controller, o.s.env.Now(), o.s.env.program())
}

// change returns the Deployment as it is wanted.
func (o *rolloutOptions) change(d *appsv1.Deployment) (*appsv1.Deployment, error) {
	if o.restart {
		changed := d.DeepCopy()
		if changed.Spec.Template.Annotations == nil {
			changed.Spec.Template.Annotations = map[string]string{}
		}
		changed.Spec.Template.Annotations[restartedAt] = o.s.env.Now().Format(time.RFC3339)
		return changed, nil
	}
	return setImages(d, o.images)
}

// setImages returns d with other images.
func setImages(d *appsv1.Deployment, images map[string]string) (*appsv1.Deployment, error) {
	changed := d.DeepCopy()
	left := len(images)
	var known []string
	for _, list := range []struct{ init bool }{{false}, {true}} {
		containers := changed.Spec.Template.Spec.Containers
		if list.init {
			containers = changed.Spec.Template.Spec.InitContainers
		}
		for i := range containers {
			known = append(known, containers[i].Name)
			if image, ok := images[containers[i].Name]; ok {
				containers[i].Image = image
				left--
			}
		}
	}
	if left > 0 {
		return nil, fmt.Errorf("%s has no such container; it has %s; nothing was changed", cluster.WorkloadOf(d), strings.Join(known, ", "))
	}
	return changed, nil
}

// warn says what of the strategy works against pacing.
func (o *rolloutOptions) warn(d workload) {
	if d.argo != nil && !d.argo.Gated {
		o.s.notef("Warning: no step of %s is %q: its pods are priced and counted, and wait for nothing", o.target, gateStep)
	}
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		o.s.notef("Warning: strategy Recreate deletes every pod first; the rollout is priced but never held")
	}
}

// announce says what the rollout costs and whether it starts.
func (o *rolloutOptions) announce(cost view.Cost, late bool) {
	outcome := "started; Ctrl-C stops watching, not the rollout"
	switch {
	case late:
		outcome = fmt.Sprintf("not started: it would take longer than --max-wait %s. To do about it: authenticate (a pull secret, and a PullBudget for it), "+
			"mirror the registry, or pin images that nodes have; `%s cost %s -n %s` says what costs. Or raise --max-wait. Nothing was changed",
			o.maxWait, o.s.env.program(), o.target, cost.Namespace)
	case o.dry.on():
		outcome = "dry run: nothing was changed"
	}
	render := view.PriceFields
	if o.s.env.Terminal {
		render = view.PriceLine
	}
	// A price that cannot be printed does not stop a rollout.
	_ = render(o.s.env.Out, view.Priced{Cost: cost, Outcome: outcome, Late: late}, o.s.style())
}
