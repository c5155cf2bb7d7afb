package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Run is a whole trace.
type Run struct {
	Begin    Begin
	Nodes    []Node
	Images   []Image
	Pods     []Pod
	Registry []Registry
	// Scenario is the YAML of a scenario of the same; empty: there is none yet.
	Scenario string
}

// Begin is what was recorded, and by whom.
type Begin struct {
	// At and Until are when the recording began and ended, by the clock of who
	// recorded; all other times are by the same.
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	// Version is that of the program, Cluster that of the API server.
	Version string `json:"version,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// Policy is what paced the run, by its name in the scenario.
	Policy string `json:"policy,omitempty"`
}

// Node is a node at the end.
type Node struct {
	Name    string `json:"name"`
	Zone    string `json:"zone,omitempty"`
	Runtime string `json:"runtime,omitempty"`
	// Created is set where the node came during the run.
	Created time.Time `json:"created,omitzero"`
}

// Image is an image that was pulled, with its size as the kubelet tells it; 0: it
// does not.
type Image struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes,omitempty"`
}

// Pod is what one pod met. A time that is not set did not come.
type Pod struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Workload  string    `json:"workload,omitempty"`
	Images    []string  `json:"images,omitempty"`
	Node      string    `json:"node,omitempty"`
	Created   time.Time `json:"created"`
	// Held says that it came with Pace's gate, Released is when that was off.
	Held      bool      `json:"held,omitempty"`
	Released  time.Time `json:"released,omitzero"`
	Scheduled time.Time `json:"scheduled,omitzero"`
	Ready     time.Time `json:"ready,omitzero"`
	Gone      time.Time `json:"gone,omitzero"`
	Pulls     []Pull    `json:"pulls,omitempty"`
}

// Pull is what pulling one image for a pod came to.
type Pull struct {
	Image string `json:"image"`
	// Began is when the kubelet first said that it pulls, Pulled when it had.
	Began  time.Time `json:"began,omitzero"`
	Pulled time.Time `json:"pulled,omitzero"`
	// Took is how long the last attempt took, as the kubelet says.
	Took time.Duration `json:"tookNanoseconds,omitempty"`
	// Throttled and Failed count attempts that ended with 429, and otherwise.
	Throttled int `json:"throttled,omitempty"`
	Failed    int `json:"failed,omitempty"`
}

// Registry is what a registry says of the run, where somebody could ask it.
type Registry struct {
	Host string `json:"host"`
	// Units are those charged to the cluster, Throttled the answers of 429 to it.
	Units     int64 `json:"units"`
	Throttled int64 `json:"throttled"`
}

// line is one line: exactly one field is set.
type line struct {
	Run      *Begin    `json:"run,omitempty"`
	Node     *Node     `json:"node,omitempty"`
	Image    *Image    `json:"image,omitempty"`
	Pod      *Pod      `json:"pod,omitempty"`
	Registry *Registry `json:"registry,omitempty"`
	Scenario *string   `json:"scenario,omitempty"`
}

// maxLine bounds a line.
const maxLine = 4 << 20

// Is reports whether a text begins as a trace of a run does.
func Is(text []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte(`{"run":`)) }

// Encode writes a trace. Nothing in it fails to encode.
func Encode(r Run) []byte {
	var out bytes.Buffer
	put := func(l line) {
		text, err := json.Marshal(l)
		if err != nil {
			return // a time beyond the year 9999
		}
		out.Write(append(text, '\n'))
	}
	put(line{Run: &r.Begin})
	for i := range r.Nodes {
		put(line{Node: &r.Nodes[i]})
	}
	for i := range r.Images {
		put(line{Image: &r.Images[i]})
	}
	for i := range r.Pods {
		put(line{Pod: &r.Pods[i]})
	}
	for i := range r.Registry {
		put(line{Registry: &r.Registry[i]})
	}
	if r.Scenario != "" {
		put(line{Scenario: &r.Scenario})
	}
	return out.Bytes()
}

// Decode reads a trace. The error names the line.
func Decode(text []byte) (Run, error) {
	var r Run
	for number := 1; len(text) > 0; number++ {
		now, rest, _ := bytes.Cut(text, []byte{'\n'})
		text = rest
		if len(bytes.TrimSpace(now)) == 0 {
			continue
		}
		if err := r.take(now, number == 1); err != nil {
			return r, fmt.Errorf("reading trace line %d: %w", number, err)
		}
	}
	if r.Begin.At.IsZero() {
		return r, fmt.Errorf("reading the trace: it is empty")
	}
	return r, nil
}

// take reads one line.
func (r *Run) take(text []byte, first bool) error {
	if len(text) > maxLine {
		return fmt.Errorf("it is %d bytes long, want %d at most", len(text), maxLine)
	}
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return err
	}
	if dec.More() {
		return fmt.Errorf("more than one object")
	}
	if l.count() != 1 || first != (l.Run != nil) {
		return fmt.Errorf("want the run first, and then one of node, image, pod, registry, scenario in a line")
	}
	switch {
	case l.Run != nil:
		r.Begin = *l.Run
		return l.Run.check()
	case l.Node != nil:
		r.Nodes = append(r.Nodes, *l.Node)
	case l.Image != nil:
		r.Images = append(r.Images, *l.Image)
	case l.Pod != nil:
		r.Pods = append(r.Pods, *l.Pod)
		return l.Pod.check(r.Begin)
	case l.Registry != nil:
		r.Registry = append(r.Registry, *l.Registry)
	case l.Scenario != nil:
		if r.Scenario != "" {
			return fmt.Errorf("a second scenario")
		}
		r.Scenario = *l.Scenario
	}
	return nil
}

func (l line) count() (n int) {
	for _, set := range []bool{l.Run != nil, l.Node != nil, l.Image != nil, l.Pod != nil, l.Registry != nil, l.Scenario != nil} {
		if set {
			n++
		}
	}
	return n
}

func (b Begin) check() error {
	if b.At.IsZero() || b.Until.Before(b.At) {
		return fmt.Errorf("the run is from %s until %s", b.At, b.Until)
	}
	return nil
}

// check complains about times that cannot be.
func (p Pod) check(b Begin) error {
	times := []time.Time{b.At, p.Created, p.Scheduled, p.Ready}
	times = slices.DeleteFunc(times, time.Time.IsZero)
	if !slices.IsSortedFunc(times, time.Time.Compare) || p.Created.IsZero() {
		return fmt.Errorf("pod %s/%s: want it created after the run began, then scheduled, then ready", p.Namespace, p.Name)
	}
	for _, pull := range p.Pulls {
		if pull.Throttled < 0 || pull.Failed < 0 || pull.Took < 0 {
			return fmt.Errorf("pod %s/%s: a pull has a negative figure", p.Namespace, p.Name)
		}
	}
	return nil
}
