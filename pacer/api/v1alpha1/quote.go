package v1alpha1

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AskQuote begins the value of AnnotationQuote on a pod of a dry run that asks for
// a PodQuote in its place. What follows it is a QuoteAsk, or nothing.
const AskQuote = "?"

// QuoteAsk says what the pod of a dry run stands for. The zero value is one pod of
// no workload.
//
// +kubebuilder:object:generate=false
type QuoteAsk struct {
	// Kind and Name are the workload's.
	Kind string `json:"kind,omitempty"`
	Name string `json:"name,omitempty"`
	// Pods is how many will start; 0 is one.
	Pods int32 `json:"pods,omitempty"`
	// Strategy is that of a Deployment.
	Strategy *appsv1.DeploymentStrategy `json:"strategy,omitempty"`
}

// String returns the annotation's value.
func (a QuoteAsk) String() string {
	if a == (QuoteAsk{}) {
		return AskQuote
	}
	return AskQuote + mark(a)
}

// ParseQuoteAsk reads an annotation's value. With an error the ask is zero.
func ParseQuoteAsk(value string) (QuoteAsk, error) {
	text, ok := strings.CutPrefix(value, AskQuote)
	if !ok {
		return QuoteAsk{}, errors.New("reading what a quote is asked for: it does not begin with " + AskQuote)
	}
	if text == "" {
		return QuoteAsk{}, nil
	}
	a, err := parseMark[QuoteAsk](text)
	if err != nil {
		return QuoteAsk{}, fmt.Errorf("reading what a quote is asked for: %w", err)
	}
	if a.Pods < 0 {
		return QuoteAsk{}, fmt.Errorf("reading what a quote is asked for: %d pods", a.Pods)
	}
	return a, nil
}

// The verdicts of a quote.
const (
	QuoteAllow   = "allow"
	QuoteHold    = "hold"
	QuoteUnknown = "unknown"
)

// PodQuote is the value of AnnotationQuote on the answer to a dry run of a pod:
// what starting its pods would be charged, and whether they would wait.
//
// +kubebuilder:object:generate=false
type PodQuote struct {
	// At is when it was made.
	At time.Time `json:"at,omitzero"`
	// Pods is how many will start, Nodes how many nodes they may use.
	Pods  int32 `json:"pods,omitempty"`
	Nodes int32 `json:"nodes,omitempty"`
	// Images has a row for each image and account. Accounts are those that it draws
	// on, the scarcest first, but for LeftOut of them; Needs is of all.
	Images   []QuotedImage   `json:"images"`
	Accounts []QuotedAccount `json:"accounts,omitempty"`
	LeftOut  int             `json:"leftOut,omitempty"`
	Needs    Range           `json:"needs,omitzero"`
	// Class is that of the pods.
	Class string `json:"class,omitempty"`
	// Verdict is allow, hold or unknown, Reason why they would be held.
	Verdict string `json:"verdict,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// NotHeld is the Reason for which Pace holds none of them, whatever is free.
	NotHeld string `json:"notHeld,omitempty"`
	// DeleteFirst is what the policy does about Deployments that delete first.
	DeleteFirst string `json:"deleteFirst,omitempty"`
	// Finish is when the last pod may be released, if it has to wait, HoldUntil when
	// the hold of a pod that is created now would end at the latest.
	Finish    Forecast  `json:"finish,omitzero"`
	HoldUntil time.Time `json:"holdUntil,omitzero"`
	// Gated pods of the namespace are held now, of MaxGated at most; further ones
	// start without a hold.
	Gated    int32 `json:"gated,omitempty"`
	MaxGated int32 `json:"maxGated,omitempty"`
	// Unknown are the things that could not be known, each with its why.
	Unknown []string `json:"unknown,omitempty"`
}

// Range is a count that is not known exactly.
//
// +kubebuilder:object:generate=false
type Range struct {
	Min int64 `json:"min"`
	Max int64 `json:"max"`
}

// QuotedImage is what one image may be charged on one account. Manifests is how
// many manifests a cold pull of it asks for; 0 where the controller is still
// looking. Cold nodes lack it, Unsure ones may have it, Warm ones have it.
//
// +kubebuilder:object:generate=false
type QuotedImage struct {
	Image     string `json:"image"`
	Manifests int    `json:"manifests"`
	Account   string `json:"account,omitempty"`
	Budget    string `json:"budget,omitempty"`
	Cold      int32  `json:"cold,omitempty"`
	Unsure    int32  `json:"unsure,omitempty"`
	Warm      int32  `json:"warm,omitempty"`
	Units     Range  `json:"units,omitzero"`
	// Why says why Units is a range, or why there is no charge.
	Why string `json:"why,omitempty"`
}

// QuotedAccount is what the pods need of one account, and what is known of it.
//
// +kubebuilder:object:generate=false
type QuotedAccount struct {
	Account string `json:"account"`
	Budget  string `json:"budget,omitempty"`
	Needs   Range  `json:"needs"`
	// Free is what the class may spend now; nil: not known.
	Free *int64 `json:"free,omitempty"`
	// Waiting is what pods that are held already may cost.
	Waiting int64 `json:"waiting,omitempty"`
	// Unlimited accounts hold nothing.
	Unlimited bool `json:"unlimited,omitempty"`
	// Limit and Window are the registry's, SeenAs whom it metered at the last
	// reading, which was sent at ReadAt.
	Limit  int64            `json:"limit,omitempty"`
	Window *metav1.Duration `json:"window,omitempty"`
	SeenAs string           `json:"seenAs,omitempty"`
	ReadAt time.Time        `json:"readAt,omitzero"`
	// More is when more is expected.
	More Forecast `json:"more,omitzero"`
}

// String returns the annotation's value.
func (q PodQuote) String() string { return mark(q) }

// Whole reports whether the controller has looked at every image that is charged.
func (q PodQuote) Whole() bool {
	for _, image := range q.Images {
		if image.Manifests == 0 && image.Account != "" {
			return false
		}
	}
	return true
}

// maxQuote bounds what is read of a quote. The API server bounds all annotations
// of an object together at 256 KiB.
const maxQuote = 128 << 10

// ParsePodQuote reads an annotation's value. With an error the quote is empty. A
// field that this version does not know is left out: the controller may be newer.
func ParsePodQuote(value string) (PodQuote, error) {
	if len(value) > maxQuote {
		return PodQuote{}, fmt.Errorf("reading quote: %d bytes, want %d at most", len(value), maxQuote)
	}
	var q PodQuote
	if err := json.Unmarshal([]byte(value), &q); err != nil {
		return PodQuote{}, fmt.Errorf("reading quote: %w", err)
	}
	if q.Images == nil {
		return PodQuote{}, errors.New("reading quote: it names no images")
	}
	return q, nil
}
