//go:build linux

package argo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// question is what the gate is asked, answer what of an answer tells of a claim.
type question struct {
	Namespace string `json:"namespace"`
	Rollout   string `json:"rollout"`
	UID       string `json:"uid"`
	Hash      string `json:"hash"`
	Step      string `json:"step"`
}

type answer struct {
	Decision string `json:"decision"`
	Reason   string `json:"reason"`
	Need     int64  `json:"need"`
}

// ask asks the gate.
func (f *front) ask(ctx context.Context, q question) (answer, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return answer{}, fmt.Errorf("encoding a question: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(text))
	if err != nil {
		return answer{}, fmt.Errorf("making a question: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, fmt.Errorf("asking the gate: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var a answer
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil || response.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("the gate answers with status %d: %w", response.StatusCode, err)
	}
	return a, nil
}

// neighbour has a second tenant try to read, release and hold a step of the first: by
// guesses, and by runs of its own that say they are of the other's Rollout.
func neighbour(ctx context.Context, a act, _ *suite.Report) error {
	images, err := a.images(ctx)
	if err != nil {
		return err
	}
	if err := inTurn(ctx, a.begins(options{steps: gated}, len(images)), a.Pause, a.updates(images...)); err != nil {
		return err
	}
	theirs, err := a.theirs(ctx)
	if err != nil {
		return err
	}
	other := a.Name + "-other"
	if err := a.Namespace(ctx, other, true); err != nil {
		return err
	}
	defer func() { _ = a.Kubectl(context.WithoutCancel(ctx), "delete", "namespace", other, "--wait=false") }()
	// Until its images were looked at, each may be charged twice.
	if err := stage.Poll(ctx, "its own question to be answered: wait for 3 units", func(ctx context.Context) (bool, string, error) {
		own, err := a.ask(ctx, theirs)
		return own == answer{kube.Wait, "Paused", 3}, fmt.Sprintf("%+v", own), err
	}); err != nil {
		return err
	}
	guess, forged := theirs, theirs
	guess.UID = "00000000-0000-4000-8000-000000000000"
	forged.Namespace = other
	for phase, decision := range map[string]string{"Running": kube.Wait, "Successful": kube.Allow, "Failed": kube.Abort} {
		if err := a.forge(ctx, forged, phase, decision); err != nil {
			return err
		}
		for _, q := range []question{guess, forged} {
			if err := a.toldNothing(ctx, q); err != nil {
				return err
			}
		}
	}
	// One pod of the first tenant waits, and nothing else does.
	if err := a.AwaitAccount(ctx, "the first tenant's claim alone", func(s v1alpha1.AccountStatus) bool { return s.Held == 1 && s.Reserved == 0 }); err != nil {
		return err
	}
	if s, err := a.look(ctx); err != nil || s.step != 0 || s.aborted || a.Charges("") != 0 {
		return fmt.Errorf("the rollout is %s after %d pulls (%w), want it held", s, a.Charges(""), err)
	}
	return inTurn(ctx, a.Resume, a.comesTo("the next gate, or beyond", func(s state) bool { return s.step >= 2 }))
}

// toldNothing complains unless a question is found to be of nobody, and nothing of a claim
// is told meanwhile: until a turn has looked at it, it is to wait for that.
func (a act) toldNothing(ctx context.Context, q question) error {
	var told error
	err := stage.Poll(ctx, "a question to be found to be of nobody", func(ctx context.Context) (bool, string, error) {
		got, err := a.ask(ctx, q)
		if err != nil {
			return false, "", err
		}
		switch got {
		case answer{Decision: kube.Wait, Reason: string(core.Unverified)}:
			return true, "", nil
		case answer{Decision: kube.Wait, Reason: string(core.WaitingForReading)}, answer{Decision: kube.Wait, Reason: string(core.NotLeader)}:
			return false, fmt.Sprintf("%+v", got), nil
		}
		told = fmt.Errorf("%+v is answered by %+v, want nothing to be told", q, got)
		return true, "", nil
	})
	return errors.Join(err, told)
}

// theirs is the question of the step that the Rollout waits at.
func (a act) theirs(ctx context.Context) (question, error) {
	run, err := a.awaitHeld(ctx, 0)
	if err != nil {
		return question{}, err
	}
	r, ok := kube.ReadRun(run)
	if !ok {
		return question{}, errors.New("the run that waits is none")
	}
	return question{r.Step.Namespace, r.Step.Rollout, string(r.Step.UID), r.Step.Hash, r.Step.Index}, nil
}

// forge makes an AnalysisRun that says to be of a question's step and to have been told
// a decision.
func (a act) forge(ctx context.Context, q question, phase, decision string) error {
	u := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"metrics": []any{map[string]any{
			"name": "pull-budget", "successCondition": "true",
			"provider": map[string]any{"web": map[string]any{"url": a.url + kube.GatePath, "jsonPath": "{$}"}},
		}}},
		"status": map[string]any{"phase": phase, "metricResults": []any{map[string]any{
			"name": "pull-budget", "phase": phase,
			"measurements": []any{map[string]any{"phase": phase, "value": fmt.Sprintf(`{"decision":%q}`, decision)}},
		}}},
	}}
	u.SetGroupVersionKind(kube.NewRun().GroupVersionKind())
	u.SetNamespace(q.Namespace)
	u.SetGenerateName("forged-")
	u.SetLabels(map[string]string{"rollouts-pod-template-hash": q.Hash, "step-index": q.Step, "rollout-type": "Step"})
	u.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: kube.ArgoGroupVersion().String(), Kind: kube.RolloutKind, Name: q.Rollout, UID: types.UID(q.UID), Controller: new(true)}})
	if err := a.Client.Create(ctx, u); err != nil {
		return fmt.Errorf("making a forged run: %w", err)
	}
	return nil
}
