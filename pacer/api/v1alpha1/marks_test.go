package v1alpha1_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// noon is when every mark of the tests was made.
func noon() time.Time { return time.Date(2026, 9, 1, 12, 0, 0, 500_000_000, time.UTC) }

func TestMarksSurviveTheAnnotation(t *testing.T) {
	t.Parallel()
	mark := v1alpha1.ReleaseMark{Decision: "5c1e", Time: noon(), Reason: "Budget", Cost: []v1alpha1.MarkCost{{Account: "docker.io/anonymous@nat-a", Units: 2}}}
	if got, err := v1alpha1.ParseReleaseMark(mark.String()); err != nil || !cmp.Equal(mark, got) {
		t.Errorf("release mark: %v (-want +got):\n%s", err, cmp.Diff(mark, got))
	}
	order := v1alpha1.Order{By: "jane", Reason: "<outage> & \"quotes\"", At: noon(), Now: true}
	if got, err := v1alpha1.ParseOrder(order.String()); err != nil || !cmp.Equal(order, got) {
		t.Errorf("order: %v (-want +got):\n%s", err, cmp.Diff(order, got))
	}
	quote := v1alpha1.PodQuote{Images: []v1alpha1.QuotedImage{{Image: "docker.io/acme/api:2", Manifests: 2}}}
	if got, err := v1alpha1.ParsePodQuote(quote.String()); err != nil || !cmp.Equal(quote, got) {
		t.Errorf("quote: %v (-want +got):\n%s", err, cmp.Diff(quote, got))
	}
}

func TestHostileMarks(t *testing.T) {
	t.Parallel()
	const at = `"time":"2026-09-01T12:00:00Z"`
	tests := map[string]struct {
		value   string
		wantErr string // part of the error; empty: it is read
	}{
		"as it is written":         {`{"decision":"5c1e",` + at + `,"reason":"Budget","cost":[{"account":"a/b","units":1}]}`, ""},
		"an expired hold":          {`{"decision":"",` + at + `,"reason":"HoldExpired"}`, ""},
		"nothing":                  {``, "release mark"},
		"no object":                {`[]`, "release mark"},
		"no time":                  {`{"decision":"5c1e","reason":"Budget"}`, "no time"},
		"a time that is none":      {`{"time":"yesterday"}`, "release mark"},
		"something behind it":      {`{` + at + `} {}`, "release mark"},
		"an unknown field":         {`{` + at + `,"decisions":"5c1e"}`, "decisions"},
		"a field twice":            {`{` + at + `,` + at + `}`, "duplicate"},
		"a field in other letters": {`{"TIME":"2026-09-01T12:00:00Z"}`, "TIME"},
		"a price below nothing":    {`{` + at + `,"cost":[{"account":"a/b","units":-1}]}`, "cost of -1"},
		"a price beyond 64 bits":   {`{` + at + `,"cost":[{"account":"a/b","units":9223372036854775808}]}`, "release mark"},
		"a price of nobody":        {`{` + at + `,"cost":[{"account":"","units":1}]}`, "account"},
		"very much":                {`{` + at + `,"reason":"` + strings.Repeat("x", 1<<20) + `"}`, "at most"},
		"very deep":                {`{` + at + `,"cost":` + strings.Repeat("[", 8<<10) + `}`, "release mark"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mark, err := v1alpha1.ParseReleaseMark(tc.value)
			switch {
			case tc.wantErr == "" && err != nil:
				t.Errorf("%v, want it to be read", err)
			case tc.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tc.wantErr)):
				t.Errorf("error %v, want it to say %q", err, tc.wantErr)
			case tc.wantErr != "" && !cmp.Equal(v1alpha1.ReleaseMark{}, mark):
				t.Errorf("%+v along with an error, want nothing", mark)
			}
		})
	}
}

// A person may write an order by hand.
func TestOrdersMayBeShort(t *testing.T) {
	t.Parallel()
	got, err := v1alpha1.ParseOrder(`{"reason":"demo"}`)
	if want := (v1alpha1.Order{Reason: "demo"}); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if _, err := v1alpha1.ParseOrder(`{"resaon":"demo"}`); err == nil || !strings.Contains(err.Error(), "resaon") {
		t.Errorf("a misspelt field: error %v, want it to name the field", err)
	}
}

func FuzzMarks(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `{"time":"2026-09-01T12:00:00Z","cost":[{"account":"a/b","units":1}]}`, `{"by":"x","now":true}`,
		`{"images":[{"image":"docker.io/a/b:1","manifests":2}]}`, "{\"reason\":\"\xff\"}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if m, err := v1alpha1.ParseReleaseMark(value); err == nil {
			if again, err := v1alpha1.ParseReleaseMark(m.String()); err != nil || !cmp.Equal(m, again, cmpopts.EquateEmpty()) {
				t.Errorf("release mark %q becomes %q: %v", value, m, err)
			}
		}
		if o, err := v1alpha1.ParseOrder(value); err == nil {
			if again, err := v1alpha1.ParseOrder(o.String()); err != nil || !cmp.Equal(o, again) {
				t.Errorf("order %q becomes %q: %v", value, o, err)
			}
		}
		if q, err := v1alpha1.ParsePodQuote(value); err == nil {
			if again, err := v1alpha1.ParsePodQuote(q.String()); err != nil || !cmp.Equal(q, again, cmpopts.EquateEmpty()) {
				t.Errorf("quote %q becomes %q: %v", value, q, err)
			}
		}
	})
}
