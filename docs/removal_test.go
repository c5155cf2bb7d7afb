package docs_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/pullpace/pace/docs"
	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

func TestThePageOfRemovalKnowsEveryMark(t *testing.T) {
	t.Parallel()
	page := docs.Removal()
	for _, mark := range []string{
		v1alpha1.LabelHeld, v1alpha1.AnnotationSeen, v1alpha1.AnnotationHoldUntil, v1alpha1.AnnotationRelease, v1alpha1.AnnotationSaved,
		v1alpha1.AnnotationQuote, v1alpha1.AnnotationWave, v1alpha1.AnnotationPaused, v1alpha1.AnnotationOverride,
		v1alpha1.AnnotationHoldReason,
	} {
		if !strings.Contains(page, `"`+mark+`":null`) {
			t.Errorf("%s stays", mark)
		}
	}
	for _, word := range []string{v1alpha1.Gate, v1alpha1.Taint + "-", "delete namespace " + v1alpha1.Namespace} {
		if !strings.Contains(page, word) {
			t.Errorf("the page does not say %q", word)
		}
	}
}

func TestThePageOfRemovalIsBash(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("bash", "-n")
	cmd.Stdin = strings.NewReader(docs.Removal())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
