//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/test/e2e/stage"
)

// users are people who act by kubectl, without regard to what is going on.
func users() []fault {
	on := func(name string, weight int, do func(ctx context.Context, r *round, s *stage.Stage, app string, dice *rand.Rand) (string, error)) fault {
		return fault{kind: "user", name: name, weight: weight, do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			s, app := one(dice, r.stages), one(dice, apps())
			did, err := do(ctx, r, s, app.name, dice)
			return s.Name + "/" + app.name + " " + did, err
		}}
	}
	kubectl := func(args ...string) func(context.Context, *round, *stage.Stage, string, *rand.Rand) (string, error) {
		return func(ctx context.Context, r *round, s *stage.Stage, app string, _ *rand.Rand) (string, error) {
			line := []string{"-n", s.Name}
			for _, a := range args {
				if a == "APP" {
					a = "deploy/" + app
				}
				line = append(line, a)
			}
			return "", r.kubectl(ctx, line...)
		}
	}
	const why = "--reason=chaos"
	return []fault{
		on("new image", 26, func(ctx context.Context, r *round, s *stage.Stage, app string, dice *rand.Rand) (string, error) {
			image := s.Image(one(dice, images()))
			targets := []string{"deploy/" + app}
			if dice.IntN(2) == 0 {
				targets = []string{"deploy/strict", "deploy/default"}
			}
			return image, r.kubectl(ctx, append(append([]string{"-n", s.Name, "set", "image"}, targets...), "app="+image)...)
		}),
		on("rollout restart", 3, kubectl("rollout", "restart", "APP")),
		on("rollout undo", 4, kubectl("rollout", "undo", "APP")),
		on("scale", 4, func(ctx context.Context, r *round, s *stage.Stage, app string, dice *rand.Rand) (string, error) {
			n := 2 + dice.IntN(6)
			return fmt.Sprint("to ", n), r.kubectl(ctx, "-n", s.Name, "scale", "deploy/"+app, fmt.Sprint("--replicas=", n))
		}),
		on("spec.paused for a while", 2, func(ctx context.Context, r *round, s *stage.Stage, app string, dice *rand.Rand) (string, error) {
			if err := r.kubectl(ctx, "-n", s.Name, "rollout", "pause", "deploy/"+app); err != nil {
				return "", err
			}
			d := between(dice, time.Second, 8*time.Second)
			wait(ctx, d)
			return d.Round(time.Millisecond).String(), r.insist(ctx, "-n", s.Name, "rollout", "resume", "deploy/"+app)
		}),
		on("pace pause for a while", 3, func(ctx context.Context, r *round, s *stage.Stage, app string, dice *rand.Rand) (string, error) {
			if err := r.kubectl(ctx, "pace", "pause", "deploy/"+app, "-n", s.Name, why); err != nil {
				return "", err
			}
			d := between(dice, time.Second, 8*time.Second)
			wait(ctx, d)
			return d.Round(time.Millisecond).String(), r.insist(ctx, "pace", "resume", "deploy/"+app, "-n", s.Name, why)
		}),
		on("pace release", 2, func(ctx context.Context, r *round, s *stage.Stage, app string, dice *rand.Rand) (string, error) {
			defer r.excuse(s.Name, "release")()
			args := []string{"pace", "release", "deploy/" + app, "-n", s.Name, why}
			if dice.IntN(2) == 0 {
				args = append(args, "--now")
			}
			return "", r.kubectl(ctx, args...)
		}),
		on("delete a pod", 4, func(ctx context.Context, r *round, s *stage.Stage, app string, dice *rand.Rand) (string, error) {
			var pods corev1.PodList
			if err := r.lab.Client.List(ctx, &pods, client.InNamespace(s.Name), client.MatchingLabels{"app": app}); err != nil {
				return "", err
			}
			if len(pods.Items) == 0 {
				return "", fmt.Errorf("%s has no pods", app)
			}
			r.watch.hurt(s.Name, app, time.Now())
			pod := one(dice, pods.Items)
			return pod.Name, r.lab.Client.Delete(ctx, &pod)
		}),
		on("namespace off and on", 1, func(ctx context.Context, r *round, s *stage.Stage, _ string, dice *rand.Rand) (string, error) {
			defer r.excuse(s.Name, "namespace off")()
			if err := r.kubectl(ctx, "annotate", "--overwrite", "namespace", s.Name, "pullpace.dev/pace=off"); err != nil {
				return "", err
			}
			d := between(dice, time.Second, 5*time.Second)
			wait(ctx, d)
			return d.Round(time.Millisecond).String(), r.insist(ctx, "annotate", "namespace", s.Name, "pullpace.dev/pace-")
		}),
		on("a Job", 3, func(ctx context.Context, r *round, s *stage.Stage, _ string, dice *rand.Rand) (string, error) {
			job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, GenerateName: "job-"}}
			if dice.IntN(2) == 0 {
				job.Spec.ActiveDeadlineSeconds = new(int64(3600))
			}
			job.Spec.Template = template(s.Image(one(dice, images())))
			return job.Spec.Template.Spec.Containers[0].Image, r.lab.Client.Create(ctx, job)
		}),
		on("a bare pod", 2, func(ctx context.Context, r *round, s *stage.Stage, _ string, dice *rand.Rand) (string, error) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, GenerateName: "bare-"}, Spec: template(s.Image(one(dice, images()))).Spec}
			return pod.Spec.Containers[0].Image, r.lab.Client.Create(ctx, pod)
		}),
		on("edit the PullBudget", 2, func(ctx context.Context, r *round, s *stage.Stage, _ string, dice *rand.Rand) (string, error) {
			percent := one(dice, []int{0, 5, 25, 50})
			return fmt.Sprintf("reserve %d%%", percent), r.kubectl(ctx, "patch", "pullbudget", s.Name, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"reserve":{"percent":%d}}}`, percent))
		}),
		on("pace status and explain", 2, func(ctx context.Context, r *round, s *stage.Stage, app string, _ *rand.Rand) (string, error) {
			if err := r.kubectl(ctx, "pace", "status"); err != nil {
				return "", err
			}
			return "", r.kubectl(ctx, "pace", "explain", "deploy/"+app, "-n", s.Name)
		}),
	}
}

// template is a pod that idles.
func template(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: new(int64(0)),
		AutomountServiceAccountToken: new(bool),
		Containers:                   []corev1.Container{{Name: "app", Image: image}},
	}}
}

// app is a workload of every account.
type app struct {
	name string
	// missing is how many of 100 replicas its strategy lets be missing.
	missing int32
}

// apps are one whose strategy surges and one that deletes first, as is Kubernetes'
// default.
func apps() []app { return []app{{"strict", 0}, {"default", 25}} }

// images are what rollouts choose from: many are cold, some are warm.
func images() []string {
	return []string{"amber", "black", "blue", "brown", "cyan", "gold", "gray", "green", "lime", "pink", "plum", "red", "rose", "rust", "teal", "white"}
}
