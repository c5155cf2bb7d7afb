package controller

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
	"github.com/pullpace/pace/pacer/probe"
)

// The time that a probe has to see a question, to ask and to be heard, and how often
// the cache is looked at meanwhile.
const (
	answerWithin = 10 * time.Second
	answerPoll   = 50 * time.Millisecond
)

// distant has probes ask that run where the nodes of an egress group leave the
// network. It is safe for concurrent use.
type distant struct {
	// client reads questions and answers from a cache.
	client    client.Client
	namespace string
	now       func() time.Time
	// within is how long an answer is awaited; 0 is answerWithin.
	within time.Duration
}

// ask has a registry asked for an account. The observation tells when the question
// was put, by our own clock, which is before it was sent to the registry: what
// happened in between is then counted twice and not missed.
func (d *distant) ask(ctx context.Context, id core.AccountID, egress string, budget *v1alpha1.PullBudget, repository string) (quota.Observation, error) {
	question := probe.Ask{ID: rand.Text(), Host: budget.Spec.Registry, Repository: repository}
	if p := budget.Spec.Probe; p != nil {
		question.Endpoint, question.CABundle, question.RealmHosts = p.Endpoint, p.CABundle, p.TokenRealmHosts
	}
	sent := d.now()
	missed := quota.Observation{SentAt: sent}
	if err := d.put(ctx, probe.NameFor(id), egress, question); err != nil {
		return missed, fmt.Errorf("putting the question of %s: %w", id, err)
	}
	answer, err := d.await(ctx, probe.NameFor(id), question.ID)
	if err != nil {
		return missed, fmt.Errorf("asking from egress group %q: %w", egress, err)
	}
	o := answer.Observation
	o.SentAt = sent
	if answer.Failed != "" {
		return o, errors.New(answer.Failed)
	}
	return o, nil
}

// put writes a question for the probe of an egress group.
func (d *distant) put(ctx context.Context, name, egress string, question probe.Ask) (err error) {
	var asked corev1.ConfigMap
	err = d.client.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: name}, &asked)
	if apierrors.IsNotFound(err) {
		asked = corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace, Name: name, Labels: map[string]string{probe.LabelEgress: probe.GroupID(egress)}}}
		if asked.Data, err = probe.SetAsk(nil, question); err != nil {
			return err
		}
		return d.client.Create(ctx, &asked, client.FieldOwner(v1alpha1.FieldManager))
	}
	if err != nil {
		return err
	}
	before := asked.DeepCopy()
	asked.Labels = map[string]string{probe.LabelEgress: probe.GroupID(egress)}
	if asked.Data, err = probe.SetAsk(asked.Data, question); err != nil {
		return err
	}
	return d.client.Patch(ctx, &asked, client.MergeFrom(before), client.FieldOwner(v1alpha1.FieldManager))
}

// await returns the answer to a question.
func (d *distant) await(ctx context.Context, name, id string) (probe.Answer, error) {
	var answer probe.Answer
	within := cmp.Or(d.within, answerWithin)
	err := wait.PollUntilContextTimeout(ctx, answerPoll, within, false, func(ctx context.Context) (bool, error) {
		var asked corev1.ConfigMap
		err := d.client.Get(ctx, client.ObjectKey{Namespace: d.namespace, Name: name}, &asked)
		if err != nil {
			return false, client.IgnoreNotFound(err) // a cache is late
		}
		var ok bool
		answer, ok, err = probe.AnswerTo(asked.Data, id)
		return ok, err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return answer, fmt.Errorf("no probe answered within %s", within)
	}
	return answer, err
}

// questions selects the ConfigMaps that carry questions to probes.
func questions() labels.Selector {
	asked, err := labels.NewRequirement(probe.LabelEgress, selection.Exists, nil)
	if err != nil {
		return labels.Nothing() // the key is a constant
	}
	return labels.NewSelector().Add(*asked)
}
