package plugin

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/capture"
	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/simulate/scenario"
)

type importOptions struct {
	s         *session
	name      string
	anonymize bool
}

func newImport(s *session) *cobra.Command {
	o := &importOptions{s: s}
	cmd := &cobra.Command{
		Use:   "import [--anonymize] > FILE",
		Short: "Write the cluster as a scenario file to edit and commit, read-only",
		Long: "Write nodes, images, workloads, PullBudgets and PacePolicies of the cluster as a\n" +
			"scenario. It only reads. What a cluster does not tell, as the layers of images, the\n" +
			"kind of a window or how fast disks are, is marked in comments; the timeline is\n" +
			"empty, since it is what you want to test.\n\n" +
			"With --anonymize every name (namespaces, workloads, images, registries, pools,\n" +
			"zones) is a hash with a salt that is drawn for this run and forgotten after it.\n" +
			"Numbers and sizes stay.",
		Example: s.examples("simulate import > monday.yaml", "simulate import --anonymize --name monday > monday.yaml"),
		Args:    args(0, 0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&o.anonymize, "anonymize", false, "replace every name by a hash that leads nowhere")
	cmd.Flags().StringVar(&o.name, "name", "imported", "name of the scenario")
	return cmd
}

func (o *importOptions) run(ctx context.Context) error {
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	read, err := o.read(ctx, c)
	if err != nil {
		return err
	}
	names := capture.Plain()
	if o.anonymize {
		salt := make([]byte, 32)
		if _, err := rand.Read(salt); err != nil {
			return fmt.Errorf("drawing a salt: %w", err)
		}
		names = capture.Anonymous(salt)
	}
	text := capture.Scenario(read, o.name, names)
	if _, err := o.s.env.Out.Write(text); err != nil {
		return fmt.Errorf("writing the scenario: %w", err)
	}
	if _, err := scenario.Decode(text); err != nil {
		return fmt.Errorf("the file needs an edit before it can be simulated:\n%w", err)
	}
	return nil
}

// read lists what a scenario is made of. Kubelets that may not be asked are left to
// the defaults.
func (o *importOptions) read(ctx context.Context, c *cluster.Cluster) (capture.Cluster, error) {
	read := capture.Cluster{Now: o.s.env.Now(), Kubelets: map[string]capture.Kubelet{}}
	var err error
	if read.Nodes, err = listAll[corev1.Node](ctx, c.Client, &corev1.NodeList{}); err != nil {
		return read, err
	}
	if read.Pods, err = listAll[corev1.Pod](ctx, c.Client, &corev1.PodList{}); err != nil {
		return read, err
	}
	if read.Deployments, err = listAll[appsv1.Deployment](ctx, c.Client, &appsv1.DeploymentList{}); err != nil {
		return read, err
	}
	switch read.Rollouts, err = listAll[unstructured.Unstructured](ctx, c.Client, kube.NewRollouts()); {
	case meta.IsNoMatchError(err): // no Argo Rollouts here
	case apierrors.IsForbidden(err):
		read.Unread = append(read.Unread, "the steps of Rollouts: it takes list on rollouts.argoproj.io.")
	case err != nil:
		return read, err
	}
	if read.Budgets, err = cluster.Budgets(ctx, c.Client); meta.IsNoMatchError(err) {
		read.Unread = append(read.Unread, "PullBudgets and PacePolicies: Pace is not installed.")
	} else if err != nil {
		return read, err
	} else if read.Policies, err = cluster.Policies(ctx, c.Client); err != nil {
		return read, err
	}
	for _, node := range capture.Samples(read) {
		text, err := c.Kubelet(ctx, node)
		if err != nil {
			read.Unread = append(read.Unread, "the configuration of some kubelets: it takes get on nodes/proxy.")
			break
		}
		if read.Kubelets[node], err = capture.ReadKubelet(text); err != nil {
			return read, err
		}
	}
	return read, nil
}

// importPage is how many objects are asked for at a time.
const importPage = 500

// listAll lists all objects of a kind, a page at a time; empty is a list of it.
func listAll[T any](ctx context.Context, c client.Reader, empty client.ObjectList) ([]T, error) {
	var all []T
	for next := ""; ; {
		page, ok := empty.DeepCopyObject().(client.ObjectList)
		if !ok {
			return nil, fmt.Errorf("%T is no list", empty)
		}
		if err := c.List(ctx, page, client.Limit(importPage), client.Continue(next)); err != nil {
			return nil, fmt.Errorf("listing %T: %w", *new(T), err)
		}
		err := meta.EachListItem(page, func(obj runtime.Object) error {
			if item, ok := any(obj).(*T); ok {
				all = append(all, *item)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading a list: %w", err)
		}
		if next = page.GetContinue(); next == "" {
			return all, nil
		}
	}
}
