package probe

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core/quota"
)

// observation is an honest answer of a registry.
func observation() quota.Observation {
	return quota.Observation{SentAt: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Status: 200, Header: quota.Header{
		Limit: 100, HasLimit: true, Remaining: 42, HasRemaining: true, Window: 6 * time.Hour, Source: "203.0.113.7"}}
}

func TestAQuestionIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	data, err := SetAsk(nil, Ask{ID: "q1", Host: "docker.io", Repository: "a/b"})
	if err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "pullpace-system", Name: "mine", Labels: map[string]string{LabelEgress: GroupID("nat-a")}}, Data: data},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "pullpace-system", Name: "theirs", Labels: map[string]string{LabelEgress: GroupID("nat-b")}}, Data: data},
	)
	asked := make(chan Ask, 10)
	p := &Probe{Client: client, Options: Options{Namespace: "pullpace-system", Egress: "nat-a"}, Ask: func(_ context.Context, ask Ask) (quota.Observation, error) {
		asked <- ask
		return observation(), nil
	}}
	answers, err := client.CoreV1().ConfigMaps("pullpace-system").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for ev := range answers.ResultChan() {
		c, ok := ev.Object.(*corev1.ConfigMap)
		if !ok || ev.Type != watch.Modified {
			continue
		}
		answer, ok, err := AnswerTo(c.Data, "q1")
		if err != nil || !ok || c.Name != "mine" {
			t.Fatalf("%s is answered %+v, %v, %v", c.Name, answer, ok, err)
		}
		if diff := cmp.Diff(observation(), answer.Observation); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
		if _, open, err := AskOf(c.Data); open || err != nil {
			t.Errorf("a question with an answer is open %v, %v", open, err)
		}
		break
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := len(asked); n != 1 {
		t.Errorf("the registry was asked %d times, want once and for our group alone", n)
	}
}

func TestAFailureIsAnAnswerToo(t *testing.T) {
	t.Parallel()
	data, err := SetAsk(nil, Ask{ID: "q1", Host: "docker.io", Repository: "a/b"})
	if err != nil {
		t.Fatal(err)
	}
	question := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "q"}, Data: data}
	client := fake.NewClientset(question)
	p := &Probe{Client: client, Ask: func(context.Context, Ask) (quota.Observation, error) {
		return quota.Observation{}, errors.New("no route\x1b[31m")
	}}
	if err := p.answer(t.Context(), question); err != nil {
		t.Fatal(err)
	}
	got, err := client.CoreV1().ConfigMaps("n").Get(t.Context(), "q", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if answer, ok, err := AnswerTo(got.Data, "q1"); !ok || err != nil || answer.Failed != "no route?[31m" {
		t.Errorf("answer %+v, %v, %v: want the failure, printable", answer, ok, err)
	}
}

func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	const whole = `{"id":"q1","observation":{"sentAt":"2026-03-01T12:00:00Z","status":200,"header":{HEADER}}}`
	cases := map[string]struct {
		answer string
		want   string // part of the error; "none": no answer; empty: it is read
	}{
		"as it is written":          {strings.Replace(whole, "HEADER", `"limit":100,"remaining":7`, 1), ""},
		"nothing":                   {"", "none"},
		"to another question":       {`{"id":"q0","observation":{"sentAt":"2026-03-01T12:00:00Z","status":200}}`, "none"},
		"no object":                 {`[]`, "reading an answer"},
		"an unknown field":          {`{"id":"q1","observations":{}}`, "observations"},
		"a field twice":             {`{"id":"q1","id":"q1"}`, "duplicate"},
		"very much":                 {`{"id":"` + strings.Repeat("x", maxAnswer) + `"}`, "at most"},
		"a status that is none":     {strings.Replace(strings.Replace(whole, "200", "1200", 1), "HEADER", "", 1), "status"},
		"a limit below nothing":     {strings.Replace(whole, "HEADER", `"limit":-1`, 1), "units"},
		"a limit beyond all":        {strings.Replace(whole, "HEADER", `"limit":9000000000000000000`, 1), "units"},
		"a window before it begins": {strings.Replace(whole, "HEADER", `"window":-5`, 1), "span"},
		"a wait for ever":           {strings.Replace(whole, "HEADER", `"retryAfter":9000000000000000000`, 1), "span"},
		"a source for a terminal":   {strings.Replace(whole, "HEADER", `"source":"\u001b[31m"`, 1), "source"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, ok, err := AnswerTo(map[string]string{answerKey: tc.answer}, "q1")
			switch {
			case tc.want == "" && (!ok || err != nil):
				t.Errorf("%v, %v, want it to be read", ok, err)
			case tc.want == "none" && (ok || err != nil):
				t.Errorf("%+v, %v, want no answer yet", answer, err)
			case tc.want != "" && tc.want != "none" && ok:
				t.Errorf("%+v is believed", answer)
			case tc.want != "" && tc.want != "none" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want it to say %q", err, tc.want)
			}
		})
	}
}

func FuzzAnswerTo(f *testing.F) {
	f.Add(`{"id":"q1","observation":{"sentAt":"2026-03-01T12:00:00Z","status":200,"header":{"limit":1}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		answer, ok, err := AnswerTo(map[string]string{answerKey: text}, "q1")
		if ok && (err != nil || check(answer.Observation) != nil || answer.ID != "q1") {
			t.Errorf("%+v with %v is believed", answer, err)
		}
	})
}
