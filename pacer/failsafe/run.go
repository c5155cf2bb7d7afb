package failsafe

import (
	"context"
	"fmt"
	"net/http"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/heartbeat"
)

// againAfter is how long it waits before it connects again. It does so itself: a
// container that exits is started ever later.
const againAfter = 2 * time.Second

// Options say how the failsafe runs. The zero value of a field is its default.
type Options struct {
	// Namespace is where Pace runs; pullpace-system.
	Namespace string
	// Identity names this process in its heartbeat.
	Identity string
	// HealthAddress and MetricsAddress are listened on; ":8081" and ":8080", "0" is off.
	HealthAddress, MetricsAddress string
	// Version is shown to the API server.
	Version string
}

// Defaults are the options of a pod in its own cluster.
func Defaults() Options {
	return Options{Namespace: v1alpha1.Namespace, Identity: "pacer-failsafe", HealthAddress: ":8081", MetricsAddress: ":8080", Version: "dev"}
}

// Run watches until ctx ends, whatever the API server does meanwhile.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	config = rest.CopyConfig(config)
	config.UserAgent = "pacer-failsafe/" + o.Version
	// Everything of a large cluster must go within minutes.
	config.QPS, config.Burst = 100, 200
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return fmt.Errorf("building the scheme: %w", err)
	}
	f := &Failsafe{clock: clock.RealClock{}, turns: client.ObjectKey{Namespace: o.Namespace, Name: v1alpha1.Heartbeat}, metrics: NewMetrics(metrics.Registry)}
	for {
		err := f.run(ctx, config, scheme, o)
		if ctx.Err() != nil {
			return nil
		}
		log.FromContext(ctx).Error(err, "connecting again")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(againAfter):
		}
	}
}

// slim keeps of a node what says whether and until when it is held; the images that it
// lists alone would be more than all else that is watched.
func slim(object any) (any, error) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	n.ManagedFields, n.Status = nil, corev1.NodeStatus{}
	return n, nil
}

// run watches until ctx ends or the cluster cannot be reached.
func (f *Failsafe) run(ctx context.Context, config *rest.Config, scheme *runtime.Scheme, o Options) error {
	held, err := labels.NewRequirement(v1alpha1.LabelHeld, selection.Exists, nil)
	if err != nil {
		return fmt.Errorf("selecting what is held: %w", err)
	}
	only := cache.ByObject{Label: labels.NewSelector().Add(*held)}
	watched := map[client.Object]cache.ByObject{
		&corev1.Pod{}: only, &appsv1.Deployment{}: only, &batchv1.Job{}: only,
		// Of nodes all: one that registers with our taint has no label yet.
		&corev1.Node{}: {Transform: slim},
	}
	mgr, err := manager.New(config, manager.Options{
		Scheme: scheme, HealthProbeBindAddress: o.HealthAddress, Metrics: metricsserver.Options{BindAddress: o.MetricsAddress},
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: watched},
	})
	if err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	for object := range watched {
		if _, err := mgr.GetCache().GetInformer(ctx, object, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
	}
	f.client, f.live, f.events = mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder(v1alpha1.FieldManager)
	f.heart = &heartbeat.Writer{Client: f.client, Live: f.live, Identity: o.Identity,
		Lease: client.ObjectKey{Namespace: o.Namespace, Name: v1alpha1.FailsafeHeartbeat}}
	if err := mgr.Add(f); err != nil {
		return fmt.Errorf("composing the failsafe: %w", err)
	}
	alive := func(*http.Request) error { return nil }
	if err := mgr.AddHealthzCheck("ping", alive); err != nil {
		return fmt.Errorf("adding a health check: %w", err)
	}
	synced := func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return fmt.Errorf("caches are not synced yet")
		}
		return nil
	}
	if err := mgr.AddReadyzCheck("caches", synced); err != nil {
		return fmt.Errorf("adding a readiness check: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("watching what is held: %w", err)
	}
	return nil
}
