package plugin

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/pullpace/pace/plugin/cluster"
	"github.com/pullpace/pace/plugin/view"
)

// session is what the commands of one tree share: the process, the connection
// flags and, once needed, the cluster.
type session struct {
	env   Env
	flags *genericclioptions.ConfigFlags
}

// connect opens the cluster that the flags name.
func (s *session) connect() (*cluster.Cluster, error) {
	return s.env.Connect(s.flags, cluster.Options{
		UserAgent: cluster.FieldManager + "/" + s.env.Version,
		InPod:     s.env.Vars["KUBERNETES_SERVICE_HOST"] != "",
		Warn: func(text string) {
			fmt.Fprintf(s.env.Err, "Warning: %s\n", view.Clean(text))
		},
	})
}

// style is how to show a view on Out.
func (s *session) style() view.Style {
	width := 0
	if s.env.Terminal {
		width = s.env.Width()
	}
	return view.Style{
		Program: s.env.program(), Color: s.env.color(), Width: width,
		Now: s.env.Now(), Location: s.env.Location,
	}
}

// notef prints a diagnostic on Err.
func (s *session) notef(format string, args ...any) {
	fmt.Fprintln(s.env.Err, view.Clean(fmt.Sprintf(format, args...)))
}

// output is the -o flag.
type output struct{ format string }

func (o *output) add(flags *pflag.FlagSet) {
	flags.StringVarP(&o.format, "output", "o", "table", "output format: table, wide, json, yaml or name")
}

func (o *output) validate() error {
	switch o.format {
	case "", "table", "wide", "json", "yaml", "name":
		return nil
	}
	return usagef("unknown output format %q: want table, wide, json, yaml or name", o.format)
}

// named is a model that has names to print for `-o name`.
type named interface{ Names() []string }

// show prints a model in the format asked for; render draws it as text.
func show[M named](s *session, o output, model M, render func(io.Writer, M, view.Style) error) error {
	switch o.format {
	case "json":
		return view.JSON(s.env.Out, model)
	case "yaml":
		return view.YAML(s.env.Out, model)
	case "name":
		for _, name := range model.Names() {
			if _, err := fmt.Fprintln(s.env.Out, view.Clean(name)); err != nil {
				return err
			}
		}
		return nil
	}
	style := s.style()
	style.Wide = o.format == "wide"
	return render(s.env.Out, model, style)
}

// dryRun is the --dry-run flag.
type dryRun struct{ mode string }

func (d *dryRun) add(flags *pflag.FlagSet) {
	flags.StringVar(&d.mode, "dry-run", "none", `"client" prints what would be done, "server" also has the API server check it; nothing is changed`)
	flags.Lookup("dry-run").NoOptDefVal = "client"
}

func (d *dryRun) validate() error {
	switch d.mode {
	case "none", "client", "server":
		return nil
	}
	return usagef("unknown --dry-run %q: want none, client or server", d.mode)
}

// client wraps c so that writes go nowhere, or only as far as asked.
func (d *dryRun) client(c client.WithWatch) client.Client {
	if d.mode == "server" {
		return client.NewDryRunClient(c)
	}
	return c
}

// on reports whether nothing may be changed.
func (d *dryRun) on() bool { return d.mode != "none" }

// examples renders help examples with the name that the plugin was called by.
func (s *session) examples(lines ...string) string {
	var out strings.Builder
	for _, line := range lines {
		out.WriteString("  " + s.env.program() + " " + line + "\n")
	}
	return strings.TrimRight(out.String(), "\n")
}

// reasonFlag is the mandatory --reason of an order.
type reasonFlag struct{ text string }

func (r *reasonFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.text, "reason", "", "why; kept on the object and in an Event (required)")
}

func (r *reasonFlag) validate(cmd *cobra.Command) error {
	if strings.TrimSpace(r.text) == "" {
		return usagef("--reason is required: say why, for the people who find it on the object; usage: %s", cmd.UseLine())
	}
	if len(r.text) > 500 {
		return usagef("--reason is %d bytes long: 500 at most", len(r.text))
	}
	return nil
}
