//go:build linux

package mainjob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/registry"
)

// anHour is a window that ends after every case: what is used up stays used up.
const anHour = time.Hour

// warmGoes restarts pods whose image is on their nodes while nothing is left: none
// of them waits, and none is charged. The limit is what the first revision takes.
func warmGoes(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	if err := s.Deploy(ctx, "warm", stage.Nodes); err != nil {
		return err
	}
	if err := s.Await(ctx, "warm"); err != nil {
		return err
	}
	if err := s.Deploy(ctx, "cold", 1); err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "cold", "a cold pod to be held", someHeld); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "rollout", "restart", "deploy/warm", "-n", s.Name); out.Code != 0 {
		return fmt.Errorf("restarting: %s", out)
	}
	if err := s.Await(ctx, "warm"); err != nil {
		return err
	}
	pods, err := s.Pods(ctx, "warm")
	if err != nil {
		return err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	if len(releases) != stage.Nodes {
		return fmt.Errorf("%d pods of the new revision carry a release, want %d: were they held at all?", len(releases), stage.Nodes)
	}
	for _, rel := range releases {
		if rel.Reason != "Warm" || rel.Units != 0 {
			err = all(err, fmt.Errorf("%s was released as %s for %d units, want Warm for 0", rel.Pod, rel.Reason, rel.Units))
		}
	}
	if cold, also := s.Pods(ctx, "cold"); also != nil || !someHeld(cold) {
		err = all(err, also, errors.New("the cold pod is not held any more: there was something left"))
	}
	// The first revision pulled on 4 nodes; nothing did since.
	return all(err, noOwn429(s), exactly(s, stage.Nodes))
}

// someHeld says whether our gate is on one of the pods.
func someHeld(pods []corev1.Pod) bool { return stage.Count(pods, stage.Held) > 0 }

// rollbackFirst undoes two rollouts while others wait: one whose old pods still
// run, which costs nothing, and one whose old image no node has, which must be
// let go before everything that waited longer.
func rollbackFirst(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	if err := twoRevisions(ctx, s, "cold", 0, s.Image("cold"), stage.Unmetered); err != nil {
		return err
	}
	if err := twoRevisions(ctx, s, "kept", stage.Nodes, stage.Unmetered, stage.Unmetered); err != nil {
		return err
	}
	// All 20 wait before the first goes: while the 16 of the window were enough for
	// those that had come, nothing would be kept in reserve.
	if err := s.Pause(ctx); err != nil {
		return err
	}
	if _, err := s.Fleet(ctx, pulls/stage.Nodes-1); err != nil {
		return err
	}
	if _, err := s.AwaitPods(ctx, "", "the whole fleet to be held", func(pods []corev1.Pod) bool {
		return stage.Count(pods, stage.Held) == pulls-stage.Nodes
	}); err != nil {
		return err
	}
	if err := s.Resume(ctx); err != nil {
		return err
	}
	// 16 less the 4 of the reserve.
	if _, err := s.AwaitPods(ctx, "", "all that there is to have gone", func(pods []corev1.Pod) bool {
		return stage.Count(pods, stage.Released) == 12
	}); err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "set", "image", "deploy/kept", "app="+s.Image("kept"), "-n", s.Name); out.Code != 0 {
		return fmt.Errorf("rolling out: %s", out)
	}
	if _, err := s.AwaitPods(ctx, "kept", "its new pods to be held", someHeld); err != nil {
		return err
	}
	for _, app := range []string{"kept", "cold"} {
		if out := s.Kubectl(ctx, "rollout", "undo", "deploy/"+app, "-n", s.Name); out.Code != 0 {
			return fmt.Errorf("going back: %s", out)
		}
	}
	if err := s.Await(ctx, "kept", "cold"); err != nil {
		return err
	}
	s.Host.SetLimit(0, 2*pulls)
	if err := s.Await(ctx, "app-1", "app-2", "app-3", "app-4", "app-5"); err != nil {
		return err
	}
	pods, err := s.Pods(ctx, "")
	if err != nil {
		return err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	// A rollback is never refused, so that it may meet a 429 where nothing is left;
	// others may not for its sake.
	f := s.Own()
	f.Where = func(e registry.Entry) bool { return e.Repo != "cold" }
	if n := s.Registry.Log().Throttled(f); n > 0 {
		err = fmt.Errorf("pods that were not rolled back met %d answers of 429, want 0", n)
	}
	f.Where = func(e registry.Entry) bool { return e.Repo == "cold" }
	if n := s.Registry.Log().Throttled(f); n > attempts*stage.Nodes {
		err = all(err, fmt.Errorf("the rollback met %d answers of 429, want %d at most: %d for each of its pods", n, attempts*stage.Nodes, attempts))
	}
	return all(err, wentFirst(releases, "cold", asked(pods, "cold")))
}

// asked is when the last pod of an app had been created; the API server rounds
// down to seconds.
func asked(pods []corev1.Pod, app string) (last time.Time) {
	for _, p := range pods {
		if t := p.CreationTimestamp.Add(time.Second); p.Labels["app"] == app && t.After(last) {
			last = t
		}
	}
	return last
}

// twoRevisions makes a Deployment of one image, then of another with a pod on
// every node, and waits for that.
func twoRevisions(ctx context.Context, s *stage.Stage, app string, replicas int32, first, second string) error {
	d, err := s.Deployment(ctx, app, replicas)
	if err != nil {
		return err
	}
	d.Spec.Template.Spec.Containers[0].Image = first
	if err := s.Create(ctx, d); err != nil {
		return err
	}
	if err := s.Await(ctx, app); err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"spec":{"replicas":%d,"template":{"metadata":{"annotations":{"revision":"2"}},"spec":{"containers":[{"name":"app","image":%q}]}}}}`, stage.Nodes, second)
	if out := s.Kubectl(ctx, "patch", "deployment", app, "-n", s.Name, "-p", patch); out.Code != 0 {
		return fmt.Errorf("changing %s: %s", app, out)
	}
	return s.Await(ctx, app)
}

// wentFirst complains unless the pods of app were released as a rollback, and no
// other that was held at the time before them.
func wentFirst(releases []stage.Release, app string, since time.Time) error {
	var last time.Time
	n := 0
	for _, r := range releases {
		if r.App != app || r.Reason != "Rollback" {
			continue
		}
		n++
		if r.At.After(last) {
			last = r.At
		}
	}
	if n != stage.Nodes {
		return fmt.Errorf("%d pods of %s were released as a rollback, want %d", n, app, stage.Nodes)
	}
	for _, r := range releases {
		if r.App != app && r.At.After(since) && r.At.Before(last) {
			return fmt.Errorf("%s was released at %s, between the undo at %s and the rollback at %s", r.Pod, clock(r.At), clock(since), clock(last))
		}
	}
	return nil
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// scaled grows and shrinks Deployments while their pods are held.
func scaled(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	for app, replicas := range map[string]int32{"steady": stage.Nodes, "grows": 2, "shrinks": stage.Nodes, "stops": stage.Nodes, "late": stage.Nodes} {
		if err := s.Deploy(ctx, app, replicas); err != nil {
			return err
		}
	}
	// 18 pods ask for 8 units: 10 are held after the first wave.
	if _, err := s.AwaitCharged(ctx, 1); err != nil {
		return err
	}
	for app, replicas := range map[string]string{"grows": "4", "shrinks": "2", "stops": "0"} {
		if out := s.Kubectl(ctx, "scale", "deploy/"+app, "--replicas="+replicas, "-n", s.Name); out.Code != 0 {
			return fmt.Errorf("scaling: %s", out)
		}
	}
	if err := s.Await(ctx, "steady", "grows", "shrinks", "stops", "late"); err != nil {
		return err
	}
	// 4 + 4 + 2 + 0 + 4 pods are left, each of which pulled; besides at most those
	// did that went before they were scaled away: 2 of shrinks and 4 of stops.
	least, most := int64(14), int64(20)
	if got := s.Charges(""); got < least || got > most {
		return all(noOwn429(s), fmt.Errorf("the nodes were charged %d units, want %d to %d", got, least, most))
	}
	return noOwn429(s)
}

// fairShare has a Deployment in each of two namespaces wait for one account, whose
// limit is half of what they need: neither is ever more than a pod ahead.
func fairShare(ctx context.Context, s *stage.Stage, _ *suite.Report) error {
	second := s.Name + "-b"
	if err := s.Namespace(ctx, second, true); err != nil {
		return err
	}
	if err := s.Pause(ctx); err != nil {
		return err
	}
	for app, namespace := range map[string]string{"one": s.Name, "two": second} {
		d, err := s.Deployment(ctx, app, stage.Nodes)
		if err != nil {
			return err
		}
		d.Namespace = namespace
		if err := s.Create(ctx, d); err != nil {
			return err
		}
	}
	if err := stage.Poll(ctx, "all pods to be held", func(ctx context.Context) (bool, string, error) {
		pods, err := podsIn(ctx, s, s.Name, second)
		held := stage.Count(pods, stage.Held)
		return len(pods) == 2*stage.Nodes && held == len(pods), fmt.Sprintf("%d of %d are", held, len(pods)), err
	}); err != nil {
		return err
	}
	if err := s.Resume(ctx); err != nil {
		return err
	}
	if err := all(s.AwaitRollout(ctx, s.Name, "one"), s.AwaitRollout(ctx, second, "two")); err != nil {
		return err
	}
	pods, err := podsIn(ctx, s, s.Name, second)
	if err != nil {
		return err
	}
	releases, err := stage.Releases(pods)
	if err != nil {
		return err
	}
	if out := s.Kubectl(ctx, "delete", "namespace", second, "--wait=false"); out.Code != 0 {
		return fmt.Errorf("clearing the stage: %s", out)
	}
	return all(even(releases, "one", "two"), noOwn429(s), exactly(s, 2*stage.Nodes))
}

// podsIn are the pods of namespaces.
func podsIn(ctx context.Context, s *stage.Stage, namespaces ...string) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := s.Client.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return !slices.Contains(namespaces, p.Namespace) }), nil
}

// even complains if after any decision one app was more than a pod ahead of the
// other, while the other still had pods to release.
func even(releases []stage.Release, a, b string) error {
	total := map[string]int{}
	for _, r := range releases {
		total[r.App]++
	}
	n := map[string]int{}
	for i, r := range releases {
		n[r.App]++
		if i+1 < len(releases) && releases[i+1].At.Equal(r.At) {
			continue // of the same decision
		}
		ahead, behind := a, b
		if n[b] > n[a] {
			ahead, behind = b, a
		}
		if n[ahead]-n[behind] > 1 && n[behind] < total[behind] {
			return fmt.Errorf("after %s %d pods of %s had been released and %d of %s", clock(r.At), n[ahead], ahead, n[behind], behind)
		}
	}
	if total[a] == 0 || total[b] == 0 {
		return fmt.Errorf("%d pods of %s were released and %d of %s: were they held at all?", total[a], a, total[b], b)
	}
	return nil
}
