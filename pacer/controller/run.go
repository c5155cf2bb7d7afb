package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/engine"
	"github.com/pullpace/pace/pacer/heartbeat"
	"github.com/pullpace/pace/pacer/kube"
)

// The pace of requests to the API server. Source: the table of defaults; the
// gate of a burst of pods comes off at one request each.
const (
	apiQPS   = 300
	apiBurst = 500
)

// leaseName is the Lease of the leader election; not the heartbeat, which only
// completed turns renew.
const leaseName = "pullpace-leader"

// Options say how the controller runs. The zero value of a field is its default.
type Options struct {
	// Namespace is where it runs; pullpace-system.
	Namespace string
	// Identity names this replica in the heartbeat.
	Identity string
	// LeaderElect lets one of several replicas take turns.
	LeaderElect bool
	// WebhookPort is where admission and /v1/budgets are served; 10250.
	WebhookPort int
	// WebhookConfig is the MutatingWebhookConfiguration that gets our authority, and
	// WebhookService the Service that it names; both "pacer".
	WebhookConfig, WebhookService string
	// WebhookHosts are further names and addresses of the certificate.
	WebhookHosts []string
	// MetricsAddress and HealthAddress are listened on; ":8080" and ":8081", "0" is off.
	MetricsAddress, HealthAddress string
	// GateAddress is where steps of Argo Rollouts ask in the clear; ":8083", "0" is off.
	GateAddress string
	// ProbeProxy and ProbeNoProxy are how probes leave the cluster, as in HTTPS_PROXY
	// and NO_PROXY. The API server is never asked through a proxy.
	ProbeProxy, ProbeNoProxy string
	// ProbeAuthorities is PEM of certificate authorities that probes trust besides
	// the system's.
	ProbeAuthorities string
	// Trace is how many bytes of the engine's calls are kept, compressed, and served at
	// TraceAddress, which is of the pod itself; 0: none. See `pace simulate record`.
	Trace        int
	TraceAddress string
	// Version is shown to registries and the API server.
	Version string
	// Registerer takes the metrics; controller-runtime's registry.
	Registerer Registerer
}

// Defaults are the options of a replica in its own cluster.
func Defaults() Options { return Options{LeaderElect: true}.withDefaults() }

func (o Options) withDefaults() Options {
	orElse(&o.Namespace, v1alpha1.Namespace)
	orElse(&o.Identity, "pacer")
	orElse(&o.WebhookPort, v1alpha1.WebhookPort)
	orElse(&o.WebhookConfig, "pacer")
	orElse(&o.WebhookService, "pacer")
	orElse(&o.MetricsAddress, ":8080")
	orElse(&o.HealthAddress, ":8081")
	orElse(&o.GateAddress, ":8083")
	orElse(&o.TraceAddress, net.JoinHostPort("127.0.0.1", strconv.Itoa(v1alpha1.TracePort)))
	orElse(&o.Version, "dev")
	if o.Registerer == nil {
		o.Registerer = metrics.Registry
	}
	return o
}

func orElse[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Scheme holds every kind that the controller reads or writes.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("building the scheme: %w", err)
		}
	}
	return scheme, nil
}

// Run runs the controller until ctx ends. It returns an error when it cannot go
// on; a new process may.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	o = o.withDefaults()
	scheme, err := Scheme()
	if err != nil {
		return err
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = apiQPS, apiBurst
	config.UserAgent = "pacer/" + o.Version
	direct(config)
	keeper := newKeeper(o)
	mgr, err := manager.New(config, managerOptions(o, scheme, keeper))
	if err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, indexHeld, heldIndex); err != nil {
		return fmt.Errorf("indexing held pods: %w", err)
	}
	if err := compose(ctx, mgr, o, keeper); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("running the controller: %w", err)
	}
	return nil
}

// direct keeps the proxy of the environment, which is for registries, away from the
// API server. One that a kubeconfig names stays.
func direct(config *rest.Config) {
	if config.Proxy == nil {
		config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
}

func managerOptions(o Options, scheme *runtime.Scheme, k *keeper) manager.Options {
	own := map[string]cache.Config{o.Namespace: {}}
	grace := 8 * time.Second // less than what the pod is given to end
	return manager.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				// Since when a namespace is opted in, only its managed fields tell.
				&corev1.Namespace{}: {Transform: kube.TrimNamespace},
				&corev1.Pod{}:       {Transform: kube.NewTrimmer().Pod},
				&corev1.Secret{}:    {Namespaces: own},
				&corev1.ConfigMap{}: {Namespaces: own, Label: questions()},
				&coordinationv1.Lease{}: {Namespaces: map[string]cache.Config{o.Namespace: {
					FieldSelector: fields.OneTermEqualSelector("metadata.name", v1alpha1.Heartbeat)}}},
			},
		},
		LeaderElection: o.LeaderElect, LeaderElectionID: leaseName, LeaderElectionNamespace: o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:        o.HealthAddress,
		GracefulShutdownTimeout:       &grace,
		WebhookServer: webhook.NewServer(webhook.Options{
			Port:    o.WebhookPort,
			TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.GetCertificate = k.certificate; c.MinVersion = tls.VersionTLS12 }},
		}),
	}
}

// newKeeper makes the keeper of the webhook's certificate.
func newKeeper(o Options) *keeper {
	service := o.WebhookService + "." + o.Namespace
	k := &keeper{
		clock: clock.RealClock{}, webhook: o.WebhookConfig,
		secret: client.ObjectKey{Namespace: o.Namespace, Name: certSecret},
		host:   service + ".svc", names: []string{service, service + ".svc.cluster.local"},
	}
	for _, host := range o.WebhookHosts {
		if ip := net.ParseIP(host); ip != nil {
			k.ips = append(k.ips, ip)
		} else {
			k.names = append(k.names, host)
		}
	}
	return k
}

// compose makes the parts and gives them to the manager.
func compose(ctx context.Context, mgr manager.Manager, o Options, k *keeper) error {
	c, live, real := mgr.GetClient(), mgr.GetAPIReader(), newSteady()
	m, events := NewMetrics(o.Registerer), mgr.GetEventRecorder("pullpace")
	k.client, k.live, k.cache = c, live, mgr.GetCache()
	r := &releaser{client: c, live: live}
	f := newFeed()
	disco, err := discovery.NewDiscoveryClientForConfig(mgr.GetConfig())
	if err != nil {
		return fmt.Errorf("composing the controller: %w", err)
	}
	open, err := newClients(c, o, real.Now)
	if err != nil {
		return err
	}
	explain := newExplainer(c, events, real)
	answers := &answers{client: c}
	quotes := newQuoter(open.open, c, real.Now)
	beat := &pulse{reader: c, clock: real, namespace: o.Namespace}
	held := newHeldCount()
	admit := &admitter{reader: c, live: live, held: held, decoder: admission.NewDecoder(mgr.GetScheme()), clock: real, metrics: m, beating: beat.beating}
	admit.pricer = newPricer(c, held, admit.rules.Load, quotes, beat.beating, real)
	prove, books := newProver(c, live, o, m, real), newBookkeeper(c)
	books.prover = prove
	asking := newProber(open.open, m, real.Now, f.wake)
	asking.distant = &distant{client: c, namespace: o.Namespace, now: real.Now}
	known := newWorld()
	known.self = client.ObjectKey{Namespace: o.Namespace, Name: o.Identity}
	config, kept := engine.Config{Seed: seed(o.Identity)}, newTape(o.Trace, real.set)
	turn := &Turn{
		engine: &taped{Engine: engine.New(config), tape: kept}, world: known, feed: f, clock: real,
		releaser: r, prober: asking, books: books,
		explainer: explain, disrupt: newDisruption(c, events), doubter: newDoubter(c, events), alarms: newAlarms(c, events, m), hinter: newHinter(live, f.wake), restorer: newRestorer(c, events, admit.pricer.price), metrics: m, answers: answers, events: events, slips: prove.hurry,
		heart: &heartbeat.Writer{Client: c, Live: live, Lease: beatKey(o.Namespace), Identity: o.Identity, Version: o.Version},
		cache: mgr.GetCache(), reader: live, version: o.Version, config: config,
		rights: &nodeRights{client: c}, looseUntil: map[types.UID]time.Time{}, crowdedAt: map[kube.Owner]time.Time{},
	}
	waiting := newRuns()
	turn.claims = newClaims(real, f.wake)
	turn.argo = &argoWatch{config: mgr.GetConfig(), http: mgr.GetHTTPClient(), scheme: mgr.GetScheme(), mapper: mgr.GetRESTMapper(), feed: f, runs: waiting,
		ways: newWays(turn.claims, m.bypassed)}
	keeping := newGatekeeper(turn.claims, waiting, live)
	keeping.count = m.gateAnswered
	turn.orders = newOrders(events, turn.world.tracker.BudgetsOf)
	asking.egressOf = turn.egressOf
	runnables := []manager.Runnable{
		&stations{client: c, live: live, namespace: o.Namespace, identity: o.Identity},
		k, beat, turn, explain, quotes, prove, &rulesWatch{cache: mgr.GetCache(), reader: c, admitter: admit},
		&karpenterWatch{cache: mgr.GetCache(), reader: live, discovery: disco, feed: f},
		&fleetWatch{cache: mgr.GetCache(), pricer: admit.pricer}, &heldWatch{cache: mgr.GetCache(), held: held},
		&bound{client: c, releaser: r, events: events, metrics: m, clock: real, beating: beat.beating},
	}
	if o.GateAddress != "0" {
		runnables = append(runnables, &gateServer{handler: keeping, address: o.GateAddress})
	}
	if kept != nil {
		runnables = append(runnables, &tapeServer{tape: kept, address: o.TraceAddress})
	}
	for _, part := range runnables {
		if err := mgr.Add(part); err != nil {
			return fmt.Errorf("composing the controller: %w", err)
		}
	}
	if err := warmCaches(ctx, mgr.GetCache()); err != nil {
		return err
	}
	server := mgr.GetWebhookServer()
	server.Register(admitPath, &admission.Webhook{Handler: admit})
	server.Register(admitJobsPath, &admission.Webhook{Handler: &jobAdmitter{admit}})
	server.Register(admitDeploymentsPath, &admission.Webhook{Handler: &deploymentAdmitter{admitter: admit, own: ownAccounts(o.Namespace)}})
	server.Register(admitOrdersPath, &admission.Webhook{Handler: &orderAdmitter{clock: real, own: ownAccounts(o.Namespace)}})
	server.Register(admitWarnedPath, &admission.Webhook{Handler: &warner{pricer: admit.pricer, reader: c, decoder: admit.decoder}})
	server.Register(answersPath, answers)
	server.Register(kube.GatePath, keeping)
	return addChecks(mgr, k, admit)
}

// seed spreads the jitter of probes over clusters and replicas.
func seed(identity string) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range []byte(identity) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

// warmCaches makes every informer that admission reads part of what is synced
// before the first pod is admitted.
func warmCaches(ctx context.Context, c cache.Cache) error {
	for _, object := range append(kinds(), &corev1.Secret{}, &corev1.ConfigMap{}, &coordinationv1.Lease{}) {
		if _, err := c.GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
	}
	return nil
}

// addChecks makes readiness mean that this replica can answer admission: caches
// are synced, the server listens, and the API server trusts its certificate. A
// follower is ready too.
func addChecks(mgr manager.Manager, k *keeper, a *admitter) error {
	if err := mgr.AddHealthzCheck("ping", func(*http.Request) error { return nil }); err != nil {
		return fmt.Errorf("adding a health check: %w", err)
	}
	synced := func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errNotYet("caches are not synced yet")
		}
		return nil
	}
	checks := map[string]func(*http.Request) error{
		"caches": synced, "webhook": mgr.GetWebhookServer().StartedChecker(), "certificate": k.ready, "rules": a.ready,
	}
	for name, check := range checks {
		if err := mgr.AddReadyzCheck(name, check); err != nil {
			return fmt.Errorf("adding readiness check %q: %w", name, err)
		}
	}
	return nil
}
