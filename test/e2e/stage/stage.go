//go:build linux

package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/test/cluster"
	"github.com/pullpace/pace/test/ground"
	"github.com/pullpace/pace/test/registry"
	"github.com/pullpace/pace/test/registry/dialect"
	"github.com/pullpace/pace/test/registry/limit"
)

// Nodes is how many nodes there are, all behind one address, and so how many
// cold pulls a Deployment of as many replicas makes.
const Nodes = 4

// StaticPods is the folder of a node, under its /var/lib, that its kubelet runs
// pods from.
const StaticPods = "/var/lib/static"

// Runtime is in the user agent of what nodes ask a registry, and in no other's.
const Runtime = "containerd"

// Lab is the ground that all cases share.
type Lab struct {
	*ground.Ground
	// Client reads and writes objects, those of Pace too, with all rights.
	Client client.Client
	// Address is what a registry sees of every node.
	Address string
}

// Open brings the ground up without the product, with Nodes nodes unless others are asked
// for.
func Open(ctx context.Context, o ground.Options) (*Lab, error) {
	if o.Nodes == nil {
		o.Nodes = Machines(Nodes)
	}
	// Nodes learn of a mirror when they start.
	o.Registries = map[string]cluster.Registry{hostOf(Mirrored): {Mirrors: []string{"https://" + Mirror}}}
	g, err := ground.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	l, err := On(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("%w (then: %v)", err, g.Stop())
	}
	return l, nil
}

// Machines are nodes of a lab. Cases run side by side on them: a pull that a registry
// keeps waiting must not hold up those of other cases, nor may the kubelet's own limit
// of pulls a second.
func Machines(n int) (all []cluster.NodeOptions) {
	for range n {
		all = append(all, cluster.NodeOptions{Kubelet: map[string]any{
			"serializeImagePulls": false, "registryPullQPS": 0,
			"staticPodPath": StaticPods, "fileCheckFrequency": "2s",
		}})
	}
	return all
}

// SecondNodes is how many nodes the second cluster has: a machine watches only so many
// files, and every kubelet many of them.
const SecondNodes = 2

// Second brings up another cluster with the product, whose nodes pull from the same
// registry. It ends with the lab.
func (l *Lab) Second(ctx context.Context) (*Lab, error) {
	g, err := l.Neighbour(ctx, ground.Options{Nodes: Machines(SecondNodes), LogsDir: filepath.Join(l.Cluster.LogsDir(), "second")})
	if err != nil {
		return nil, err
	}
	second, err := On(ctx, g)
	if err != nil {
		return nil, err
	}
	if err := second.Install(ctx, "--enforce"); err != nil {
		return nil, err
	}
	second.FavourControllers(ctx)
	return second, nil
}

// FavourControllers has the machine give time to the controller's replicas first, as if
// they had processors of their own: four kubelets and a dozen runtimes share two with them
// here, and a webhook that is not answered in two seconds lets a pod go. Where the machine
// does not, the cases are as they would be.
func (l *Lab) FavourControllers(ctx context.Context) {
	pods, err := l.Controllers(ctx)
	for _, p := range pods {
		err = errors.Join(err, l.Favour(ctx, p.Namespace, p.Name))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: the controller shares its time with all others:", err)
	}
}

// On makes a lab of a ground that is up.
func On(ctx context.Context, g *ground.Ground) (*Lab, error) {
	l := &Lab{Ground: g}
	return l, l.open(ctx)
}

func (l *Lab) open(ctx context.Context) error {
	address, err := l.Cluster.EgressAddress(ctx, "")
	if err != nil {
		return err
	}
	l.Address = address.String()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if l.Client, err = client.New(l.Cluster.RESTConfig(), client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	return l.Push(ctx, Unmetered)
}

// Unmetered is an image that no limit applies to.
const Unmetered = ground.Infra + "/pace/idle:1"

// Mirrored is the name of the stage whose images the nodes ask a mirror for first,
// which has them all and meters nobody.
const (
	Mirrored = "mirror"
	Mirror   = "mirror.test"
)

// hostOf is the registry host of the stage of that name.
func hostOf(stage string) string { return stage + ".hub.test" }

// Options say what is particular about a stage. The zero value is what most
// cases use: 8 pulls in any 10 s, read from the headers of Docker Hub.
type Options struct {
	Limit  int64
	Window time.Duration
	Counts registry.Counts
	// Taken is what somebody else has taken of the account before Pace first asks.
	Taken int64
	// ReservePercent of the PullBudget; nil is the default.
	ReservePercent *int32
	// Fixed declares the limit; the registry then sends no headers.
	Fixed bool
	// NotPaced leaves the namespace without its label.
	NotPaced bool
	// NoBudget makes no PullBudget.
	NoBudget bool
	// Policy rules the stage's namespace instead of the default policy.
	Policy *v1alpha1.PacePolicySpec
	// Login makes the account that of a user, whose name is the stage's: pods carry a
	// pull secret, and Pace has the login too.
	Login bool
	// Strict has a login that fails refused; otherwise, as on Docker Hub, who fails to
	// log in is anonymous.
	Strict bool
	// Share of the PullBudget.
	Share *v1alpha1.Share
	// Breaker of the PullBudget.
	Breaker *v1alpha1.Breaker
	// PullSecrets are names of further pull secrets that log in to the account.
	PullSecrets []string
}

// The limit of a stage, unless its options say otherwise: real-cluster cases use
// 8 pulls per 10 s and 24 pulls.
const (
	Limit  = 8
	Window = 10 * time.Second
)

// Stage is one case's corner. Its name is that of its namespace, its PullBudget
// and the first label of its registry host.
type Stage struct {
	*Lab
	Name string
	Host *registry.Host
	// Tokens is the token service of the host; nil: nobody logs in.
	Tokens  *registry.TokenService
	Options Options
}

// New makes a stage and, unless it has no budget, waits for a first reading.
func (l *Lab) New(ctx context.Context, name string, o Options) (*Stage, error) {
	if o.Limit == 0 {
		o.Limit = Limit
	}
	if o.Window == 0 {
		o.Window = Window
	}
	if o.Counts == "" {
		o.Counts = registry.CountsManifestGET
	}
	s := &Stage{Lab: l, Name: name, Options: o}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	s.Host.Spend(s.Identity(), o.Taken)
	return s, s.furnish(ctx)
}

// Beside makes the same corner on another cluster: the registry, and with a login the
// account, are this stage's own.
func (s *Stage) Beside(ctx context.Context, other *Lab) (*Stage, error) {
	if err := other.Reach(s.Host.Name()); err != nil {
		return nil, err
	}
	twin := &Stage{Lab: other, Name: s.Name, Host: s.Host, Tokens: s.Tokens, Options: s.Options}
	return twin, twin.furnish(ctx)
}

// open adds the registry host.
func (s *Stage) open(ctx context.Context) (err error) {
	config := registry.HostConfig{
		Name: hostOf(s.Name), Dialect: dialect.DockerHub, Denial: registry.HubDenial(),
		Limiters: []registry.Limiter{{
			Spec: limit.Spec{Kind: limit.RollingLog, Limit: s.Options.Limit, Window: s.Options.Window},
			Per:  registry.PerEgressIP, Counts: s.Options.Counts,
		}},
	}
	if s.Options.Fixed {
		config.Dialect = dialect.None
	}
	if s.Options.Login {
		config.Auth, config.Limiters[0].Per = registry.BearerAuth, registry.PerAccount
		s.Tokens, err = s.AddToken(registry.TokenConfig{Host: config.Name, Accounts: map[string]string{s.Name: Password}, Downgrade: !s.Options.Strict})
		if err != nil {
			return err
		}
		config.Token = s.Tokens
		if s.Options.Strict {
			config.Private = []string{"*"}
		}
	}
	if s.Host, err = s.AddHost(config); err != nil {
		return err
	}
	if s.Name == Mirrored {
		if _, err := s.AddHost(registry.HostConfig{Name: Mirror, Store: s.Host.Store()}); err != nil {
			return err
		}
	}
	return s.Push(ctx, s.Image("probe"))
}

// furnish makes the stage's objects and, unless it has no budget, waits for a first
// reading.
func (s *Stage) furnish(ctx context.Context) error {
	if err := s.Namespace(ctx, s.Name, !s.Options.NotPaced); err != nil {
		return err
	}
	if s.Options.Login {
		if err := s.PullSecret(ctx, s.Name, s.Name, s.Host.Name(), s.Name, Password); err != nil {
			return err
		}
	}
	if s.Options.Policy != nil {
		if err := s.rule(ctx); err != nil {
			return err
		}
	}
	if s.Options.NoBudget {
		return nil
	}
	return s.declare(ctx)
}

// Password is that of every user, whose name is the stage's.
const Password = "correct horse"

// Budget is the PullBudget of the stage.
func (s *Stage) Budget() *v1alpha1.PullBudget {
	budget := &v1alpha1.PullBudget{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name},
		Spec: v1alpha1.PullBudgetSpec{
			Registry: s.Host.Name(),
			Probe:    &v1alpha1.Probe{Repository: "probe:1", CABundle: string(s.Registry.CA().PEM())},
			Reserve:  &v1alpha1.Reserve{Percent: s.Options.ReservePercent},
			Share:    s.Options.Share,
			Breaker:  s.Options.Breaker,
		},
	}
	if s.Options.Fixed {
		budget.Spec.Limit = &v1alpha1.Limit{Source: v1alpha1.Fixed, Pulls: s.Options.Limit, Window: &metav1.Duration{Duration: s.Options.Window}}
	}
	if s.Name == Mirrored {
		budget.Spec.Mirrors = []string{Mirror}
	}
	if s.Options.Login {
		budget.Spec.Identity, budget.Spec.Credentials = v1alpha1.Credentials, &v1alpha1.BudgetCredentials{SecretName: s.Name}
		budget.Spec.Match = &v1alpha1.BudgetMatch{PullSecretNames: append([]string{s.Name}, s.Options.PullSecrets...)}
	}
	return budget
}

// declare makes the PullBudget and waits for its first reading.
func (s *Stage) declare(ctx context.Context) error {
	if s.Options.Login {
		if err := s.PullSecret(ctx, v1alpha1.Namespace, s.Name, s.Host.Name(), s.Name, Password); err != nil {
			return err
		}
	}
	if err := s.Client.Create(ctx, s.Budget()); err != nil {
		return fmt.Errorf("making PullBudget %q: %w", s.Name, err)
	}
	return s.AwaitAccount(ctx, "a first reading", func(a v1alpha1.AccountStatus) bool {
		return a.Grade == "OK" && a.Limit == s.Options.Limit
	})
}

// Identity is whom the registry meters for the nodes' pulls.
func (s *Stage) Identity() registry.Identity {
	if s.Options.Login {
		return registry.Account(s.Name, s.Address)
	}
	return registry.Anonymous(s.Address)
}

// Image is the reference of an app's image at the stage's host.
func (s *Stage) Image(app string) string { return s.Host.Name() + "/" + app + ":1" }

// Deployment pushes the app's image and returns a Deployment of it.
func (s *Stage) Deployment(ctx context.Context, app string, replicas int32) (*appsv1.Deployment, error) {
	if err := s.Push(ctx, s.Image(app)); err != nil {
		return nil, err
	}
	d := ground.Deployment(s.Name, app, s.Image(app), replicas)
	if s.Options.Login {
		d.Spec.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: s.Name}}
	}
	return d, nil
}

// Deploy pushes the app's image and makes a Deployment of it.
func (s *Stage) Deploy(ctx context.Context, app string, replicas int32) error {
	d, err := s.Deployment(ctx, app, replicas)
	if err != nil {
		return err
	}
	return s.Create(ctx, d)
}

// Fleet makes n Deployments, each of an image of its own and with a pod on every
// node: n*Nodes cold pulls. It returns their names.
func (s *Stage) Fleet(ctx context.Context, n int) ([]string, error) {
	var all []*appsv1.Deployment
	var names []string
	for i := range n {
		d, err := s.Deployment(ctx, fmt.Sprintf("app-%d", i+1), Nodes)
		if err != nil {
			return nil, err
		}
		all, names = append(all, d), append(names, d.Name)
	}
	// Images are pushed first, so that all ask at once.
	for _, d := range all {
		if err := s.Create(ctx, d); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// Await returns when all those Deployments run what they should.
func (s *Stage) Await(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := s.AwaitRollout(ctx, s.Name, name); err != nil {
			return err
		}
	}
	return nil
}

// Clear removes the stage's objects, without waiting for their end.
func (s *Stage) Clear(ctx context.Context) error {
	if out := s.Kubectl(ctx, "delete", "namespace", s.Name, "--wait=false"); out.Code != 0 {
		return fmt.Errorf("clearing the stage: %s", out)
	}
	if s.Options.Policy != nil {
		if err := s.unrule(ctx); err != nil {
			return err
		}
	}
	if s.Options.NoBudget {
		return nil
	}
	if out := s.Kubectl(ctx, "delete", "pullbudget", s.Name, "--wait=false"); out.Code != 0 && !strings.Contains(out.Stderr, "not found") {
		return fmt.Errorf("clearing the stage: %s", out)
	}
	return nil
}

// ClearAway is Clear and waits until nodes and API server have nothing of it left.
func (s *Stage) ClearAway(ctx context.Context) error {
	if err := s.Clear(ctx); err != nil {
		return err
	}
	return Poll(ctx, "the stage's objects to be gone", func(ctx context.Context) (bool, string, error) {
		_, err := s.Cluster.Client().CoreV1().Namespaces().Get(ctx, s.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		return false, "the namespace is there", err
	})
}
