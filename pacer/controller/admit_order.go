package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gomodules.xyz/jsonpatch/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// admitOrdersPath is where people's orders are admitted.
const admitOrdersPath = "/mutate-orders"

// maxBy and maxReason bound what is kept of an order.
const (
	maxBy     = 253
	maxReason = 500
)

// orderAdmitter writes into people's orders, which are annotations that anybody may
// write who may write the object, who really gave them, and notes them in the audit
// log. It lets everything through and is safe for concurrent use.
type orderAdmitter struct {
	clock clock.PassiveClock
	// own begins the names of Pace's own accounts, whose writes are nobody's orders.
	own string
}

// Handle implements admission.Handler.
func (a *orderAdmitter) Handle(ctx context.Context, req admission.Request) admission.Response {
	if strings.HasPrefix(req.UserInfo.Username, a.own) {
		return admission.Allowed("")
	}
	after, err := notesOf(req.Object.Raw)
	if err == nil {
		var before map[string]string
		if before, err = notesOf(req.OldObject.Raw); err == nil {
			return a.answer(req, before, after)
		}
	}
	log.FromContext(ctx).Error(err, "order not understood, let through")
	return admission.Allowed("")
}

// notesOf are the annotations of an object of any kind.
func notesOf(raw []byte) (map[string]string, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var o struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, fmt.Errorf("reading annotations: %w", err)
	}
	return o.Metadata.Annotations, nil
}

// given is an order that a person gave or took back.
type given struct {
	action, decision string
	order            v1alpha1.Order
}

// answer stamps what changed of the orders on an object.
func (a *orderAdmitter) answer(req admission.Request, before, after map[string]string) admission.Response {
	s := stamper{by: cut(req.UserInfo.Username, maxBy), now: a.clock.Now().UTC(), before: before, after: after}
	s.release()
	s.pause()
	resp := admission.Patched("", s.ops...)
	if len(s.ops) == 0 {
		resp = admission.Allowed("")
	}
	resp.Result = &metav1.Status{Code: http.StatusOK}
	if len(s.given) == 0 {
		return resp
	}
	// The log names the object and the time; what it cannot know is said here.
	last := s.given[len(s.given)-1]
	resp.AuditAnnotations = map[string]string{"by": s.by, "action": last.action, "reason": last.order.Reason, "decision": last.decision}
	return resp
}

// stamper looks at the orders on one object.
type stamper struct {
	by            string
	now           time.Time
	before, after map[string]string
	ops           []jsonpatch.Operation
	given         []given
}

// release looks at the order to let go.
func (s *stamper) release() {
	was, text := s.before[v1alpha1.AnnotationOverride], s.after[v1alpha1.AnnotationOverride]
	if was == text || text == "" {
		return // one that is taken off has been carried out, or never will be
	}
	if order, fresh := s.stamp(v1alpha1.AnnotationOverride, was, text); fresh {
		decision := "what is held is let go at the rate of the refill"
		if order.Now {
			decision = "what is held is let go at once"
		}
		s.given = append(s.given, given{"release", decision, order})
	}
}

// pause looks at a pause, at its end, and at an order to go on where nothing was
// paused by a person: it closes what failing pulls have opened.
func (s *stamper) pause() {
	was, text := s.before[v1alpha1.AnnotationPaused], s.after[v1alpha1.AnnotationPaused]
	wasEnd, end := s.before[v1alpha1.AnnotationResumed], s.after[v1alpha1.AnnotationResumed]
	switch {
	case was != "" && text == "":
		order := s.made(end)
		if end == wasEnd {
			order = v1alpha1.Order{By: s.by}
		}
		order.At = s.now
		s.set(v1alpha1.AnnotationResumed, order.String())
		s.given = append(s.given, given{"resume", "what waits goes as the budget allows", order})
		return
	case text != "" && was != text:
		if order, fresh := s.stamp(v1alpha1.AnnotationPaused, was, text); fresh {
			s.given = append(s.given, given{"pause", "nothing more is let go until resume", order})
		}
	}
	switch {
	case end == wasEnd:
	case end == "" || text != "":
		s.set(v1alpha1.AnnotationResumed, wasEnd) // what was said stays said; a pause stands
	default:
		if order, fresh := s.stamp(v1alpha1.AnnotationResumed, wasEnd, end); fresh {
			s.given = append(s.given, given{"resume", "what failed before does not count; what waits goes as the budget allows", order})
		}
	}
}

// stamp writes an order as given by whom the API server knows. One that says again
// what was there is left as it was: tools apply the same manifest over and over.
func (s *stamper) stamp(key, was, text string) (order v1alpha1.Order, fresh bool) {
	order = s.made(text)
	if old, err := v1alpha1.ParseOrder(was); err == nil && old.By != "" && again(key, old, order, text) {
		s.set(key, was)
		return old, false
	}
	if key != v1alpha1.AnnotationOverride {
		order.At = s.now // it counts from now on, whatever it says
	}
	s.set(key, order.String())
	return order, true
}

// again reports whether an order says what the old one says. One to let go or to go on is
// another one when its time is another: it is for what was there before it.
func again(key string, old, order v1alpha1.Order, text string) bool {
	wanted, err := v1alpha1.ParseOrder(text)
	if key == v1alpha1.AnnotationResumed && err == nil && !wanted.At.IsZero() {
		return !wanted.At.After(old.At) // kept is when it was given, not what it said
	}
	if old.Reason != order.Reason || old.Now != order.Now {
		return false
	}
	return key != v1alpha1.AnnotationOverride || err != nil || wanted.At.IsZero() || wanted.At.Equal(old.At)
}

// made is an order as it is kept. Text that is no order is its reason; a time that
// is to come is now.
func (s *stamper) made(text string) v1alpha1.Order {
	order, err := v1alpha1.ParseOrder(text)
	if err != nil {
		order = v1alpha1.Order{Reason: text}
	}
	order.By, order.Reason = s.by, cut(order.Reason, maxReason)
	if order.At.IsZero() || order.At.After(s.now) {
		order.At = s.now
	}
	return order
}

// set makes the object carry a value; an empty one: none.
func (s *stamper) set(key, value string) {
	path := "/metadata/annotations/" + pointer(key)
	switch now, there := s.after[key]; {
	case value == now:
	case value == "":
		s.ops = append(s.ops, jsonpatch.NewOperation("remove", path, nil))
	case len(s.after) == 0:
		s.ops = append(s.ops, jsonpatch.NewOperation("add", "/metadata/annotations", map[string]string{key: value}))
	case there:
		s.ops = append(s.ops, jsonpatch.NewOperation("replace", path, value))
	default:
		s.ops = append(s.ops, jsonpatch.NewOperation("add", path, value))
	}
}
