package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core/quota"
)

// Bounds on tokens.
const (
	minTokenLife     = 10 * time.Second
	maxTokenLife     = time.Hour
	defaultTokenLife = time.Minute // source: the distribution token specification
	maxTokenBytes    = 16 << 10
	maxTokens        = 256
)

// How long a token service that turned us away is left alone. Docker Hub locks
// a user for ten minutes after failed logins, and the nodes log in as the same.
const (
	loginPause    = 10 * time.Minute
	throttlePause = time.Minute
)

// token is a bearer token and until when it is used.
type token struct {
	value string
	until time.Time
}

// cached returns the token for a repository, "" for none.
func (c *Client) cached(repository string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.tokens[repository]
	if !ok || !c.now().Before(t.until) {
		delete(c.tokens, repository)
		return ""
	}
	return t.value
}

// drop forgets a token that was not accepted, unless a newer one took its place.
func (c *Client) drop(repository, value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens[repository].value == value {
		delete(c.tokens, repository)
	}
}

// keep remembers a token; when there are too many, all others are forgotten.
func (c *Client) keep(repository string, t token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tokens) >= maxTokens {
		clear(c.tokens)
	}
	c.tokens[repository] = t
}

// paused is why the token service is left alone at present, nil if it is not.
func (c *Client) paused() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.now().Before(c.refusedUntil) {
		return nil
	}
	return fmt.Errorf("not before %s: %w", c.refusedUntil.UTC().Format(time.RFC3339), c.refused)
}

// pause leaves the token service alone for a while.
func (c *Client) pause(d time.Duration, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused, c.refusedUntil = why, c.now().Add(d)
}

// realm checks where a challenge sends us, before anything is sent there.
func (c *Client) realm(ch challenge) (*url.URL, error) {
	raw := ch.params["realm"]
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" {
		return nil, fmt.Errorf("%s asks for a token from %q, which is not the https URL of a token service",
			c.base.Host, c.foreign(raw))
	}
	host := strings.ToLower(u.Host)
	if u.Scheme != "https" {
		return nil, fmt.Errorf("%s asks for a token from %q over %q; nothing was sent, as only https is used",
			c.base.Host, c.foreign(host), c.foreign(u.Scheme))
	}
	if !slices.Contains(c.realms, withPort(host)) {
		return nil, fmt.Errorf("%s asks for credentials on behalf of %q; nothing was sent, "+
			"as that host is not known to serve %s: if it does, add it to spec.probe.tokenRealmHosts",
			c.base.Host, c.foreign(host), c.host)
	}
	u.Fragment = ""
	return u, nil
}

// fetch gets a token to pull from a repository, with one request.
func (c *Client) fetch(ctx context.Context, ch challenge, repository string) (string, error) {
	u, err := c.realm(ch)
	if err != nil {
		return "", err
	}
	if err := c.paused(); err != nil {
		return "", fmt.Errorf("asking %s for a token: %w", u.Host, err)
	}
	q := u.Query()
	if service := ch.params["service"]; service != "" {
		q.Set("service", service)
	}
	// The scope is ours, not what the challenge asks for: to pull is enough.
	q.Set("scope", "repository:"+repository+":pull")
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return "", c.failed(err)
	}
	if c.user != "" {
		req.SetBasicAuth(c.user, c.pass)
	}
	asked := c.now()
	resp, err := c.send(req)
	if err != nil {
		return "", fmt.Errorf("asking %s for a token: %w", u.Host, c.failed(err))
	}
	defer func() { _ = resp.Body.Close() }()
	t, err := c.readToken(resp, asked)
	if err != nil {
		return "", fmt.Errorf("asking %s for a token: %w", u.Host, err)
	}
	c.keep(repository, t)
	return t.value, nil
}

// readToken reads the answer of a token service.
func (c *Client) readToken(resp *http.Response, asked time.Time) (token, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenResponse+1))
	if err != nil {
		return token{}, c.failed(err)
	}
	if resp.StatusCode != http.StatusOK {
		return token{}, c.tokenRefused(resp, body)
	}
	if len(body) > maxTokenResponse {
		return token{}, fmt.Errorf("the answer is larger than %d bytes", maxTokenResponse)
	}
	var answer struct {
		Token       string          `json:"token"`
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return token{}, errors.New("the answer is not that of a token service")
	}
	value := answer.Token
	if value == "" {
		value = answer.AccessToken
	}
	if value == "" || len(value) > maxTokenBytes || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return token{}, errors.New("the answer holds no usable token")
	}
	life := tokenLife(answer.ExpiresIn)
	return token{value: value, until: asked.Add(life - life/10)}, nil
}

// tokenLife reads expires_in, a number of seconds, within bounds.
func tokenLife(raw json.RawMessage) time.Duration {
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return defaultTokenLife
	}
	seconds = min(max(seconds, minTokenLife.Seconds()), maxTokenLife.Seconds())
	return time.Duration(seconds * float64(time.Second))
}

// tokenRefused is the error for a status other than 200. Where asking again
// would make it worse, nobody asks for a while.
func (c *Client) tokenRefused(resp *http.Response, body []byte) error {
	what := fmt.Sprintf("status %d", resp.StatusCode)
	if m := serverMessage(body); m != "" {
		what += fmt.Sprintf(" (%s)", c.foreign(m))
	}
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests:
		err := fmt.Errorf("%s: logins or tokens are limited there", what)
		after := quota.ParseHeader(joined(resp.Header), c.now()).RetryAfter
		c.pause(min(max(after, throttlePause), maxTokenLife), err)
		return err
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && c.user != "":
		err := fmt.Errorf("%s: check username and password", what)
		c.pause(loginPause, err)
		return err
	case status >= 300 && status < 400:
		return fmt.Errorf("%s: a redirect, which is not followed", what)
	}
	return errors.New(what)
}

// serverMessage is what the body of an error says to a person, if anything.
func serverMessage(body []byte) string {
	var answer struct {
		Details string `json:"details"`
		Detail  string `json:"detail"`
		Message string `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	if len(answer.Errors) > 0 && answer.Errors[0].Message != "" {
		return answer.Errors[0].Message
	}
	for _, m := range []string{answer.Details, answer.Detail, answer.Message} {
		if m != "" {
			return m
		}
	}
	return ""
}
