package scenario

import "time"

// maxSteps bounds the steps of a Rollout; maxInterval how long a gate may leave its
// claim without a question, which would be forgotten.
const (
	maxSteps    = 100
	maxInterval = 2 * time.Minute
)

// validateRollout checks what only a Rollout has.
func (d *decoder) validateRollout(path string, w Workload) {
	if w.Kind != Rollout {
		d.want(!d.given(path+".steps"), path+".steps", "is no field of a %s: want kind Rollout", w.Kind)
		d.want(!d.given(path+".trafficRouting"), path+".trafficRouting", "is no field of a %s: want kind Rollout", w.Kind)
		return
	}
	d.want(len(w.Steps) <= maxSteps, path+".steps", "has %d entries, want %d at most", len(w.Steps), maxSteps)
	if d.failed(path + ".steps") {
		return
	}
	for i, s := range w.Steps {
		d.validateStep(at(path+".steps", i), s, w)
	}
}

func (d *decoder) validateStep(path string, s Step, w Workload) {
	if s.Gate != nil {
		d.duration(path+".gate.interval", s.Gate.Interval, time.Second, maxInterval)
	}
	if s.SetWeight != nil {
		d.between(path+".setWeight", int(*s.SetWeight), 0, 100)
	}
	if s.Pause != nil {
		d.duration(path+".pause.duration", s.Pause.Duration, 0, maxHorizon)
	}
	if s.SetCanaryScale != nil {
		d.validateCanaryScale(path+".setCanaryScale", *s.SetCanaryScale, w)
	}
	d.exactlyOne(path, map[string]bool{
		"gate": s.Gate != nil, "setWeight": s.SetWeight != nil, "setCanaryScale": s.SetCanaryScale != nil, "pause": s.Pause != nil,
	})
}

func (d *decoder) validateCanaryScale(path string, c CanaryScale, w Workload) {
	d.want(w.TrafficRouting != nil, path, "counts with trafficRouting alone, as Argo has it")
	if c.Replicas != nil {
		d.between(path+".replicas", int(*c.Replicas), 0, maxPods)
	}
	if c.Weight != nil {
		d.between(path+".weight", int(*c.Weight), 0, 100)
	}
	d.exactlyOne(path, map[string]bool{"replicas": c.Replicas != nil, "weight": c.Weight != nil, "matchTrafficWeight": c.MatchTrafficWeight})
}
