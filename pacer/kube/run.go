package kube

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// GatePath is where the gate is asked, of whatever host.
const GatePath = "/v1/gate"

// The decisions of the gate.
const (
	Allow = "allow"
	Wait  = "hold"
	Abort = "abort"
)

// Run is an AnalysisRun of a step of a Rollout, as far as it asks our gate.
// Background runs ask for the health of pulls.
type Run struct {
	Name    string
	Created time.Time
	// Step is the step that Argo made the run for.
	Step Step
	// Ours says that a metric of it asks our gate.
	Ours bool
	// Completed says that it asks no more, Passed that it ended well, Unsure that it
	// could not tell; Terminated that somebody ended it, ByHand that it was not Argo,
	// as far as its managed fields tell.
	Completed, Passed, Unsure, Terminated, ByHand bool
	// Decision is our last answer as the run keeps it, At when it was given.
	Decision string
	At       time.Time
}

// runObject is what is read of an AnalysisRun.
type runObject struct {
	Spec struct {
		Terminate bool        `json:"terminate,omitempty"`
		Metrics   []runMetric `json:"metrics,omitempty"`
	} `json:"spec"`
	Status struct {
		Phase         string      `json:"phase,omitempty"`
		MetricResults []runResult `json:"metricResults,omitempty"`
	} `json:"status"`
}

// runMetric is a metric of a run, as far as it may be our gate.
type runMetric struct {
	Name     string `json:"name"`
	Provider struct {
		Web *struct {
			URL string `json:"url"`
		} `json:"web,omitempty"`
	} `json:"provider"`
}

func (m runMetric) asksUs() bool {
	if m.Provider.Web == nil {
		return false
	}
	u, err := url.Parse(m.Provider.Web.URL)
	return err == nil && strings.TrimSuffix(u.Path, "/") == GatePath
}

// runResult is what a metric of a run came to.
type runResult struct {
	Name         string           `json:"name"`
	Measurements []runMeasurement `json:"measurements,omitempty"`
}

// runMeasurement is one answer.
type runMeasurement struct {
	Value      string       `json:"value,omitempty"`
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
}

// ReadRun reads an AnalysisRun; false: it is none of a step of a Rollout.
func ReadRun(u *unstructured.Unstructured) (Run, bool) {
	owner := metav1.GetControllerOf(u)
	labels := u.GetLabels()
	if owner == nil || owner.Kind != RolloutKind || !strings.HasPrefix(owner.APIVersion, argoGroup+"/") || labels[rolloutHashLabel] == "" {
		return Run{}, false
	}
	r := Run{Name: u.GetName(), Created: u.GetCreationTimestamp().Time}
	r.Step = Step{Namespace: u.GetNamespace(), Rollout: owner.Name, UID: owner.UID, Hash: labels[rolloutHashLabel], Index: labels[runStepLabel]}
	switch labels[runTypeLabel] {
	case runTypeBackground:
		r.Step.Index = StepHealth
	case runTypePrePromotion:
		r.Step.Index = StepPrePromotion
	}
	if r.Step.Index == "" {
		return Run{}, false
	}
	var o runObject
	if runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o) != nil {
		return Run{}, false
	}
	switch o.Status.Phase {
	case "Successful", "Failed", "Error", "Inconclusive":
		r.Completed, r.Passed, r.Unsure = true, o.Status.Phase == "Successful", o.Status.Phase == "Inconclusive"
	}
	r.Completed = r.Completed || u.GetDeletionTimestamp() != nil
	r.Terminated = o.Spec.Terminate
	r.ByHand = o.Spec.Terminate && endedByHand(u.GetManagedFields())
	for _, m := range o.Spec.Metrics {
		if m.asksUs() {
			r.Ours = true
			r.readLast(o.Status.MetricResults, m.Name)
		}
	}
	return r, true
}

// endedByHand reports whether who ended a run is another than who made it.
func endedByHand(entries []metav1.ManagedFieldsEntry) bool {
	var made, ended []string
	for _, entry := range entries {
		var fields struct {
			Spec struct {
				Metrics   json.RawMessage `json:"f:metrics"`
				Terminate json.RawMessage `json:"f:terminate"`
			} `json:"f:spec"`
		}
		if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if fields.Spec.Metrics != nil {
			made = append(made, entry.Manager)
		}
		if fields.Spec.Terminate != nil {
			ended = append(ended, entry.Manager)
		}
	}
	return len(made) > 0 && slices.ContainsFunc(ended, func(m string) bool { return !slices.Contains(made, m) })
}

// readLast takes in the last answer that a metric got.
func (r *Run) readLast(results []runResult, metric string) {
	for _, result := range results {
		if result.Name != metric || len(result.Measurements) == 0 {
			continue
		}
		last := result.Measurements[len(result.Measurements)-1]
		var answer struct {
			Decision string `json:"decision"`
		}
		if json.Unmarshal([]byte(last.Value), &answer) != nil {
			continue
		}
		switch answer.Decision {
		case Allow, Wait, Abort:
			r.Decision = answer.Decision
			if last.FinishedAt != nil {
				r.At = last.FinishedAt.Time
			}
		}
	}
}

// trimRun leaves of a run what ReadRun reads.
func trimRun(u *unstructured.Unstructured) {
	var o runObject
	if runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &o) != nil {
		return
	}
	for i, result := range o.Status.MetricResults {
		if n := len(result.Measurements); n > 1 {
			o.Status.MetricResults[i].Measurements = result.Measurements[n-1:]
		}
	}
	kept, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&o)
	if err != nil {
		return
	}
	u.Object["spec"], u.Object["status"] = kept["spec"], kept["status"]
	u.SetAnnotations(nil)
}

// RunsOf selects the AnalysisRuns that may be of a step.
func RunsOf(s Step) (labels.Selector, error) {
	set := map[string]string{rolloutHashLabel: s.Hash}
	switch s.Index {
	case StepHealth:
		set[runTypeLabel] = runTypeBackground
	case StepPrePromotion:
		set[runTypeLabel] = runTypePrePromotion
	default:
		set[runStepLabel] = s.Index
	}
	return labels.ValidatedSelectorFromSet(set)
}
