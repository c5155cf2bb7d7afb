package view

import (
	"fmt"
	"time"

	"github.com/pullpace/pace/simulate/report"
	"github.com/pullpace/pace/simulate/search"
)

// simulatedRun is one run of a policy in which pods came one a second, delayed by
// the windows that they waited for.
func simulatedRun(name string, throttled int64, late time.Duration, pods, lost int, bound report.Bound) report.Policy {
	raw := report.Raw{Unfinished: lost, Pulls: int64(pods - lost), UnitsCharged: int64(pods), Throttled: throttled, ThrottledAttempts: throttled / 5,
		HeldNeverCharged: 2, Events: 6120, IdleNode: 90 * time.Minute, FirstPull: time.Second}
	for n := range pods - lost {
		at := time.Duration(n/100)*time.Hour + time.Duration(n%100)*time.Second + late
		raw.Took, raw.ReadyAt, raw.LastPull = append(raw.Took, at), append(raw.ReadyAt, at), at
	}
	return report.NewPolicy(name, raw, bound)
}

func checked(policy, metric, op string, value float64, runs ...report.Policy) report.Goal {
	g, err := report.Goal{Policy: policy, Metric: metric, Op: op, Value: value}.Check(runs)
	if err != nil {
		panic(err)
	}
	return g
}

func sampleSimulation() Simulation {
	bound := report.Bound{Seconds: ptr(32400.0), WithReserveSeconds: ptr(32400.0), LimitedBy: "registries[hub].limiters[0]"}
	paced := bound
	paced.WithReserveSeconds = ptr(36000.0)
	first := simulatedRun("pace", 0, 10*time.Second, 1000, 0, paced)
	first.Notes = []string{"a cluster lets pods beyond 500 of a namespace go"}
	runs := []report.Policy{first, simulatedRun("pace", 0, 20*time.Second, 1000, 0, paced)}
	return Simulation{
		Result: report.Result{
			Scenario: "monday", Version: "v0.3.0", Seed: 42, Replications: 2, HorizonSeconds: 86400, WallSeconds: 3.1, EventsPerSecond: 5_000_000,
			LogSHA256: "7be1" + "00000000000000000000000000000000000000000000000000000000" + "7be1",
			Policies: []report.Policy{
				report.Over([]report.Policy{simulatedRun("none", 41800, time.Minute, 1000, 3, bound), simulatedRun("none", 38000, 9*time.Minute, 1000, 0, bound)}),
				report.Over(runs),
			},
			Goals: []report.Goal{checked("pace", "throttled", "==", 0, runs...), checked("pace", "podReadySeconds.p95", "<=", 1500, runs...)},
		},
		Next: "kubectl pace simulate solve monday.yaml --policy pace --path 'registries[hub].limiters[0].limit' --goal 'podReadySeconds.p95 <= 1500'",
	}
}

// freeSimulation has no goals and no limit; endlessSimulation has a limit of 0.
func freeSimulation() Simulation {
	free := report.Bound{Seconds: ptr(0.0), WithReserveSeconds: ptr(0.0), LimitedBy: "none"}
	run := simulatedRun("none", 0, 0, 50, 0, free)
	run.Clusters = []report.Cluster{{Name: "east", Pulls: 30, UnitsCharged: 30, LastPullStartSeconds: ptr(29.0)}, {Name: "west", Pulls: 20, UnitsCharged: 20, Throttled: 1500, UnfinishedPods: 2}}
	for i := range maxSteps + 2 {
		step := report.Step{Workload: "web", Image: "web-v2", Step: 2 * i, Does: report.GateStep, StartedSeconds: float64(60 * i), Opens: i, Asked: 31, Held: "WaitingForBudget"}
		next := report.Step{Workload: "web", Image: "web-v2", Step: 2*i + 1, Does: fmt.Sprint("setWeight ", i), StartedSeconds: float64(60*i + 50)}
		if i <= maxSteps {
			step.WaitedSeconds, step.WentOnSeconds, step.Went = ptr(50.0), ptr(float64(60*i+50)), "Budget"
			next.WaitedSeconds, next.WentOnSeconds = ptr(10.0), ptr(float64(60*i+60))
		}
		run.Steps = append(run.Steps, step, next)
	}
	return Simulation{Result: report.Result{Scenario: "free", Seed: 1, Replications: 1, WallSeconds: 0.2, EventsPerSecond: 100_000, Policies: []report.Policy{run}}}
}

func endlessSimulation() Simulation {
	never := report.Bound{LimitedBy: "registries[hub].limiters[0]"}
	reserved := report.Bound{Seconds: ptr(60.0), LimitedBy: "registries[hub].limiters[0]"}
	runs := []report.Policy{simulatedRun("none", 900, 0, 50, 50, never), simulatedRun("pace", 0, 0, 50, 50, reserved)}
	return Simulation{Result: report.Result{Scenario: "endless", Seed: 1, Replications: 1, HorizonSeconds: 3600, Policies: runs,
		Goals: []report.Goal{checked("none", "makespanSeconds", "<=", 60, runs[0])}}}
}

func sampleSweep() Sweep {
	s := Sweep{Scenario: "monday", Seed: 42, Replications: 1, Paths: []string{"registries[hub].limiters[0].limit", "mirrors"}, Metrics: []string{"throttled", "makespanSeconds"}}
	for i, values := range [][]string{{"100", "1"}, {"1000", "2"}} {
		none, pace := simulatedRun("none", int64(900*(1-i)), 0, 100, 0, report.Bound{}), simulatedRun("pace", 0, time.Minute, 100, 10*(1-i), report.Bound{})
		s.Points = append(s.Points, SweepPoint{Values: values, Policies: []report.Policy{none, pace}, Goals: []report.Goal{checked("pace", "unfinishedPods", "==", 0, pace)}, LogSHA256: "7be1"})
	}
	return s
}

func sampleSolution() Solution {
	return Solution{Scenario: "monday", Seed: 42, Replications: 20, Path: "registries[hub].limiters[0].limit", Now: "100", Policy: "pace", Goal: "makespanSeconds <= 20m00s", Metric: "makespanSeconds",
		Solution: search.Solution{Answer: "2500", Most: "100000", Monotone: true, Tried: []search.Try{{Value: "1"}, {Value: "2499", Actual: ptr(21614.0)}, {Value: "2500", Actual: ptr(31.5), Met: true}}}}
}

// unsolved met the goal once by chance and has no answer.
func unsolved() Solution {
	s := sampleSolution()
	s.Answer, s.Monotone, s.Odd, s.Replications = "", false, []string{"100", "2499"}, 1
	s.Tried = []search.Try{{Value: "100", Actual: ptr(60.0), Met: true}, {Value: "2499", Actual: ptr(21614.0)}}
	return s
}

func sampleDefaulted() Defaulted {
	return Defaulted{Scenario: "monday",
		Fields: []DefaultedField{{"horizon", "24h", "scenario"}, {"nodePools[general].kubelet.registryPullQPS", "5", "KubeletConfiguration 1.37"}},
		Policy: []DefaultedField{{"maxHold", "24h (class ci: 2m)", ""}}}
}

func sampleStories() Stories {
	return Stories{Items: []Story{{"monday-morning", "a scale-up behind one NAT"}, {"prune-job", "a job empties caches"}}}
}
