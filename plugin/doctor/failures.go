package doctor

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/kube"
)

// failure is a pull that fails, or that failed not long ago.
type failure struct {
	feedback.Failure
	namespace, pod, node string
	owner                kube.Owner
	// image by its full name, host its registry; both are empty where it is none.
	image, host string
	message     string
	// from and to are when it was seen first and last; zero where nothing says so.
	from, to time.Time
	// now says that a container waits for it at this moment.
	now bool
	// by is where it is known from.
	by Part
}

// podKey names a pod.
type podKey struct{ namespace, name string }

// exam is an examination under way: a snapshot with what is looked up in it often.
type exam struct {
	*Snapshot
	scope Scope
	nodes map[string]*corev1.Node
	pods  map[podKey]*corev1.Pod
	// scopeNodes are the nodes of the scope's pods, unless it is the whole cluster.
	scopeNodes map[string]bool
	// pulls and images remember what is costly to read again: what a pod pulls, and
	// names by reference.
	pulls  map[*corev1.Pod][]kube.Pull
	images map[string]named
	// failures of the scope, everywhere those of the whole snapshot.
	failures, everywhere []failure
}

func newExam(s *Snapshot, scope Scope) *exam {
	e := &exam{Snapshot: s, scope: scope, nodes: map[string]*corev1.Node{}, pods: map[podKey]*corev1.Pod{}, scopeNodes: map[string]bool{}, pulls: map[*corev1.Pod][]kube.Pull{}, images: map[string]named{}}
	for i := range s.Nodes {
		e.nodes[s.Nodes[i].Name] = &s.Nodes[i]
	}
	for i := range s.Pods {
		p := &s.Pods[i]
		e.pods[podKey{p.Namespace, p.Name}] = p
		if !scope.whole() && scope.has(p) {
			e.scopeNodes[p.Spec.NodeName] = true
		}
	}
	e.findFailures()
	return e
}

// named is an image reference, read.
type named struct {
	image, host string
	ok          bool
}

// nameOf reads an image reference.
func (e *exam) nameOf(ref string) named {
	n, known := e.images[ref]
	if !known {
		image, host, ok := kube.NormalImage(ref)
		n = named{string(image), host, ok}
		e.images[ref] = n
	}
	return n
}

// pullsOf is what a pod pulls.
func (e *exam) pullsOf(p *corev1.Pod) []kube.Pull {
	pulls, known := e.pulls[p]
	if !known {
		pulls = kube.Pulls(&p.Spec)
		e.pulls[p] = pulls
	}
	return pulls
}

// findFailures collects what fails now from the statuses of containers, and what
// failed from events. A kubelet that only says that it waits hides the cause: then
// the last event of the same container's pull tells it.
func (e *exam) findFailures() {
	told := e.toldByEvents()
	for i := range e.Pods {
		p := &e.Pods[i]
		if finished(p) {
			continue
		}
		for _, f := range waiting(p) {
			key := attempt{p.UID, f.image}
			if last, ok := told[key]; ok {
				if f.Class == feedback.Unknown && last.Class != feedback.Unknown {
					f.Failure, f.message, f.by = last.Failure, last.message, Events
				}
				f.from, f.to = last.from, last.to
				delete(told, key)
			}
			e.note(f, p)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(told), compareAttempts) {
		f := told[key]
		p := e.pods[podKey{f.namespace, f.pod}]
		f.now = p != nil && p.UID == key.pod && !started(p) && !finished(p) && e.Now.Sub(f.to) <= betweenTries
		e.note(*f, p)
	}
	slices.SortStableFunc(e.failures, compareFailures)
	slices.SortStableFunc(e.everywhere, compareFailures)
	e.suspect()
}

// suspect marks answers that may be throttles in disguise: refusals and missing images
// of registries that throttled at about the same time.
func (e *exam) suspect() {
	var recent feedback.Recent
	for _, list := range [][]failure{e.everywhere, e.failures} {
		byTime := make([]*failure, len(list))
		for i := range list {
			byTime[i] = &list[i]
		}
		slices.SortStableFunc(byTime, func(a, b *failure) int {
			return cmp.Or(e.at(a).Compare(e.at(b)), cmp.Compare(slices.Index(order, checkOf(a.Class).check), slices.Index(order, checkOf(b.Class).check)))
		})
		for _, f := range byTime {
			f.Failure = recent.See(e.at(f), f.host, f.Failure)
		}
	}
}

// at is when a failure was seen last.
func (e *exam) at(f *failure) time.Time {
	if f.now {
		return e.Now
	}
	return f.to
}

// betweenTries is how long a kubelet waits for the next try at most, with some slack.
// Source: kubelet 1.37, MaxImageBackOff.
const betweenTries = 6 * time.Minute

// note keeps a failure; pod is nil where it is gone.
func (e *exam) note(f failure, pod *corev1.Pod) {
	e.everywhere = append(e.everywhere, f)
	switch {
	case e.scope.whole():
	case e.scope.Node != "" && f.node == e.scope.Node:
	case pod != nil && e.scope.has(pod):
	default:
		return
	}
	e.failures = append(e.failures, f)
}

// waiting are the containers of a pod that wait because a pull failed.
func waiting(p *corev1.Pod) []failure {
	var out []failure
	for _, f := range kube.Failing(p) {
		out = append(out, failure{
			Failure: f.Failure, namespace: p.Namespace, pod: p.Name, node: p.Spec.NodeName, owner: kube.OwnerOf(p),
			image: string(f.Image), host: f.Host, message: f.Message, now: true, by: Pods,
		})
	}
	return out
}

// attempt is the pull of an image for a pod.
type attempt struct {
	pod   types.UID
	image string
}

func compareAttempts(a, b attempt) int {
	return cmp.Or(cmp.Compare(a.pod, b.pod), cmp.Compare(a.image, b.image))
}

// toldByEvents is what events tell of failed pulls, the last of each. Those of a pod
// whose image came since are kept: what failed then is part of what happened.
func (e *exam) toldByEvents() map[attempt]*failure {
	told := map[attempt]*failure{}
	for i := range e.Events {
		ev := &e.Events[i]
		image, message, ok := failedPull(ev)
		if !ok {
			continue
		}
		name := e.nameOf(image)
		f := &failure{
			Failure:   feedback.Classify("", message, name.host),
			namespace: ev.InvolvedObject.Namespace, pod: ev.InvolvedObject.Name, node: ev.Source.Host,
			image: name.image, host: name.host, message: message, from: eventStart(ev), to: eventTime(ev), by: Events,
		}
		f.owner = kube.Owner{Kind: "Pod", Namespace: f.namespace, Name: f.pod}
		if p := e.pods[podKey{f.namespace, f.pod}]; p != nil && p.UID == ev.InvolvedObject.UID {
			f.owner, f.node = kube.OwnerOf(p), cmp.Or(p.Spec.NodeName, f.node)
		}
		key := attempt{ev.InvolvedObject.UID, name.image}
		before := told[key]
		if before == nil {
			told[key] = f
			continue
		}
		from := earliest(before.from, f.from)
		if f.to.After(before.to) || f.to.Equal(before.to) && before.Class == feedback.Unknown {
			*before = *f
		}
		before.from = from
	}
	return told
}

// failedPull reads an event of a kubelet that tells why a pull failed; an image of
// which no text tells is that of a pod's sandbox.
func failedPull(ev *corev1.Event) (image, message string, ok bool) {
	if ev.InvolvedObject.Kind != "Pod" {
		return "", "", false
	}
	switch ev.Reason {
	case "Failed", "InspectFailed":
		// Source: kubelet 1.37, pkg/kubelet/images/image_manager.go.
		for _, before := range []string{`Failed to pull image "`, `Failed to inspect image "`, `Failed to apply default image tag "`} {
			if rest, found := strings.CutPrefix(ev.Message, before); found {
				image, _, _ = strings.Cut(rest, `"`)
				return image, ev.Message, true
			}
		}
	case "FailedCreatePodSandBox":
		// The runtime pulls the image of the sandbox itself.
		if strings.Contains(ev.Message, "sandbox image") {
			return sandboxImage(ev.Message), ev.Message, true
		}
	}
	return "", "", false
}

// sandboxImage is the image that a runtime says it could not get for a sandbox.
func sandboxImage(message string) string {
	_, rest, ok := strings.Cut(message, `sandbox image "`)
	if !ok {
		return ""
	}
	image, _, _ := strings.Cut(rest, `"`)
	return image
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func compareFailures(a, b failure) int {
	return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.pod, b.pod), cmp.Compare(a.image, b.image))
}

// maxOwnLimits is how many nodes that refuse by themselves are worth a question.
const maxOwnLimits = 2

// OwnLimits are some nodes whose kubelets refuse pulls by their own limit, so that
// their configuration is of interest.
func OwnLimits(s *Snapshot) []string {
	var out []string
	for _, f := range newExam(s, Scope{}).failures {
		if f.Class == feedback.KubeletQPS && f.node != "" && !slices.Contains(out, f.node) && len(out) < maxOwnLimits {
			out = append(out, f.node)
		}
	}
	return out
}
