package doctor

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core/feedback"
	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
)

// limiter is what refused, told from the kind of a throttle.
type limiter struct {
	name, text, fix string
}

// limiters by the kind of a throttle.
var limiters = map[feedback.Kind]limiter{
	feedback.KindPull:    {"pull", "its pull limit", "spend less of it or have more: log in, put a mirror in front, or let Pace pace what is left"},
	feedback.KindRequest: {"request", "a limit on requests, not on pulls", "fewer requests: fewer layers and fewer starts at once; Always and mirrors that ask for every tag add to it"},
	feedback.KindAbuse:   {"abuse", "the limit against abuse, which all requests of an address count for", "stop what asks over and over (crash loops with Always, scanners, probes), then wait a minute; more pulls would not have been refused"},
	feedback.KindToken: {"token", "its token service, or the login: no manifest was asked for, nothing was charged",
		"fewer logins at once: raise maxParallelImagePulls less, and correct credentials that are refused; it heals by itself"},
	feedback.KindUpstream: {"upstream", "the registry behind the mirror or cache refuses it", "give the mirror a login of its own, and let it fetch once what many miss (single flight)"},
	feedback.KindForeign:  {"foreign", "the quota of the registry's owner, which all who pull from there use up", "nothing here spends it: use a mirror or another registry for these images"},
	feedback.KindUnsaid:   {"unsaid", "answers of 429 that do not say which limit", "see what the controller reads (kubectl pace budget), or ask the registry's owner"},
}

func limiterOf(kind feedback.Kind) limiter {
	if l, ok := limiters[kind]; ok {
		return l
	}
	return limiters[feedback.KindUnsaid]
}

// throttled completes the finding of a registry that refuses.
func (e *exam) throttled(f *view.Finding, s *symptom) {
	l := limiterOf(s.kind)
	f.Severity, f.Limiter, f.Fix = fail, l.name, l.fix
	f.Text = s.host + " refuses pulls: " + l.text
	f.Facts = append(f.Facts, view.Fact{Name: "whose bucket", Text: e.bucket(s), Source: e.bucketSource(s.host)})
	if text := e.drawn(s); text != "" {
		f.Facts = append(f.Facts, view.Fact{Name: "what drew on it", Text: text, Source: string(Pods)})
	}
	for _, a := range e.accounts(s.host) {
		f.Facts = append(f.Facts, readings(a, e.Now)...)
	}
}

// asWhom reads whom a registry says that it meters. Source: answers of Docker Hub.
var asWhom = regexp.MustCompile(`pull rate limit as '([^']{1,100})'`)

// unauthenticated reports whether a registry says that it knows nobody.
func unauthenticated(message string) bool {
	return strings.Contains(strings.ToLower(message), "unauthenticated pull rate limit")
}

// bucket tells whose account the registry refuses, as far as messages, pods and
// readings tell.
func (e *exam) bucket(s *symptom) string {
	anonymous, users := 0, map[string]bool{}
	with, without := 0, 0
	for _, f := range s.list {
		if m := asWhom.FindStringSubmatch(f.message); m != nil {
			users[m[1]] = true
		} else if unauthenticated(f.message) {
			anonymous++
		}
		if p := e.pods[podKey{f.namespace, f.pod}]; p != nil && len(p.Spec.ImagePullSecrets) > 0 {
			with++
		} else if p != nil {
			without++
		}
	}
	var parts []string
	switch {
	case s.kind == feedback.KindForeign:
		return "not this cluster's: the owner of " + s.host + " is metered for all who pull from there"
	case len(users) > 0:
		parts = append(parts, "the account of "+list(slices.Sorted(maps.Keys(users)))+", as the registry says")
	case anonymous > 0:
		parts = append(parts, "anonymous, as the registry says")
	}
	parts = append(parts, fmt.Sprintf("%d of %d failing pulls name a pull secret", with, with+without))
	if len(users) == 0 {
		parts = append(parts, e.egress(s.host))
	}
	return strings.Join(parts, "; ")
}

// egress tells by which address anonymous pulls are metered.
func (e *exam) egress(host string) string {
	var seen []string
	for _, a := range e.accounts(host) {
		seen = append(seen, a.Sources...)
		if a.Source != "" && !slices.Contains(seen, a.Source) {
			seen = append(seen, a.Source)
		}
	}
	if len(seen) == 0 {
		return "by which address it is metered is not known from here: the controller's probe sees it"
	}
	slices.Sort(seen)
	return "metered as " + list(slices.Compact(seen))
}

func (e *exam) bucketSource(host string) string {
	if len(e.accounts(host)) > 0 {
		return "pods, " + string(Budgets)
	}
	return string(Pods)
}

// accounts are those of a registry that the controller reads.
func (e *exam) accounts(host string) []v1alpha1.AccountStatus {
	var out []v1alpha1.AccountStatus
	for _, b := range e.Budgets {
		if kube.Host(b.Spec.Registry) == host {
			out = append(out, b.Status.Accounts...)
		}
	}
	return out
}

// readings are what the controller knows of an account.
func readings(a v1alpha1.AccountStatus, now time.Time) []view.Fact {
	var out []view.Fact
	if a.Limit > 0 && a.SentAt != nil {
		text := fmt.Sprintf("%s: %d of %d left in %s, read %s ago", a.Account, a.Remaining, a.Limit, short(a.Window.Duration), short(now.Sub(a.SentAt.Time).Round(time.Second)))
		if a.ForeignPerHour != "" && a.ForeignPerHour != "0" && a.ForeignPerHour != "0.00" {
			text += "; others take " + a.ForeignPerHour + " an hour"
		}
		out = append(out, view.Fact{Name: "budget", Text: text, Source: string(Budgets)})
	}
	if b := a.Breaker; b != nil && b.State != "" && b.State != "ok" {
		text := a.Account + " is " + b.State
		if b.Cause != "" {
			text += " (" + b.Cause + ")"
		}
		if b.Until != nil {
			text += ", asked again in " + short(max(b.Until.Sub(now), 0).Round(time.Second))
		}
		out = append(out, view.Fact{Name: "paused", Text: text, Source: string(Budgets)})
	}
	return out
}

// short is a duration without parts that are zero.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// drawn tells which pods wanted images of the registry around the time when it
// refused, and how many got them.
func (e *exam) drawn(s *symptom) string {
	w := e.waveOf(s.host, s.list)
	if len(w.pods) == 0 {
		return ""
	}
	text := fmt.Sprintf("%s on %s since %s: %d have their images, %d are refused", count(len(w.pods), "pod"), count(len(w.nodes), "node"), w.from.UTC().Format("15:04Z"), w.got, w.refused)
	for _, c := range causes(e, w.pods) {
		text += "; " + c.Text
		if len(text) > 300 {
			break
		}
	}
	return text
}
