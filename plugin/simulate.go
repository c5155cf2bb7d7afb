package plugin

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/simulate"
	"github.com/pullpace/pace/simulate/memory"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

type simulateOptions struct {
	s       *session
	out     output
	varied  variation
	html    string
	explain bool
	list    bool
	files   []string
}

func newSimulate(s *session) *cobra.Command {
	o := &simulateOptions{s: s}
	cmd := &cobra.Command{
		Use:   "simulate FILE...",
		Short: "Test policies against a scale-up, offline, with the controller's own decision code",
		Long: "Run a scenario: a cluster, its registries with their limits, and what happens, once\n" +
			"for each policy, side by side. FILE is a file, - for standard input, or the name of\n" +
			"a scenario that is built in (--list). Nothing is asked of any cluster or registry.\n" +
			"The same file, seed and version give the same result.\n\n" +
			"Exit codes: 0 all goals are met, 1 error, 2 usage or a wrong file, 3 a goal is missed.",
		Example: s.examples("simulate monday-morning", "simulate black-friday.yaml --replications 20 --html report.html",
			"simulate black-friday.yaml --policy none,pace -o json", "simulate --explain black-friday.yaml"),
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(cmd, args); err != nil {
				return err
			}
			switch {
			case o.list:
				return o.stories()
			case o.explain:
				return o.defaults()
			}
			return o.run(cmd.Context())
		},
	}
	o.out.add(cmd.Flags())
	o.varied.add(cmd)
	cmd.Flags().StringVar(&o.html, "html", "", "also write a page with curves to this file, which needs nothing else; - is standard output, instead of the table")
	cmd.Flags().BoolVar(&o.explain, "explain", false, "run nothing: show every default that is in force and where it comes from")
	cmd.Flags().BoolVar(&o.list, "list", false, "run nothing: list the scenarios that are built in")
	cmd.AddCommand(newSweep(s), newSolve(s), newImport(s), newRecord(s), newReplay(s))
	return cmd
}

// complete checks the command line.
func (o *simulateOptions) complete(cmd *cobra.Command, args []string) error {
	o.files = args
	if err := o.out.validate(); err != nil {
		return err
	}
	if o.list || o.explain {
		if o.list && o.explain || o.html != "" {
			return usagef("--list, --explain and --html are one at a time")
		}
		if o.list && len(args) > 0 {
			return usagef("--list takes no file; usage: %s", cmd.UseLine())
		}
		return nil
	}
	if len(args) == 0 {
		return usagef("name a scenario: a file, - or one of `%s --list`; usage: %s", cmd.CommandPath(), cmd.UseLine())
	}
	if o.html != "" && len(args) > 1 {
		return usagef("--html is for one scenario, %d are named", len(args))
	}
	return o.varied.validate(cmd)
}

func (o *simulateOptions) run(ctx context.Context) error {
	all, err := o.s.scenarios(o.files, o.varied)
	if err != nil {
		return err
	}
	code := ExitOK
	for i, sc := range all {
		result, err := o.s.simulate(ctx, sc)
		if err != nil {
			return err
		}
		if i > 0 {
			o.separate()
		}
		if err := o.answer(result, sc, o.files[i]); err != nil {
			return err
		}
		if result.Missed() > 0 {
			code = ExitHold
		}
	}
	return verdict(code)
}

// separate stands between the answers of two scenarios.
func (o *simulateOptions) separate() {
	switch o.out.format {
	case "table", "wide", "":
		fmt.Fprintln(o.s.env.Out)
	case "yaml":
		fmt.Fprintln(o.s.env.Out, "---")
	}
}

// answer prints a result, and writes the page.
func (o *simulateOptions) answer(result report.Result, sc *scenario.Scenario, file string) error {
	if o.html != "" {
		var page bytes.Buffer
		if err := report.HTML(&page, result); err != nil {
			return err
		}
		if o.html == "-" {
			_, err := page.WriteTo(o.s.env.Out)
			return err
		}
		if err := o.s.env.WriteFile(o.html, page.Bytes()); err != nil {
			return fmt.Errorf("writing %s: %w", o.html, err)
		}
		o.s.notef("wrote %s", o.html)
	}
	model := view.Simulation{Result: result, Next: o.next(result, sc, file)}
	return show(o.s, o.out, model, view.SimulationPage)
}

// next is the command that goes on from a result: the smallest quota where a goal
// is missed that a quota could meet, the page otherwise.
func (o *simulateOptions) next(r report.Result, sc *scenario.Scenario, file string) string {
	if file == "-" {
		return "" // it is read
	}
	file = strconv.Quote(file)
	if !strings.ContainsAny(file, " \\") {
		file = strings.Trim(file, `"`)
	}
	for _, g := range r.Goals {
		i := slices.IndexFunc(r.Policies, func(p report.Policy) bool { return p.Name == g.Policy })
		if g.Met || i < 0 || r.Policies[i].Bound.LimitedBy == "none" {
			continue
		}
		path := quotaPath(sc, r.Policies[i].Bound.LimitedBy)
		value := strconv.FormatFloat(g.Value, 'f', -1, 64)
		return fmt.Sprintf("%s simulate solve %s --policy %s --path '%s' --goal '%s %s %s'", o.s.env.program(), file, g.Policy, path, g.Metric, g.Op, value)
	}
	if o.html == "" {
		return fmt.Sprintf("%s simulate %s --html report.html", o.s.env.program(), file)
	}
	return ""
}

// quotaPath is the field of a limiter that makes it larger.
func quotaPath(sc *scenario.Scenario, limiter string) string {
	for _, r := range sc.Spec.Registries {
		for i, l := range r.Limiters {
			if limiter == fmt.Sprintf("registries[%s].limiters[%d]", r.Name, i) && l.Type == scenario.TokenBucket {
				return limiter + ".rate"
			}
		}
	}
	return limiter + ".limit"
}

// simulate runs a scenario and says how far it is where that takes time.
func (s *session) simulate(ctx context.Context, sc *scenario.Scenario) (report.Result, error) {
	progress := s.progress(sc.Metadata.Name)
	defer progress.stop()
	defer memory.Settle(&sc.Spec, min(runtime.GOMAXPROCS(0), max(sc.Spec.Replications, 1)))()
	return simulate.Run(ctx, sc, simulate.Options{Version: s.env.Version, Now: s.env.Now, Progress: progress.done})
}

// scenarios reads files, and tells all that is wrong with any of them.
func (s *session) scenarios(files []string, v variation) ([]*scenario.Scenario, error) {
	var all []*scenario.Scenario
	var wrong []string
	for _, file := range files {
		text, err := s.scenarioText(file)
		if err != nil {
			return nil, err
		}
		sc, err := v.apply(text)
		if err != nil {
			wrong = append(wrong, inFile(file, err))
			continue
		}
		all = append(all, sc)
	}
	if len(wrong) > 0 {
		return nil, usagef("%s", strings.Join(wrong, "\n"))
	}
	return all, nil
}

// inFile names the file in every line of an error.
func inFile(file string, err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = file + ": " + lines[i]
	}
	return strings.Join(lines, "\n")
}

// scenarioText is the text of a file, or of the scenario of that name.
func (s *session) scenarioText(file string) ([]byte, error) {
	builtIn, err := scenario.BuiltIn()
	if err != nil {
		return nil, err
	}
	for _, story := range builtIn {
		if story.Name == file {
			return story.YAML, nil
		}
	}
	text, err := s.read(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w (`%s simulate --list` names those that are built in)", file, err, s.env.program())
	}
	return text, nil
}

// defaults shows what the scenarios leave out; without any, what can be.
func (o *simulateOptions) defaults() error {
	if len(o.files) == 0 {
		return show(o.s, o.out, defaultsOf(nil), view.DefaultedTable)
	}
	all, err := o.s.scenarios(o.files, variation{})
	if err != nil {
		return err
	}
	for i, sc := range all {
		if i > 0 {
			o.separate()
		}
		if err := show(o.s, o.out, defaultsOf(sc), view.DefaultedTable); err != nil {
			return err
		}
	}
	return nil
}

func defaultsOf(sc *scenario.Scenario) view.Defaulted {
	d := view.Defaulted{Fields: []view.DefaultedField{}}
	if sc == nil {
		for _, f := range scenario.Defaults() {
			source := f.Source
			if f.If != "" {
				source += "; if " + f.If
			}
			d.Fields = append(d.Fields, view.DefaultedField{Field: f.Field, Value: f.Value, Source: source})
		}
	} else {
		d.Scenario = sc.Metadata.Name
		for _, row := range scenario.Explain(sc) {
			if slices.ContainsFunc(v1alpha1.Defaults(), func(f v1alpha1.Default) bool { return f.Field == row.Path }) {
				continue // in the other table
			}
			d.Fields = append(d.Fields, view.DefaultedField{Field: row.Path, Value: row.Value, Source: row.Source})
		}
	}
	for _, f := range v1alpha1.Defaults() {
		d.Policy = append(d.Policy, view.DefaultedField{Field: f.Field, Value: f.Value})
	}
	return d
}

func (o *simulateOptions) stories() error {
	builtIn, err := scenario.BuiltIn()
	if err != nil {
		return err
	}
	list := view.Stories{Items: []view.Story{}}
	for _, s := range builtIn {
		list.Items = append(list.Items, view.Story{Name: s.Name, Story: s.Story})
	}
	return show(o.s, o.out, list, view.StoriesTable)
}
