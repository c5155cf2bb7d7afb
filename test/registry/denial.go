package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryForm is a form in which registries say when to come back.
type RetryForm string

// The forms. RetryBody puts a Go duration into the message and sends no header, as GHCR does.
const (
	RetryNone    RetryForm = ""
	RetrySeconds RetryForm = "seconds"
	RetryDate    RetryForm = "date"
	RetryEpoch   RetryForm = "epoch"
	RetryGarbage RetryForm = "garbage"
	RetryBody    RetryForm = "body"
)

// RetryAfter says when to come back.
type RetryAfter struct {
	Form RetryForm
	// After is the time to wait; 0 means until a unit is free.
	After time.Duration
	// Until is when to come back at the earliest, by the server's clock; it wins over After.
	Until time.Time
}

// A Denial is how a registry refuses. Its zero value is 429 with code TOOMANYREQUESTS.
type Denial struct {
	// Status is 429 unless set; 403 and 404 disguise the refusal.
	Status int
	// Code and Message fill the registry protocol's error body. AccountMessage replaces Message for an authenticated
	// request; in it {account} stands for the account.
	Code, Message, AccountMessage string
	// Body and ContentType replace the error body altogether.
	Body, ContentType string
	RetryAfter        RetryAfter
}

// HubDenial is Docker Hub's answer when the pull limit is reached.
func HubDenial() Denial {
	return Denial{
		Message:        "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit",
		AccountMessage: "You have reached your pull rate limit as '{account}'",
	}
}

// HubAbuseDenial is Docker Hub's answer to too many requests of any kind.
func HubAbuseDenial() Denial {
	return Denial{Body: "Too Many Requests (HAP429).\n", ContentType: "text/plain", RetryAfter: RetryAfter{Form: RetrySeconds, After: time.Minute}}
}

// GHCRDenial says only in the body when to come back.
func GHCRDenial() Denial {
	return Denial{Message: "retry-after: {wait}, allowed: 44000/minute", RetryAfter: RetryAfter{Form: RetryBody}}
}

// GitLabDenial is plain text; the GitLab dialect adds the headers.
func GitLabDenial() Denial { return Denial{Body: "Retry later\n", ContentType: "text/plain"} }

// ECRDenial is that of Amazon's registries.
func ECRDenial() Denial { return Denial{Message: "Rate exceeded"} }

// ForbiddenDenial refuses with 403, NotFoundDenial with 404: throttling in disguise.
func ForbiddenDenial() Denial {
	return Denial{Status: http.StatusForbidden, Code: "DENIED", Message: "requested access to the resource is denied"}
}

// NotFoundDenial refuses with 404, as some proxies pass on a 429 of their upstream.
func NotFoundDenial() Denial {
	return Denial{Status: http.StatusNotFound, Code: "MANIFEST_UNKNOWN", Message: "manifest unknown"}
}

func (d Denial) status() int {
	if d.Status == 0 {
		return http.StatusTooManyRequests
	}
	return d.Status
}

// answer makes the response to a request of the identity. wait is the time until a unit is free.
func (d Denial) answer(now time.Time, id Identity, wait time.Duration) *answer {
	a := &answer{status: d.status(), header: http.Header{}}
	switch r := d.RetryAfter; {
	case !r.Until.IsZero():
		wait = max(0, r.Until.Sub(now))
	case r.After > 0:
		wait = r.After
	}
	if v := d.RetryAfter.header(now, wait); v != "" {
		a.header.Set("Retry-After", v)
	}
	if d.Body != "" {
		a.header.Set("Content-Type", d.ContentType)
		a.body.WriteString(d.Body)
		return a
	}
	code, message := d.Code, d.Message
	if code == "" {
		code = "TOOMANYREQUESTS"
	}
	if id.Account != "" && d.AccountMessage != "" {
		message = strings.ReplaceAll(d.AccountMessage, "{account}", id.Account)
	}
	if d.RetryAfter.Form == RetryBody {
		message = strings.ReplaceAll(message, "{wait}", wait.String())
	}
	if message == "" {
		message = "too many requests"
	}
	a.protocolError(code, message)
	return a
}

func (r RetryAfter) header(now time.Time, wait time.Duration) string {
	seconds := int64((wait + time.Second - 1) / time.Second)
	switch r.Form {
	case RetrySeconds:
		return strconv.FormatInt(seconds, 10)
	case RetryDate:
		return now.Add(time.Duration(seconds) * time.Second).UTC().Format(http.TimeFormat)
	case RetryEpoch:
		return strconv.FormatInt(now.Unix()+seconds, 10)
	case RetryGarbage:
		return "in a while"
	}
	return ""
}

// protocolError sets the error body of the registry protocol.
func (a *answer) protocolError(code, message string) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(map[string][]item{"errors": {{code, message}}})
	if err != nil {
		panic(fmt.Sprintf("encoding two strings: %v", err)) // cannot happen
	}
	a.header.Set("Content-Type", "application/json")
	a.body.Reset()
	a.body.Write(body)
}
