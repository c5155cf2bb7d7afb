package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/registry"
)

// askWithin bounds one exchange with a registry, so that the answer still comes in
// time.
const askWithin = 5 * time.Second

// Options say for whom a probe asks.
type Options struct {
	// Namespace is where the questions are, Egress the group that they are for.
	Namespace, Egress string
	// Agent is shown to registries.
	Agent string
	// Proxy and Authorities, in PEM, are those of the cluster's own network.
	Proxy       registry.Proxy
	Authorities string
}

// Probe answers the questions of one egress group, one after the other.
type Probe struct {
	Client  kubernetes.Interface
	Options Options
	// Ask asks a registry; nil asks as the question says.
	Ask func(ctx context.Context, ask Ask) (quota.Observation, error)
}

// Run answers until ctx ends.
func (p *Probe) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(p.Client, 0, informers.WithNamespace(p.Options.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = LabelEgress + "=" + GroupID(p.Options.Egress) }))
	questions := factory.Core().V1().ConfigMaps()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	defer queue.ShutDown()
	put := func(o any) {
		if c, ok := o.(*corev1.ConfigMap); ok {
			queue.Add(c.Name)
		}
	}
	_, err := questions.Informer().AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: put, UpdateFunc: func(_, o any) { put(o) }})
	if err != nil {
		return fmt.Errorf("watching questions: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	defer context.AfterFunc(ctx, queue.ShutDown)()
	log.FromContext(ctx).Info("asking", "egress", p.Options.Egress)
	for {
		name, stop := queue.Get()
		if stop {
			return nil
		}
		question, err := questions.Lister().ConfigMaps(p.Options.Namespace).Get(name)
		if err == nil {
			err = p.answer(ctx, question)
		}
		switch {
		case err == nil || apierrors.IsNotFound(err):
			queue.Forget(name)
		case ctx.Err() == nil:
			log.FromContext(ctx).Error(err, "question not answered", "name", name)
			queue.AddRateLimited(name)
		}
		queue.Done(name)
	}
}

// answer answers a question that has no answer yet.
func (p *Probe) answer(ctx context.Context, question *corev1.ConfigMap) error {
	ask, ok, err := AskOf(question.Data)
	if err != nil || !ok {
		return err
	}
	send := p.Ask
	if send == nil {
		send = p.send
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	o, err := send(asking, ask)
	answer := Answer{ID: ask.ID, Observation: o}
	if err != nil {
		answer.Failed = printable(err.Error())
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	patch, err := json.Marshal(map[string]any{"data": map[string]string{answerKey: string(text)}})
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	_, err = p.Client.CoreV1().ConfigMaps(question.Namespace).Patch(ctx, question.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "pullpace"})
	if err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	return nil
}

// send asks a registry, without a login.
func (p *Probe) send(ctx context.Context, ask Ask) (quota.Observation, error) {
	client, err := registry.New(registry.Config{
		Host: ask.Host, Endpoint: ask.Endpoint, RealmHosts: ask.RealmHosts,
		CABundle: []byte(strings.TrimSpace(p.Options.Authorities + "\n" + ask.CABundle)),
		Proxy:    p.Options.Proxy, UserAgent: p.Options.Agent, Timeout: askWithin,
	})
	if err != nil {
		return quota.Observation{}, fmt.Errorf("reading a question: %w", err)
	}
	return client.Probe(ctx, ask.Repository)
}
