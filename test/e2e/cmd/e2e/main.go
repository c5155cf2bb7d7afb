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
	"io"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/pullpace/pace/test/e2e/feedback"
	"github.com/pullpace/pace/test/e2e/fidelity"
	"github.com/pullpace/pace/test/e2e/mainjob"
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
	log.SetLogger(logr.Discard()) // the client's library complains otherwise
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
func suites() map[string]func(*stage.Lab) []suite.Case {
	return map[string]func(*stage.Lab) []suite.Case{"main": mainjob.Cases, "fidelity": fidelity.Cases, "feedback": feedback.Cases}
}

func parse(args []string) (settings, error) {
	s := settings{}
	flags := flag.NewFlagSet("e2e", flag.ContinueOnError)
	flags.StringVar(&s.suite, "suite", "main", "suite to run")
	names := flags.String("run", "", "run only the cases whose name matches this regular expression")
	flags.IntVar(&s.parallel, "parallel", 4, "cases side by side")
	flags.DurationVar(&s.patience, "patience", 3*time.Minute, "time limit of one case")
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
	cases := suite.Select(suites()[s.suite](lab), s.run)
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
	opened, err := open(ctx, s)
	if err != nil {
		return err
	}
	*lab = *opened
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

// open brings the ground up and installs the product on it.
func open(ctx context.Context, s settings) (*stage.Lab, error) {
	var progress io.Writer
	if s.verbose {
		progress = os.Stderr
	}
	lab, err := stage.Open(ctx, ground.Options{Helm: true, LogsDir: s.logs, Log: progress})
	if err != nil {
		return nil, err
	}
	if err := lab.Install(ctx, stage.Enforcing()...); ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), lab.Stop())
	} else if err != nil {
		lab.Cluster.KeepLogs()
		evidence := lab.Kubectl(ctx, "describe", "pods", "-n", "pullpace-system")
		return nil, errors.Join(fmt.Errorf("%w\n%s\nlogs are kept in %s", err, evidence, lab.Cluster.LogsDir()), lab.Stop())
	}
	return lab, nil
}
