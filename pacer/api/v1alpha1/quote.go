package v1alpha1

import "fmt"

// AskQuote is the value of AnnotationQuote on a pod of a dry run that asks for a
// PodQuote in its place.
const AskQuote = "?"

// PodQuote is the value of AnnotationQuote on the answer to a dry run of a pod:
// what the controller knows of its paced images.
//
// +kubebuilder:object:generate=false
type PodQuote struct {
	Images []QuotedImage `json:"images"`
}

// QuotedImage is one image and how many manifests a cold pull of it asks for; 0
// where the controller is still looking.
//
// +kubebuilder:object:generate=false
type QuotedImage struct {
	Image     string `json:"image"`
	Manifests int    `json:"manifests"`
}

// String returns the annotation's value.
func (q PodQuote) String() string { return mark(q) }

// ParsePodQuote reads an annotation's value. With an error the quote is empty.
func ParsePodQuote(value string) (PodQuote, error) {
	q, err := parseMark[PodQuote](value)
	if err != nil {
		return PodQuote{}, fmt.Errorf("reading quote: %w", err)
	}
	return q, nil
}
