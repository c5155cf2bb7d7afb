package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

type costOptions struct {
	s      *session
	out    output
	target cluster.Target
	images map[string]string
	file   string
	up     scaleUp
}

func newCost(s *session) *cobra.Command {
	o := &costOptions{s: s}
	var images []string
	cmd := &cobra.Command{
		Use:   "cost [TYPE/NAME [--image CONTAINER=IMAGE] | -f FILE | nodepool/NAME --nodes N]",
		Short: "Say what a rollout or new nodes would be charged, and whether they would wait",
		Long: "Price the start of every pod of a Deployment or Argo Rollout, with other images or as\n" +
			"it is in a file, from the images that nodes list; or that of new nodes of a pool, from the\n" +
			"DaemonSets that will run there and the pods that wait for room, less what nodes of\n" +
			"the pool are born with. Without a controller it says what it then cannot know.\n\n" +
			"Exit codes: 0 it may all start now, 1 error, 2 usage, 3 it would be held.",
		Example: s.examples("cost deploy/api -n shop --image api=docker.io/acme/api:2.4.1", "cost -f api.yaml", "cost nodepool/general --nodes 40"),
		Args:    args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if (len(args) == 1) == (o.file != "") {
				return usagef("name a workload or a file; usage: %s", cmd.UseLine())
			}
			if err := o.out.validate(); err != nil {
				return err
			}
			if o.images, err = parseImages(images); err != nil {
				return err
			}
			if len(args) == 1 {
				if o.target, err = cluster.ParseTarget(args[0]); err != nil {
					return &exitError{code: ExitUsage, err: err}
				}
			}
			if o.target.Kind == cluster.NodePool {
				return o.runNodes(cmd)
			}
			if o.up.given(cmd) {
				return usagef("--nodes and --pool-label go with nodepool/NAME; usage: %s", cmd.UseLine())
			}
			if len(args) == 1 {
				if err := o.target.Paced(); err != nil {
					return err
				}
			}
			return o.run(cmd.Context())
		},
	}
	o.out.add(cmd.Flags())
	cmd.Flags().StringArrayVar(&images, "image", nil, "CONTAINER=IMAGE to price; may be repeated")
	cmd.Flags().StringVarP(&o.file, "filename", "f", "", "file with Deployments to price; - is standard input")
	o.up.add(cmd.Flags())
	return cmd
}

// runNodes prices new nodes.
func (o *costOptions) runNodes(cmd *cobra.Command) error {
	if err := o.up.validate(cmd); err != nil {
		return err
	}
	if len(o.images) > 0 {
		return usagef("--image goes with a workload; usage: %s", cmd.UseLine())
	}
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	cost, err := o.s.priceNodes(cmd.Context(), c.Client, o.target.Name, o.up)
	if err != nil {
		return err
	}
	if err := show(o.s, o.out, cost, view.NodeCostPage); err != nil {
		return err
	}
	if cost.Verdict == "hold" {
		return verdict(ExitHold)
	}
	return nil
}

func (o *costOptions) run(ctx context.Context) error {
	wanted, err := o.fromFile()
	if err != nil {
		return err
	}
	c, err := o.s.connect()
	if err != nil {
		return err
	}
	if o.file == "" {
		w, err := o.s.workload(ctx, c.Client, c.Namespace, o.target)
		if err != nil {
			return err
		}
		wanted = []workload{w}
	}
	code := ExitOK
	for i, d := range wanted {
		if d.Namespace == "" {
			d.Namespace = c.Namespace
		}
		changed, err := setImages(d.Deployment, o.images)
		if err != nil {
			return err
		}
		cost, err := o.s.price(ctx, c, changed)
		if err != nil {
			return err
		}
		d.noteGate(&cost)
		if i > 0 && o.out.format == "table" {
			fmt.Fprintln(o.s.env.Out)
		}
		if err := show(o.s, o.out, cost, view.CostPage); err != nil {
			return err
		}
		if cost.Verdict == "hold" {
			code = ExitHold
		}
	}
	return verdict(code)
}

// fromFile reads the Deployments of the file; none where no file was named.
func (o *costOptions) fromFile() ([]workload, error) {
	if o.file == "" {
		return nil, nil
	}
	text, err := o.s.read(o.file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.file, err)
	}
	var list []workload
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		d := &appsv1.Deployment{}
		err := decoder.Decode(d)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", o.file, err)
		}
		switch {
		case d.Kind == "":
		case d.Kind != string(cluster.Deployment):
			o.s.notef("%s: %s %s is skipped: Deployments are priced", o.file, d.Kind, d.Name)
		default:
			list = append(list, workload{Deployment: d})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no Deployment", o.file)
	}
	return list, nil
}

// read reads a file, or standard input for "-".
func (s *session) read(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(s.env.In)
	}
	return s.env.ReadFile(file)
}
