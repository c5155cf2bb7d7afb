package plugin

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/manifests"
	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/setup"
	"github.com/pullpace/pace/plugin/view"
)

// defaultPolicy is the PacePolicy that an installation makes.
const defaultPolicy = "default"

type installOptions struct {
	s        *session
	out      output
	dry      dryRun
	override setup.Override
	// authorities is the file of --ca-bundle.
	authorities string
	shadow      bool
	enforce     bool
	explain     bool
	wait        bool
	timeout     time.Duration
	budgets     string
	objects     []*unstructured.Unstructured
	modeGiven   bool
}

func newInstall(s *session) *cobra.Command {
	o := &installOptions{s: s}
	cmd := &cobra.Command{
		Use:   "install [--shadow | --enforce] [--dry-run] [--explain-rbac]",
		Short: "Put Pace into the cluster; nothing is held until a namespace is opted in",
		Long: "Put Pace into the cluster, or bring it up to date, and wait until it is ready.\n\n" +
			"No namespace is opted in, and the default PacePolicy only watches (mode Shadow)\n" +
			"unless --enforce says otherwise; an existing one is kept as it is.\n" +
			"--dry-run=client -o yaml prints what would be applied, for a repository.\n\n" +
			"It looks at the images that run and makes a PullBudget for each registry that has\n" +
			"none (--budgets=print: shows them). None is ever overwritten, and no limit is guessed.",
		Example: s.examples("install --explain-rbac", "install --shadow --dry-run=client -o yaml > pace.yaml", "install --image-registry registry.corp.example/pace",
			"install --https-proxy http://proxy.corp.example:3128 --no-proxy .corp.example --ca-bundle corp.pem"),
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.complete(); err != nil {
				return err
			}
			return o.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	o.out.add(flags)
	o.dry.add(flags)
	flags.StringVar(&o.override.Image, "image", "", "the controller's image, instead of "+manifests.Image)
	flags.StringVar(&o.override.Registry, "image-registry", "", "registry and path to take the controller's image from")
	flags.StringVar(&o.override.Egress.HTTPSProxy, "https-proxy", "", "proxy through which the controller asks registries, as http://host:port; never the API server")
	flags.StringVar(&o.override.Egress.NoProxy, "no-proxy", "", "hosts, domains and networks that are asked without the proxy, separated by commas")
	flags.StringVar(&o.authorities, "ca-bundle", "", "file with the certificate authorities of registries, in PEM")
	flags.StringVar(&o.override.Trace, "trace", "", "how much of what it sees and decides the controller keeps in memory, as 64Mi, for simulate record --decisions; by default nothing")
	flags.BoolVar(&o.override.NodeWaves, "node-waves", false, "allow the controller to hold new nodes; it does where a PacePolicy says nodes.hold: true")
	flags.BoolVar(&o.shadow, "shadow", false, "make the default policy watch only (the default)")
	flags.BoolVar(&o.enforce, "enforce", false, "make the default policy hold")
	flags.BoolVar(&o.explain, "explain-rbac", false, "list every permission and stop")
	flags.StringVar(&o.budgets, "budgets", budgetsWrite, "PullBudgets for the registries of the images that run: write, print or none")
	flags.BoolVar(&o.wait, "wait", true, "wait until the controller is ready and a dry-run pod comes back gated")
	flags.DurationVar(&o.timeout, "timeout", 3*time.Minute, "how long to wait")
	return cmd
}

func (o *installOptions) complete() (err error) {
	if err := o.out.validate(); err != nil {
		return err
	}
	if err := o.dry.validate(); err != nil {
		return err
	}
	if err := validBudgets(o.budgets); err != nil {
		return err
	}
	if o.shadow && o.enforce {
		return usagef("--shadow and --enforce exclude each other")
	}
	o.modeGiven = o.shadow || o.enforce
	if o.authorities != "" {
		text, err := o.s.env.ReadFile(o.authorities)
		if err != nil {
			return fmt.Errorf("reading --ca-bundle: %w", err)
		}
		o.override.Egress.Authorities = string(text)
	}
	if err := o.override.Egress.Validate(); err != nil {
		return usagef("%w", err)
	}
	if err := o.override.ValidateTrace(); err != nil {
		return usagef("%w", err)
	}
	o.override.Digest, o.override.Version = o.s.env.ImageDigest, o.s.env.Version
	o.objects, err = setup.Render(source(), o.override)
	return err
}

// WriteManifests writes what `install` applies for a release whose controller has
// the image of that digest, with a default policy that only watches.
func WriteManifests(w io.Writer, version, digest string) error {
	objects, err := setup.Render(source(), setup.Override{Digest: digest, Version: version})
	if err != nil {
		return err
	}
	return setup.Print(w, append(objects, (&installOptions{}).policy()))
}

// source is the base that this binary carries.
func source() setup.Source {
	return setup.Source{
		Files: manifests.Files(), Base: manifests.Base, Image: manifests.Image, Controller: cluster.ControllerName, NodeWaves: manifests.NodeWaves,
	}
}

func (o *installOptions) run(ctx context.Context) error {
	if o.explain {
		return o.explainRBAC()
	}
	model := view.Install{Image: setup.ImageOf(o.objects, cluster.ControllerName), Mode: string(o.mode()), DryRun: o.dry.on(), Server: "not asked"}
	if o.dry.mode == "client" {
		return o.print(model)
	}
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	if err := o.before(ctx, c, &model); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := o.apply(ctx, c, &model); err != nil {
		return err
	}
	if err := o.after(ctx, c, &model); err != nil {
		return err
	}
	if err := o.found(ctx, c, &model); err != nil {
		return err
	}
	return show(o.s, o.out, model, view.InstallPage)
}

// explainRBAC lists every permission, and those that a flag would add.
func (o *installOptions) explainRBAC() error {
	rules, err := setup.Permissions(o.objects)
	if err != nil {
		return err
	}
	if !o.override.NodeWaves {
		more := o.override
		more.NodeWaves = true
		objects, err := setup.Render(source(), more)
		if err != nil {
			return err
		}
		all, err := setup.Permissions(objects)
		if err != nil {
			return err
		}
		rules.Add(all, "--node-waves")
	}
	return show(o.s, o.out, rules, view.RBACPage)
}

// print lists what would be applied without asking a cluster.
func (o *installOptions) print(model view.Install) error {
	objects := append(o.objects[:len(o.objects):len(o.objects)], o.policy())
	if o.out.format == "yaml" {
		return setup.Print(o.s.env.Out, objects)
	}
	for _, obj := range objects {
		model.Objects = append(model.Objects, view.Applied{Kind: obj.GetKind(), Namespace: obj.GetNamespace(), Name: obj.GetName(), Change: "would apply"})
	}
	return show(o.s, o.out, model, view.InstallPage)
}

// before checks that the cluster can run Pace.
func (o *installOptions) before(ctx context.Context, c *cluster.Cluster, model *view.Install) error {
	info, err := c.Version()
	if err != nil {
		return fmt.Errorf("asking for the version: %w", err)
	}
	model.Server = info.GitVersion
	got, err := version.ParseGeneric(info.GitVersion)
	if err == nil && got.LessThan(version.MustParseGeneric(oldestCluster)) {
		return fmt.Errorf("the cluster is %s: Pace needs %s or newer; nothing was changed", info.GitVersion, oldestCluster)
	}
	if note := supported(info.GitVersion); note != "" {
		model.Notes = append(model.Notes, fmt.Sprintf("cluster %s %s: supported are %s - %s", info.GitVersion, note, oldestCluster, newestCluster))
	}
	return o.ownImage(ctx, c, model)
}

// apply writes everything in order.
func (o *installOptions) apply(ctx context.Context, c *cluster.Cluster, model *view.Install) error {
	target := o.dry.client(c.Client)
	for _, obj := range o.objects {
		done, err := setup.Apply(ctx, target, obj)
		if o.dry.on() && apierrors.IsNotFound(err) {
			// The API server cannot check what goes into a namespace that a dry
			// run does not make.
			done.Change, err = "created", nil
		}
		if err != nil {
			return fmt.Errorf("%w; %d objects were applied before it, run the command again", err, len(model.Objects))
		}
		if o.dry.on() {
			done.Change = would(done.Change)
		} else if obj.GetKind() == "CustomResourceDefinition" {
			if err := setup.Established(ctx, c.Client, obj); err != nil {
				return err
			}
		}
		model.Objects = append(model.Objects, done)
	}
	return o.applyPolicy(ctx, c, target, model)
}

// would says of a dry run what a real one says it did.
func would(change string) string {
	switch change {
	case "created":
		return "would create"
	case "configured":
		return "would change"
	}
	return change
}

// applyPolicy makes the default policy, and changes one that exists only if told.
func (o *installOptions) applyPolicy(ctx context.Context, c *cluster.Cluster, target client.Client, model *view.Install) error {
	var existing v1alpha1.PacePolicy
	err := c.Client.Get(ctx, client.ObjectKey{Name: defaultPolicy}, &existing)
	if err == nil && !o.modeGiven {
		model.Mode = string(existing.Spec.Mode)
		model.Objects = append(model.Objects, view.Applied{Kind: "PacePolicy", Name: defaultPolicy, Change: "kept"})
		return nil
	}
	if o.dry.on() && err != nil {
		// Its kind may not exist yet.
		model.Objects = append(model.Objects, view.Applied{Kind: "PacePolicy", Name: defaultPolicy, Change: would("created")})
		return nil
	}
	done, err := setup.Apply(ctx, target, o.policy())
	if err != nil {
		return err
	}
	model.Objects = append(model.Objects, done)
	return nil
}

func (o *installOptions) mode() v1alpha1.Mode {
	if o.enforce {
		return v1alpha1.Enforce
	}
	return v1alpha1.Shadow
}

// policy is the default PacePolicy.
func (o *installOptions) policy() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion().String(),
		"kind":       "PacePolicy",
		"metadata":   map[string]any{"name": defaultPolicy},
		"spec":       map[string]any{"mode": string(o.mode())},
	}}
}

// after waits for the controller, until a pod comes back gated, and counts what is
// opted in.
func (o *installOptions) after(ctx context.Context, c *cluster.Cluster, model *view.Install) error {
	if o.wait && !o.dry.on() {
		for _, obj := range o.objects {
			if obj.GetKind() != "Deployment" {
				continue
			}
			seen, err := setup.Ready(ctx, c.Client, client.ObjectKeyFromObject(obj))
			if err != nil {
				return fmt.Errorf("%w; everything is applied: kubectl describe pods -n %s", err, v1alpha1.Namespace)
			}
			if obj.GetName() == cluster.ControllerName {
				model.Controller = seen
			} else {
				model.Failsafe = seen
			}
		}
		if err := o.prove(ctx, c, model); err != nil {
			return err
		}
	}
	var opted corev1.NamespaceList
	if err := c.Client.List(ctx, &opted, client.MatchingLabels{v1alpha1.LabelPace: v1alpha1.LabelPaceEnabled}); err != nil {
		return fmt.Errorf("counting namespaces: %w", err)
	}
	model.Namespaces = len(opted.Items)
	return nil
}
