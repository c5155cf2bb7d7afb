package view

import "time"

// Diagnosis is the answer of `doctor`.
type Diagnosis struct {
	// Verdict is RateLimited, WasRateLimited, NotRateLimiting (pulls fail, of something
	// else), Warnings (no pull fails), Healthy or Unknown (pods could not be read).
	Verdict string `json:"verdict"`
	// Summary says the verdict in a sentence.
	Summary string `json:"summary"`
	// Scope is what was looked at: cluster, or an object such as deploy/billing.
	Scope string `json:"scope"`
	// Namespace of that object.
	Namespace string `json:"namespace,omitempty"`
	// At is when it was looked at.
	At time.Time `json:"at"`
	// Cluster is what it was found in.
	Cluster DiagnosedCluster `json:"cluster"`
	// Evidence is what was read, and what was not and why.
	Evidence []Evidence `json:"evidence"`
	// Pulling is what pulls at this moment.
	Pulling Pulling `json:"pulling"`
	// Held are the pods that Pace holds, by Reason.
	Held []Counted `json:"held"`
	// Findings, what fails first.
	Findings []Finding `json:"findings"`
	// Clear are the checks that looked and found nothing.
	Clear []string `json:"clear"`
	// Unknown are the checks that could not be made, each with why.
	Unknown []UnknownCheck `json:"unknown"`
	// Replay is what the simulator made of it; nothing where there was nothing to
	// replay.
	Replay *DiagnosisReplay `json:"replay,omitempty"`
	// Fixes are what may be done, the cheapest first.
	Fixes []Fix `json:"fixes"`
}

// DiagnosedCluster is the cluster of a diagnosis.
type DiagnosedCluster struct {
	// Name is that of the reader's context.
	Name string `json:"name,omitempty"`
	// Version of the API server.
	Version string `json:"version,omitempty"`
	// Nodes, or those of the scope.
	Nodes int `json:"nodes"`
	// Architectures of the nodes, the most frequent first.
	Architectures []Counted `json:"architectures"`
	// Runtimes of the nodes, the most frequent first.
	Runtimes []RuntimeCost `json:"runtimes"`
	// Controller says whether Pace works there: installed, silent or absent.
	Controller string `json:"controller"`
}

// Counted is a word and how often it is there.
type Counted struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// RuntimeCost is a container runtime and what a pull takes with it.
type RuntimeCost struct {
	// Runtime as the nodes name it, as containerd://2.1.4.
	Runtime string `json:"runtime"`
	Nodes   int    `json:"nodes"`
	// ColdPull is how many manifests a pull of an image of several platforms asks for
	// where nothing is cached.
	ColdPull *Units `json:"coldPullManifestGETs,omitempty"`
	// WarmAlways is how many the start of a container with imagePullPolicy Always asks
	// for where the image is there.
	WarmAlways *Units `json:"warmAlwaysManifestGETs,omitempty"`
	// OnThrottle says how it repeats what was refused.
	OnThrottle string `json:"onThrottle,omitempty"`
}

// Evidence is one part of the cluster that was read.
type Evidence struct {
	// Part is what was read: pods, nodes, events, ...
	Part string `json:"part"`
	// Count is how many there were.
	Count int `json:"count"`
	// Oldest is how far back it goes, for events.
	Oldest time.Time `json:"oldest,omitzero"`
	// Unread says why it was not read, or what of it was left out; empty: it is all
	// there.
	Unread string `json:"unread,omitempty"`
}

// Pulling is what pulls now, and why.
type Pulling struct {
	Pods  int `json:"pods"`
	Nodes int `json:"nodes"`
	// Causes, the largest first.
	Causes []Cause `json:"causes"`
}

// Cause is why pods pull.
type Cause struct {
	// Kind is NewNodes, Rollout, ScaleUp, NewWorkload, Recreated or Bare.
	Kind string `json:"kind"`
	// Workload is namespace/name of what the pods belong to.
	Workload string `json:"workload"`
	Pods     int    `json:"pods"`
	Nodes    int    `json:"nodes"`
	// Since is when it began.
	Since time.Time `json:"since,omitzero"`
	// Text says it in words.
	Text string `json:"text"`
}

// Finding is something that is wrong, or may become it.
type Finding struct {
	// Check is its name of the closed list: docs/doctor.md.
	Check string `json:"check"`
	// Severity is FAIL, pulls fail or did, or WARN.
	Severity string `json:"severity"`
	// Class is the failure class, of findings of failed pulls.
	Class string `json:"class,omitempty"`
	// Limiter is what refused: pull, request, abuse, token, upstream, foreign, kubelet.
	Limiter string `json:"limiter,omitempty"`
	// Registry is the host.
	Registry string `json:"registry,omitempty"`
	// Text says it in a sentence.
	Text string `json:"text"`
	// Now says that it is so at this moment; else it is over.
	Now bool `json:"now"`
	// From and To are when it was seen first and last, as far as events go back.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Pods, Nodes, Workloads and Namespaces that it reaches.
	Pods       int `json:"pods"`
	Nodes      int `json:"nodes"`
	Workloads  int `json:"workloads"`
	Namespaces int `json:"namespaces"`
	// Facts that it rests on.
	Facts []Fact `json:"facts"`
	// Objects are some of those that it reaches, at most ten.
	Objects []string `json:"objects"`
	// Fix is what to do.
	Fix string `json:"fix"`
}

// Fact is something that was seen, and where.
type Fact struct {
	Name string `json:"name"`
	Text string `json:"text"`
	// Source is the part of the cluster that says so.
	Source string `json:"source"`
}

// UnknownCheck is a check that could not be made.
type UnknownCheck struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// Fix is something to do about it.
type Fix struct {
	// Number is what --fix takes.
	Number int `json:"number"`
	// Kind is UseSecret, MakeSecret, NameSecret, Undo, Pin, Mirror, Pace, KubeletQPS or
	// Egress.
	Kind string `json:"kind"`
	// Title says it in a line.
	Title string `json:"title"`
	// Change is what --fix N --dry-run prints: commands, or manifests.
	Change string `json:"change"`
	// Replay is what the simulator made of it, nothing where it cannot tell.
	Replay *Replayed `json:"replay,omitempty"`
}

// DiagnosisReplay is what was replayed by the simulator.
type DiagnosisReplay struct {
	// Registry whose limit was replayed, Limit and WindowSeconds what was taken for it.
	Registry      string  `json:"registry"`
	Limit         int64   `json:"limit"`
	WindowSeconds float64 `json:"windowSeconds"`
	// Pods that wanted the registry's images at once, and Nodes.
	Pods  int `json:"pods"`
	Nodes int `json:"nodes"`
	// Seed of the run.
	Seed uint64 `json:"seed"`
	// Assumed says what nobody told.
	Assumed []string `json:"assumed"`
	// AsItIs is left to the kubelets.
	AsItIs *Replayed `json:"asItIs,omitempty"`
	// Not says why there are no figures.
	Not string `json:"not,omitempty"`
}

// Replayed are figures of one run.
type Replayed struct {
	// Throttled counts answers of 429.
	Throttled int64 `json:"throttled"`
	// HalfReadySeconds and AllReadySeconds are from the start; nothing where it was not
	// reached within HorizonSeconds.
	HalfReadySeconds *float64 `json:"halfReadySeconds"`
	AllReadySeconds  *float64 `json:"allReadySeconds"`
	HorizonSeconds   float64  `json:"horizonSeconds"`
}

// Names implements `-o name`: the checks that found something.
func (d Diagnosis) Names() []string {
	names := make([]string, 0, len(d.Findings))
	for _, f := range d.Findings {
		name := f.Check
		if f.Registry != "" {
			name += "/" + f.Registry
		}
		names = append(names, name)
	}
	return names
}
