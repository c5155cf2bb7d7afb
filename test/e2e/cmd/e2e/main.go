//go:build linux

// Command e2e runs an end-to-end suite on a real cluster and a throttled
// registry, with the product installed as a user would install it.
//
//	go run ./test/e2e/cmd/e2e -suite main [-run REGEXP] [-v]
//
// It prints a line for each case and ends with
//
//	e2e suite=.. passed=.. failed=.. skipped=.. seconds=..
//
// and a status other than 0 when a case failed or was skipped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/test/e2e/argo"
	"github.com/pullpace/pace/test/e2e/feedback"
	"github.com/pullpace/pace/test/e2e/fidelity"
	"github.com/pullpace/pace/test/e2e/mainjob"
	"github.com/pullpace/pace/test/e2e/nodes"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
	"github.com/pullpace/pace/test/ground"
)

// settings are those of the command line.
type settings struct {
	suite    string
	run      *regexp.Regexp
	parallel int
	patience time.Duration
	logs     string
	verbose  bool
	list     bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.SetLogger(logr.Discard()) // the client's libraries complain otherwise
	klog.SetLogger(logr.Discard())
	s, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(2)
	}
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		stop()
		os.Exit(1)
	}
}

// suites are the suites by name.
func suites() map[string]func(*stage.Lab) stage.Plan {
	return map[string]func(*stage.Lab) stage.Plan{
		"main": stage.Plain(mainjob.Cases), "feedback": stage.Plain(feedback.Cases), "nodes": nodes.Plan, "argo": argo.Plan,
		"fidelity": func(lab *stage.Lab) stage.Plan { return stage.Plan{Cases: fidelity.Cases(lab), Measures: true} },
	}
}

// sideBySide is how many cases run at once: on two cores a fourth one makes the API server,
// kubelets and the controller so late that the others wait for them.
const sideBySide = 3

func parse(args []string) (settings, error) {
	s := settings{}
	flags := flag.NewFlagSet("e2e", flag.ContinueOnError)
	flags.StringVar(&s.suite, "suite", "main", "suite to run")
	names := flags.String("run", "", "run only the cases whose name matches this regular expression")
	flags.IntVar(&s.parallel, "parallel", sideBySide, "cases side by side")
	flags.DurationVar(&s.patience, "patience", 5*time.Minute, "time limit of one case")
	flags.StringVar(&s.logs, "logs", "", "folder that keeps the logs of all processes")
	flags.BoolVar(&s.verbose, "v", false, "show what the cluster and the installation say")
	flags.BoolVar(&s.list, "list", false, "list the cases and stop")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if known := suites(); known[s.suite] == nil {
		return s, fmt.Errorf("there is no suite %q: want one of %s", s.suite, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	var err error
	s.run, err = regexp.Compile(*names)
	return s, err
}

func run(ctx context.Context, s settings) (err error) {
	// The cases are made on a lab that comes up only if there are any.
	lab := new(stage.Lab)
	plan := suites()[s.suite](lab)
	cases := suite.Select(plan.Cases, s.run)
	if s.list {
		for _, c := range cases {
			fmt.Println(c.Name)
		}
		return nil
	}
	if len(cases) == 0 {
		return fmt.Errorf("no case of suite %q matches %q", s.suite, s.run)
	}
	began := time.Now()
	if err := open(ctx, s, plan, lab); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	fmt.Printf("up after %.0f s; %d cases, %d side by side\n", time.Since(began).Seconds(), len(cases), s.parallel)
	summary := suite.Run(ctx, suite.Options{
		Name: s.suite, Parallel: s.parallel, Patience: s.patience,
		Finished: func(r suite.Result) { fmt.Println(r) },
	}, cases)
	summary.Took = time.Since(began)
	err = summary.Err()
	if err != nil && ctx.Err() == nil {
		lab.Cluster.KeepLogs()
		fmt.Printf("logs are kept in %s\n", lab.Cluster.LogsDir())
	}
	fmt.Println(summary)
	return err
}

// open brings the ground up, makes the lab of it, and installs the product there.
func open(ctx context.Context, s settings, plan stage.Plan, lab *stage.Lab) error {
	options := ground.Options{Helm: s.suite == "main", LogsDir: s.logs}
	if s.verbose {
		options.Log = os.Stderr
	}
	if plan.Machines > 0 {
		options.Nodes = stage.Machines(plan.Machines)
	}
	opened, err := stage.Open(ctx, options)
	if err != nil {
		return err
	}
	*lab = *opened
	if plan.Ready != nil {
		if err := plan.Ready(ctx); err != nil {
			return errors.Join(err, lab.Stop())
		}
	}
	if err := lab.Install(ctx, append(stage.Enforcing(), plan.Flags...)...); ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), lab.Stop())
	} else if err != nil {
		lab.Cluster.KeepLogs()
		evidence := lab.Kubectl(ctx, "describe", "pods", "-n", "pullpace-system")
		return errors.Join(fmt.Errorf("%w\n%s\nlogs are kept in %s", err, evidence, lab.Cluster.LogsDir()), lab.Stop())
	}
	if !plan.Measures {
		lab.FavourControllers(ctx)
	}
	if plan.Installed != nil {
		if err := plan.Installed(ctx); err != nil {
			return errors.Join(err, lab.Stop())
		}
	}
	return nil
}
