package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/kube"
)

// The bounds of warnings: admission waits for them, and the API server cuts what is
// longer than 256 bytes.
const (
	warnWithin  = 200 * time.Millisecond
	maxWarning  = 250
	maxWarnings = 3
)

// admitWarnedPath is where writes of workloads are warned of. It is a path of its own,
// so that a price never delays what is done about a Deployment.
const admitWarnedPath = "/warn-workloads"

// warner tells whoever writes a workload what starting its pods costs, whether they
// would wait and until when: people who have no plugin see nothing else of Pace. It
// changes nothing, says nothing when it is in doubt, and is safe for concurrent use.
type warner struct {
	pricer  *pricer
	reader  client.Reader
	decoder admission.Decoder
}

// Handle implements admission.Handler.
func (w *warner) Handle(ctx context.Context, req admission.Request) admission.Response {
	next, err := w.written(req, req.Object)
	if err != nil || next == nil {
		return admission.Allowed("")
	}
	old, err := w.written(req, req.OldObject)
	if err != nil {
		return admission.Allowed("")
	}
	return admission.Allowed("").WithWarnings(w.warn(ctx, next, old)...)
}

// written is a workload as somebody writes it.
type written struct {
	short    string
	template *kube.Template
	// pods is how many it wants.
	pods int
	// stopped workloads start nothing.
	stopped bool
}

// written reads a workload; nil: there is none.
func (w *warner) written(req admission.Request, raw runtime.RawExtension) (*written, error) {
	if len(raw.Raw) == 0 {
		return nil, nil
	}
	owner := kube.Owner{Kind: req.Kind.Kind, Namespace: req.Namespace, Name: req.Name}
	out := &written{template: &kube.Template{Owner: owner}}
	var err error
	switch req.Kind.Kind {
	case "Deployment":
		d := &appsv1.Deployment{}
		err = w.decoder.DecodeRaw(raw, d)
		out.short, out.template.Pods, out.template.Deployment = "deploy", &d.Spec.Template, d
		out.pods, out.stopped = orOne(d.Spec.Replicas), d.Spec.Paused
	case "StatefulSet":
		s := &appsv1.StatefulSet{}
		err = w.decoder.DecodeRaw(raw, s)
		out.short, out.template.Pods, out.pods = "sts", &s.Spec.Template, orOne(s.Spec.Replicas)
	case "DaemonSet":
		s := &appsv1.DaemonSet{}
		err = w.decoder.DecodeRaw(raw, s)
		out.short, out.template.Pods, out.template.EachNode, out.pods = "ds", &s.Spec.Template, true, 1
	default:
		return nil, nil
	}
	return out, err
}

func orOne(replicas *int32) int {
	if replicas == nil {
		return 1
	}
	return int(*replicas)
}

// warn returns what to tell whoever writes next over old; nil old: it is being
// created.
func (w *warner) warn(ctx context.Context, next, old *written) []string {
	pods := next.pods
	if old != nil && apiequality.Semantic.DeepEqual(next.template.Pods, old.template.Pods) {
		pods = next.pods - old.pods
	}
	if pods <= 0 || next.stopped {
		return nil
	}
	return w.price(ctx, next, pods)
}

// price returns what to say of the price of so many pods.
func (w *warner) price(ctx context.Context, next *written, pods int) []string {
	t := *next.template
	var namespace corev1.Namespace
	if w.reader.Get(ctx, client.ObjectKey{Name: t.Owner.Namespace}, &namespace) != nil {
		return nil
	}
	t.Namespace = &namespace
	ctx, cancel := context.WithTimeout(ctx, warnWithin)
	defer cancel()
	quote, err := w.pricer.price(ctx, t, pods)
	if err != nil {
		log.FromContext(ctx).V(1).Info("not warned", "workload", t.Owner.String(), "cause", err.Error())
		return nil
	}
	return warnings(next.short+"/"+t.Owner.Name, quote)
}

// warnings says what a quote means for a workload: one line for each account that is
// charged, the scarcest matter most.
func warnings(workload string, q v1alpha1.PodQuote) []string {
	notHeld := core.Reason(q.NotHeld)
	if q.Verdict == v1alpha1.QuoteUnknown || notHeld == core.NotOptedIn || notHeld == core.NoBudget {
		return nil
	}
	var out []string
	for _, a := range q.Accounts {
		if a.Unlimited || a.Needs.Max == 0 {
			continue
		}
		short := a.Free == nil || *a.Free < a.Needs.Max
		if notHeld != "" && !short {
			continue // where nothing is held, only what is not free is news
		}
		if len(out) == maxWarnings {
			return append(out, fmt.Sprintf("pace: more accounts are charged: kubectl pace cost %s", workload))
		}
		text := "pace: needs " + span(a.Needs) + ", " + outlook(a, q, notHeld) + " (" + strings.TrimSuffix(a.Account, "/anonymous") + ", " + workload + ")"
		out = append(out, cut(text, maxWarning))
	}
	if room := q.MaxGated - q.Gated; notHeld == "" && q.Verdict == v1alpha1.QuoteHold && q.Pods > room {
		out = append(out, cut(fmt.Sprintf("pace: of a namespace %s at most are held, %d are now: others of %s start without a hold", plural(int(q.MaxGated), "pod"), q.Gated, workload), maxWarning))
	}
	return out
}

// outlook says what is free of an account and what follows.
func outlook(a v1alpha1.QuotedAccount, q v1alpha1.PodQuote, notHeld core.Reason) string {
	free := "free not known yet"
	if a.Free != nil {
		free = fmt.Sprintf("%d free", max(*a.Free, 0))
	}
	switch {
	case a.Free != nil && *a.Free >= a.Needs.Max:
		return free + "; all may start now"
	case notHeld == core.Recreate:
		return free + "; strategy Recreate is never held, what is not free is refused"
	case notHeld == core.Shadow:
		return free + "; last pod about " + about(q) + ". Shadow: nothing is held"
	case notHeld != "":
		return free + "; its pods are never held, what is not free is refused"
	}
	return free + "; last pod about " + about(q)
}

func span(r v1alpha1.Range) string {
	if r.Min == r.Max {
		return plural(int(r.Max), "pull")
	}
	return fmt.Sprintf("%d-%d pulls", r.Min, r.Max)
}

// about is when the last pod goes, as people read it.
func about(q v1alpha1.PodQuote) string {
	if q.Finish.To.IsZero() {
		return "when more is known"
	}
	from, to := q.Finish.From.UTC(), q.Finish.To.UTC()
	layout := "15:04"
	if y, m, d := q.At.UTC().Date(); to.After(time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)) {
		layout = "Jan 2 15:04"
	}
	return from.Format(layout) + "-" + to.Format(layout) + " UTC"
}
