//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/test/e2e/stage"
)

// deny is a policy that refuses what the controller's account does to a resource.
const deny = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [GROUP], apiVersions: ["*"], operations: [UPDATE], resources: [RESOURCE]}
  matchConditions:
  - {name: by-the-controller, expression: "request.userInfo.username == 'system:serviceaccount:pullpace-system:pacer'"}
  validations:
  - {expression: "false", message: "nobody touches this"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec:
  policyName: NAME
  validationActions: [Deny]
  matchResources: {namespaceSelector: SELECTOR}
`

// denied refuses writes of the controller until allow is called.
func denied(ctx context.Context, s *stage.Stage, group, resource, selector string) (allow func() error, err error) {
	text := strings.NewReplacer("NAME", s.Name, "GROUP", fmt.Sprintf("%q", group), "RESOURCE", resource, "SELECTOR", selector).Replace(deny)
	allow = func() error {
		out := s.Kubectl(ctx, "delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", s.Name)
		if out.Code != 0 {
			return fmt.Errorf("taking a policy away: %s", out)
		}
		return nil
	}
	return allow, s.Apply(ctx, text)
}

// inForce waits until the API server refuses a patch of the controller's account: it
// takes a policy in after a while.
func inForce(ctx context.Context, s *stage.Stage) error {
	pods, err := s.Pods(ctx, "")
	if err != nil || len(pods) == 0 {
		return all(err, errors.New("no pod to try on"))
	}
	return stage.Poll(ctx, "a policy to be in force", func(ctx context.Context) (bool, string, error) {
		out := s.Kubectl(ctx, "label", "pod", pods[0].Name, "-n", s.Name, "tried=yes", "--dry-run=server",
			"--as=system:serviceaccount:"+v1alpha1.Namespace+":pacer")
		return strings.Contains(out.Stderr, "nobody touches this"), out.String(), nil
	})
}

// refusedRelease has a policy engine refuse every patch of the controller on pods of
// the stage.
func refusedRelease(ctx context.Context, s *stage.Stage) (err error) {
	allow, err := denied(ctx, s, "", "pods", fmt.Sprintf("{matchLabels: {kubernetes.io/metadata.name: %s}}", s.Name))
	if err != nil {
		return err
	}
	defer func() { err = all(err, allow()) }()
	if err := inForce(ctx, s); err != nil {
		return err
	}
	// A limit of which something is free, so that the controller would let them go.
	s.Host.SetLimit(0, 2*stage.Limit)
	if err := s.Deploy(ctx, "refused", 2); err != nil {
		return err
	}
	pods, err := s.AwaitPods(ctx, "refused", "its release to be refused", func(pods []corev1.Pod) bool {
		return stage.Count(pods, stage.HeldFor(core.ReleaseRefused)) == 2
	})
	if err != nil {
		return err
	}
	for _, pod := range pods {
		err := s.Says(ctx, 0, []string{"ReleaseRefused", "nobody touches this", "failsafe ok"}, "pace", "explain", "pod/"+pod.Name, "-n", s.Name)
		if err != nil {
			return err
		}
	}
	if pods, err = s.AwaitPods(ctx, "refused", "the failsafe to end the hold", noneHeld); err != nil {
		return err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	for _, rel := range releases {
		if rel.Reason != string(core.HoldExpired) {
			err = all(err, fmt.Errorf("%s was released as %s, want HoldExpired", rel.Pod, rel.Reason))
		}
	}
	return all(err, s.Await(ctx, "refused"))
}
