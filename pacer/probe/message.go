package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/quota"
)

// The keys of a ConfigMap that carries one question and its answer, and the bounds
// of both.
const (
	askKey    = "ask"
	answerKey = "answer"

	maxAsk    = 256 << 10 // a bundle of certificate authorities fits
	maxAnswer = 4 << 10
)

// LabelEgress is on what belongs to an egress group, with GroupID of it.
const LabelEgress = "pullpace.dev/egress-group"

// Ask is a question to a registry.
type Ask struct {
	// ID names the question; an answer must repeat it.
	ID         string   `json:"id"`
	Host       string   `json:"host"`
	Endpoint   string   `json:"endpoint,omitempty"`
	CABundle   string   `json:"caBundle,omitempty"`
	RealmHosts []string `json:"realmHosts,omitempty"`
	Repository string   `json:"repository"`
}

// Answer is what became of a question.
type Answer struct {
	ID          string            `json:"id"`
	Observation quota.Observation `json:"observation"`
	// Failed says why there is no more to say; empty where there is.
	Failed string `json:"failed,omitempty"`
}

// GroupID is the value of LabelEgress for an egress group.
func GroupID(egress string) string { return digest("egress/" + egress) }

// NodeGroup is the egress group of one node, where each is one of its own.
func NodeGroup(node string) string { return "node/" + node }

// NameFor is the name of the ConfigMap of an account.
func NameFor(account core.AccountID) string {
	return "pullpace-probe-" + digest("account/"+string(account))
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// SetAsk puts a question into the data of a ConfigMap, in place of the last and its
// answer.
func SetAsk(data map[string]string, ask Ask) (map[string]string, error) {
	text, err := json.Marshal(ask)
	if err != nil {
		return nil, fmt.Errorf("encoding a question: %w", err)
	}
	if len(text) > maxAsk {
		return nil, fmt.Errorf("encoding a question: %d bytes, want %d at most", len(text), maxAsk)
	}
	if data == nil {
		data = map[string]string{}
	}
	data[askKey] = string(text)
	delete(data, answerKey)
	return data, nil
}

// AskOf reads the question of a ConfigMap that has no answer yet; ok is false
// where there is none.
func AskOf(data map[string]string) (ask Ask, ok bool, err error) {
	text := data[askKey]
	if text == "" {
		return Ask{}, false, nil
	}
	if err := decode(text, maxAsk, &ask); err != nil {
		return Ask{}, false, fmt.Errorf("reading a question: %w", err)
	}
	var answered Answer
	if decode(data[answerKey], maxAnswer, &answered) == nil && answered.ID == ask.ID {
		return Ask{}, false, nil
	}
	return ask, true, nil
}

// AnswerTo reads the answer to the question of that id; ok is false while there is
// none. Nothing is believed that a registry could not have said.
func AnswerTo(data map[string]string, id string) (answer Answer, ok bool, err error) {
	text := data[answerKey]
	if text == "" {
		return Answer{}, false, nil
	}
	if err := decode(text, maxAnswer, &answer); err != nil {
		return Answer{}, false, fmt.Errorf("reading an answer: %w", err)
	}
	if answer.ID != id {
		return Answer{}, false, nil
	}
	if err := check(answer.Observation); err != nil {
		return Answer{}, false, fmt.Errorf("reading an answer: %w", err)
	}
	answer.Failed = printable(answer.Failed)
	return answer, true, nil
}
