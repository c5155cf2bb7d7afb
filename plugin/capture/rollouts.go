package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/kube"
)

// gateTemplate is the template of Argo's analyses that ask Pace's gate.
const gateTemplate = "pull-budget"

// rolloutSpec is what of a Rollout of Argo a scenario has.
type rolloutSpec struct {
	Spec struct {
		Strategy struct {
			Canary *struct {
				MaxSurge       *intstr.IntOrString `json:"maxSurge"`
				MaxUnavailable *intstr.IntOrString `json:"maxUnavailable"`
				TrafficRouting *struct {
					MaxTrafficWeight *int32 `json:"maxTrafficWeight"`
				} `json:"trafficRouting"`
				Steps []rolloutStep `json:"steps"`
			} `json:"canary"`
			BlueGreen *struct{} `json:"blueGreen"`
		} `json:"strategy"`
	} `json:"spec"`
}

// rolloutStep is a step of a canary.
type rolloutStep struct {
	plan.CanaryStep `json:",inline"`
	Pause           *struct {
		Duration *intstr.IntOrString `json:"duration"`
	} `json:"pause"`
	Analysis *struct {
		Templates []struct {
			TemplateName string `json:"templateName"`
		} `json:"templates"`
	} `json:"analysis"`
}

// rolloutFields are the fields that a scenario has of a Rollout, and what was left out of
// its steps, in words that name nothing.
func (s *capture) rolloutFields(owner kube.Owner) (fields, left []string) {
	fields = []string{"kind: Rollout"}
	i := slices.IndexFunc(s.Rollouts, func(u unstructured.Unstructured) bool {
		return u.GetNamespace() == owner.Namespace && u.GetName() == owner.Name
	})
	if i < 0 {
		return fields, []string{"its steps, which were not readable"}
	}
	var r rolloutSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(s.Rollouts[i].Object, &r); err != nil {
		return fields, []string{"its steps, which were not understood"}
	}
	c := r.Spec.Strategy.Canary
	switch {
	case r.Spec.Strategy.BlueGreen != nil:
		return append(fields, `strategy: {maxSurge: "100%", maxUnavailable: 0}`), []string{"what makes it blue-green: it replaces all pods at once here"}
	case c == nil:
		return fields, nil
	}
	whole := int32(100)
	if c.TrafficRouting != nil {
		fields = append(fields, "trafficRouting: {}")
		if most := c.TrafficRouting.MaxTrafficWeight; most != nil && *most > 0 {
			whole = *most
		}
	}
	var steps []string
	for _, step := range c.Steps {
		if text, ok := step.text(c.TrafficRouting != nil, whole); ok {
			steps = append(steps, text)
		} else {
			left = append(left, text)
		}
	}
	fields = append(fields, "steps: ["+strings.Join(steps, ", ")+"]")
	if c.MaxSurge != nil || c.MaxUnavailable != nil {
		fields = append(fields, "strategy: {"+strings.Join(portions(c.MaxSurge, c.MaxUnavailable), ", ")+"}")
	}
	return fields, left
}

func portions(surge, unavailable *intstr.IntOrString) []string {
	var out []string
	if surge != nil {
		out = append(out, "maxSurge: "+portion(surge))
	}
	if unavailable != nil {
		out = append(out, "maxUnavailable: "+portion(unavailable))
	}
	return out
}

// text is the step as a scenario has it; false: what it is, in words, which a scenario
// has not.
func (s rolloutStep) text(routed bool, whole int32) (string, bool) {
	switch {
	case s.SetWeight != nil:
		return fmt.Sprintf("{setWeight: %d}", *s.SetWeight*100/whole), true
	case s.SetCanaryScale != nil:
		return scaleText(s.SetCanaryScale, routed)
	case s.Pause != nil:
		return s.pauseText()
	case s.Analysis != nil:
		for _, t := range s.Analysis.Templates {
			if t.TemplateName == gateTemplate {
				return "{gate: {}}", true
			}
		}
		return "an analysis", false
	}
	return "a step of another kind", false
}

func scaleText(c *plan.CanaryScale, routed bool) (string, bool) {
	switch {
	case !routed:
		return "a scale that counts with a router alone", false
	case c.MatchTrafficWeight:
		return "{setCanaryScale: {matchTrafficWeight: true}}", true
	case c.Replicas != nil:
		return fmt.Sprintf("{setCanaryScale: {replicas: %d}}", *c.Replicas), true
	case c.Weight != nil:
		return fmt.Sprintf("{setCanaryScale: {weight: %d}}", *c.Weight), true
	}
	return "a scale that says nothing", false
}

// pauseText reads a pause as Argo does: a number is one of seconds.
func (s rolloutStep) pauseText() (string, bool) {
	d := s.Pause.Duration
	if d == nil {
		return "a pause that a person ends", false
	}
	text := d.StrVal
	if _, err := strconv.Atoi(text); d.Type == intstr.Int || err == nil {
		text = d.String() + "s"
	}
	pause, err := time.ParseDuration(text)
	if err != nil || pause < 0 {
		return "a pause that was not understood", false
	}
	return fmt.Sprintf("{pause: {duration: %v}}", pause), true
}
