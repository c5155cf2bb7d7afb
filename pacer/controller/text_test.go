package controller

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	corev1 "k8s.io/api/core/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// hostile is what somebody writes who hopes that it reaches a terminal: colours, a
// title, C1 controls, marks of direction, line breaks, broken UTF-8.
const hostile = "denied\x1b[31m\x1b]0;pwned\x07\u009b2J\u202egpj.exe\r\nERROR: all is well\xff"

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func TestTextsOfOthersBecomeOnePrintableLine(t *testing.T) {
	t.Parallel()
	if got := cut(hostile, 200); !printable(got) || !strings.Contains(got, "denied") {
		t.Errorf("%q is not fit to be shown", got)
	}
	for n := range 40 {
		if got := cut(strings.Repeat("é\u202e", 20), n); !printable(got) || len(got) > n+len("...") {
			t.Errorf("cut to %d: %q", n, got)
		}
	}
	if got := cut("short", 5); got != "short" {
		t.Errorf("%q", got)
	}
}

// TestARefusalReachesTheConditionPrintable has another admission webhook deny the
// proof with a message that is meant for a terminal.
func TestARefusalReachesTheConditionPrintable(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]askedOf{
		"in an error": func(*corev1.Pod) error { return errors.New(hostile + strings.Repeat("x", 1<<16)) },
		"as the answer": func(p *corev1.Pod) error {
			p.Annotations[v1alpha1.AnnotationProof] = hostile
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, c, _ := makeProver(t, answer, makePolicy(), hookFor("pods"), ownNamespace(v1alpha1.LabelPaceProof))
			if again := p.prove(t.Context()); again > time.Minute {
				t.Errorf("asked again after %s", again)
			}
			var policy v1alpha1.PacePolicy
			if err := c.Get(t.Context(), client.ObjectKey{Name: "default"}, &policy); err != nil {
				t.Fatal(err)
			}
			got := meta.FindStatusCondition(policy.Status.Conditions, v1alpha1.ConditionGateActive)
			if got == nil || !printable(got.Message) || len(got.Message) > maxMessage+3 || !strings.Contains(got.Message, "denied") {
				t.Errorf("condition %+v", got)
			}
		})
	}
}
