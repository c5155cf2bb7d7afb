package record

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/simulate/trace"
)

// Recorder collects one run. All times are when it was told, by the clock of its
// caller: those in objects are whole seconds. It is not safe for concurrent use.
type Recorder struct {
	began time.Time
	pods  map[types.UID]*trace.Pod
	// before are pods that were there when it began, and are none of the run.
	before map[types.UID]bool
	nodes  map[string]trace.Node
	sizes  map[string]int64
	// counts is how often an Event was seen to have happened.
	counts map[types.UID]int32
	// early are Events of pods that were not seen yet.
	early map[types.UID][]seen
}

// seen is an Event and when it came.
type seen struct {
	at    time.Time
	event corev1.Event
}

// New begins a run.
func New(began time.Time) *Recorder {
	return &Recorder{
		began: began, pods: map[types.UID]*trace.Pod{}, before: map[types.UID]bool{}, nodes: map[string]trace.Node{},
		sizes: map[string]int64{}, counts: map[types.UID]int32{}, early: map[types.UID][]seen{},
	}
}

// Before notes a pod that was there when the run began.
func (r *Recorder) Before(p *corev1.Pod) { r.before[p.UID] = true }

// Node notes a node.
func (r *Recorder) Node(n *corev1.Node) {
	node := trace.Node{Name: n.Name, Zone: n.Labels[corev1.LabelTopologyZone], Runtime: n.Status.NodeInfo.ContainerRuntimeVersion}
	if n.CreationTimestamp.After(r.began) {
		node.Created = n.CreationTimestamp.Time
	}
	r.nodes[n.Name] = node
}

// Pod takes in how a pod is now.
func (r *Recorder) Pod(now time.Time, p *corev1.Pod) {
	if r.before[p.UID] {
		return
	}
	known := r.pods[p.UID]
	if known == nil {
		known = &trace.Pod{Namespace: p.Namespace, Name: p.Name, Workload: workload(p), Images: images(p), Created: now, Held: held(p)}
		r.pods[p.UID] = known
	}
	once := func(at *time.Time, when bool) {
		if when && at.IsZero() {
			*at = now
		}
	}
	once(&known.Released, known.Held && !held(p))
	once(&known.Scheduled, p.Spec.NodeName != "")
	once(&known.Ready, ready(p))
	known.Node = cmp.Or(p.Spec.NodeName, known.Node)
	for _, e := range r.early[p.UID] {
		r.tell(e.at, known, &e.event)
	}
	delete(r.early, p.UID)
}

// Gone takes in that a pod was deleted.
func (r *Recorder) Gone(now time.Time, p *corev1.Pod) {
	if known := r.pods[p.UID]; known != nil {
		known.Gone = now
	}
}

// Event takes in what a kubelet said of a pod.
func (r *Recorder) Event(now time.Time, e *corev1.Event) {
	uid := e.InvolvedObject.UID
	if e.InvolvedObject.Kind != "Pod" || r.before[uid] {
		return
	}
	known := r.pods[uid]
	if known == nil {
		r.early[uid] = append(r.early[uid], seen{now, *e})
		return
	}
	r.tell(now, known, e)
}

// pulled is what a kubelet says of a pull that succeeded.
var pulled = regexp.MustCompile(`^Successfully pulled image "([^"]+)" in ([0-9a-zµ.]+) .*?(?:Image size: (\d+) bytes)?\.?$`)

// quoted is the first name in quotes.
var quoted = regexp.MustCompile(`"([^"]+)"`)

func (r *Recorder) tell(now time.Time, p *trace.Pod, e *corev1.Event) {
	times := int(max(e.Count, 1) - r.counts[e.UID])
	if times <= 0 {
		return // said before
	}
	r.counts[e.UID] = max(e.Count, 1)
	name := quoted.FindStringSubmatch(e.Message)
	if name == nil {
		return
	}
	switch {
	case e.Reason == "Pulling":
		if pull := pullOf(p, name[1]); pull.Began.IsZero() {
			pull.Began = now
		}
	case e.Reason == "Pulled":
		r.pulled(now, p, e.Message)
	case e.Reason == "Failed" && strings.HasPrefix(e.Message, "Failed to pull image"):
		if throttled(e.Message) {
			pullOf(p, name[1]).Throttled += times
		} else {
			pullOf(p, name[1]).Failed += times
		}
	}
}

// pulled notes a pull that succeeded; an image that was there is none.
func (r *Recorder) pulled(now time.Time, p *trace.Pod, message string) {
	said := pulled.FindStringSubmatch(message)
	if said == nil {
		return
	}
	pull := pullOf(p, said[1])
	pull.Pulled = now
	pull.Took, _ = time.ParseDuration(said[2])
	if size, err := strconv.ParseInt(said[3], 10, 64); err == nil {
		r.sizes[pull.Image] = size
	} else if _, known := r.sizes[pull.Image]; !known {
		r.sizes[pull.Image] = 0
	}
}

// throttled reports whether a failed pull was answered by 429.
func throttled(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "429 too many requests") || strings.Contains(message, "toomanyrequests")
}

func pullOf(p *trace.Pod, image string) *trace.Pull {
	image = normal(image)
	for i := range p.Pulls {
		if p.Pulls[i].Image == image {
			return &p.Pulls[i]
		}
	}
	p.Pulls = append(p.Pulls, trace.Pull{Image: image})
	return &p.Pulls[len(p.Pulls)-1]
}

// Run is what was recorded so far, pods by the time of their creation.
func (r *Recorder) Run(now time.Time) trace.Run {
	run := trace.Run{Begin: trace.Begin{At: r.began, Until: now, Policy: "none"}}
	for _, n := range r.nodes {
		run.Nodes = append(run.Nodes, n)
	}
	slices.SortFunc(run.Nodes, func(a, b trace.Node) int { return cmp.Compare(a.Name, b.Name) })
	for name, bytes := range r.sizes {
		run.Images = append(run.Images, trace.Image{Name: name, Bytes: bytes})
	}
	slices.SortFunc(run.Images, func(a, b trace.Image) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range r.pods {
		run.Pods = append(run.Pods, *p)
		if p.Held {
			run.Begin.Policy = "pace"
		}
	}
	slices.SortFunc(run.Pods, func(a, b trace.Pod) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	run.Scenario = skeleton(run)
	return run
}

func held(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.SchedulingGates, func(g corev1.PodSchedulingGate) bool { return g.Name == v1alpha1.Gate })
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// workload is the owner that a person knows, of a ReplicaSet the Deployment.
func workload(p *corev1.Pod) string {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return ""
	}
	if hash := p.Labels["pod-template-hash"]; owner.Kind == "ReplicaSet" && hash != "" {
		return "Deployment/" + strings.TrimSuffix(owner.Name, "-"+hash)
	}
	return owner.Kind + "/" + owner.Name
}

// normal is an image as every reference to it is compared.
func normal(ref string) string {
	if image, _, ok := kube.NormalImage(ref); ok {
		return string(image)
	}
	return ref
}

func images(p *corev1.Pod) []string {
	var names []string
	for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
		if name := normal(c.Image); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
