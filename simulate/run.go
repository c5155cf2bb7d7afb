package simulate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/pullpace/pace/simulate/model"
	"github.com/pullpace/pace/simulate/policy"
	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/scenario"
)

// Options are how to run, which changes nothing in what comes out but how long it
// took.
type Options struct {
	// Workers is how many runs there are at a time; 0 is one for each processor.
	Workers int
	// Version is the program's, for the result.
	Version string
	// Progress is told how many runs are done.
	Progress func(done, total int)
	// Now is the clock that says how long it took; nil is the machine's.
	Now func() time.Time
}

// Run runs every policy of a scenario that scenario.Decode returned, each as often
// as it says. It ends early, with its cause, when the context ends.
func Run(ctx context.Context, s *scenario.Scenario, o Options) (report.Result, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	began := o.Now()
	if err := Check(s); err != nil {
		return report.Result{}, err
	}
	hash, err := hashOf(s)
	if err != nil {
		return report.Result{}, err
	}
	all, err := runAll(ctx, &s.Spec, o)
	if err != nil {
		return report.Result{}, err
	}
	r := report.Result{
		Scenario: s.Metadata.Name, ScenarioSHA256: hash, Version: o.Version,
		Seed: s.Spec.Seed, Replications: replications(&s.Spec), HorizonSeconds: s.Spec.Horizon.Seconds(),
		Policies: []report.Policy{},
	}
	events, log := int64(0), sha256.New()
	figures := make([][]report.Policy, len(all))
	for i, runs := range all {
		for _, run := range runs {
			figures[i] = append(figures[i], run.figures)
			events += run.figures.Events
			log.Write(run.digest[:])
		}
		r.Policies = append(r.Policies, report.Over(figures[i]))
	}
	if r.Goals, err = check(s.Spec.Goals, figures); err != nil {
		return report.Result{}, err
	}
	r.LogSHA256 = hex.EncodeToString(log.Sum(nil))
	r.WallSeconds = o.Now().Sub(began).Seconds()
	if r.WallSeconds > 0 {
		r.EventsPerSecond = float64(events) / r.WallSeconds
	}
	return r, nil
}

// Check says what of a scenario's policies cannot be simulated, of all of them.
func Check(s *scenario.Scenario) error {
	var errs []error
	for _, p := range s.Spec.Policies {
		if _, err := policy.New(&s.Spec, p); err != nil {
			errs = append(errs, fmt.Errorf("policy %q: %w", p.Name, err))
		}
	}
	return errors.Join(errs...)
}

// hashOf is the hash of a scenario with its defaults.
func hashOf(s *scenario.Scenario) (string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encoding scenario %q: %w", s.Metadata.Name, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func replications(spec *scenario.Spec) int { return max(spec.Replications, 1) }

// played is what is kept of one run.
type played struct {
	figures report.Policy
	digest  [sha256.Size]byte
}

// finished is a run that has ended: its number, and what it came to.
type finished struct {
	job int
	run played
	err error
}

// runAll runs all policies and replications, by both indices. When the context ends
// it returns at once; runs under way end by themselves and are heard by nobody.
func runAll(ctx context.Context, spec *scenario.Spec, o Options) ([][]played, error) {
	each := replications(spec)
	all := make([][]played, len(spec.Policies))
	for i := range all {
		all[i] = make([]played, each)
	}
	total := each * len(all)
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	o.Workers = min(o.Workers, total)
	jobs := make(chan int)
	defer close(jobs)
	ended := make(chan finished, o.Workers) // room for what nobody hears
	for range o.Workers {
		go func() {
			for job := range jobs {
				run, err := play(spec, job/each, job%each)
				ended <- finished{job, run, err}
			}
		}()
	}
	for given, done := 0, 0; done < total; {
		next := jobs
		if given == total {
			next = nil
		}
		select {
		case next <- given:
			given++
		case f := <-ended:
			if f.err != nil {
				return nil, f.err
			}
			all[f.job/each][f.job%each] = f.run
			done++
			if o.Progress != nil {
				o.Progress(done, total)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("simulating: %w", context.Cause(ctx))
		}
	}
	return all, nil
}

// noter is a pacer that has something to say about its run.
type noter interface{ Notes() []string }

// play is one run of one policy.
func play(spec *scenario.Spec, index, replication int) (played, error) {
	p := spec.Policies[index]
	pacer, err := policy.New(spec, p)
	if err != nil {
		return played{}, fmt.Errorf("policy %q: %w", p.Name, err)
	}
	out := model.Run(spec, replication, pacer)
	figures := report.NewPolicy(p.Name, raw(out), bound(spec, p, out.Due))
	figures.Clusters = clusters(spec, out)
	if replication == 0 {
		figures.Series = series(spec, out.Series)
		figures.Steps = stepsOf(spec, out)
		if n, ok := pacer.(noter); ok {
			figures.Notes = n.Notes()
		}
		if out.StepsLeftOut > 0 {
			figures.Notes = append(figures.Notes, fmt.Sprintf("%d more steps of Rollouts began than are told", out.StepsLeftOut))
		}
	}
	return played{figures: figures, digest: out.Digest}, nil
}

func raw(out *model.Outcome) report.Raw {
	r := report.Raw{
		Took: out.ReadyAfter, ReadyAt: out.ReadyAt, Unfinished: out.Unfinished,
		FirstPull: report.Never, LastPull: report.Never,
		Pulls: int64(out.Pulls), UnitsCharged: out.UnitsCharged, Throttled: out.Throttled, ThrottledAttempts: out.ThrottledAttempts,
		ForeignThrottled: out.ForeignThrottled, HeldNeverCharged: int64(out.HeldNeverCharged), Events: out.Events, IdleNode: out.IdleNode,
	}
	if out.Pulls > 0 {
		r.FirstPull, r.LastPull = out.FirstPullStart, out.LastPullStart
	}
	return r
}

// clusters are the figures of each of several.
func clusters(spec *scenario.Spec, out *model.Outcome) []report.Cluster {
	var all []report.Cluster
	for i, c := range out.Clusters {
		last := report.Never
		if c.Pulls > 0 {
			last = c.LastPullStart
		}
		all = append(all, report.Cluster{Name: spec.Clusters[i], Pulls: int64(c.Pulls), UnitsCharged: c.UnitsCharged, Throttled: c.Throttled,
			UnfinishedPods: int64(c.Unfinished), LastPullStartSeconds: report.Seconds(last)})
	}
	return all
}

// check evaluates goals by the replications of each policy.
func check(goals []scenario.Goal, figures [][]report.Policy) ([]report.Goal, error) {
	out := make([]report.Goal, 0, len(goals))
	for i, g := range goals {
		of := slices.IndexFunc(figures, func(runs []report.Policy) bool { return runs[0].Name == g.Policy })
		if of < 0 {
			return nil, fmt.Errorf("goals[%d]: there is no policy %q", i, g.Policy)
		}
		checked, err := report.Goal{Policy: g.Policy, Metric: g.Metric, Op: g.Op, Value: g.Value.Number}.Check(figures[of])
		if err != nil {
			return nil, fmt.Errorf("goals[%d]: %w", i, err)
		}
		out = append(out, checked)
	}
	return out, nil
}
