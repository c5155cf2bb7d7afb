package registry

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/pullpace/pace/pacer/core/quota"
)

// The media types of manifests. Source: the OCI image specification and Docker's
// image manifest version 2, schema 2.
const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)

// Probe asks once what is left of the limit, by HEAD of the manifest of
// repository[:tag], of latest without a tag. Every answer of the registry is an
// observation without an error, except a 401 after a login, which is one with an
// error. Where there was no answer, or no token to ask with, the status is 0 and
// the error says why and what to do.
func (c *Client) Probe(ctx context.Context, repository string) (quota.Observation, error) {
	ref, err := c.parse(repository)
	if err != nil {
		return quota.Observation{}, err
	}
	a, err := c.head(ctx, ref)
	if err != nil {
		err = fmt.Errorf("probing %s: %w", c.host, err)
	}
	obs := quota.Observation{SentAt: a.sent, Status: a.status}
	if redirect := a.status >= 300 && a.status < 400; !redirect && a.status != 0 {
		obs.Header = quota.ParseHeader(joined(a.header), c.now())
	}
	return obs, err
}

// Shape asks what an image is made of: 2 manifests for an index, which a node
// fetches together with the one of its platform, or 1, and the digest of what
// ref names, "" if the registry does not say. ref may begin with the host.
func (c *Client) Shape(ctx context.Context, ref string) (manifests int, digest string, err error) {
	r, err := c.parse(ref)
	if err != nil {
		return 0, "", err
	}
	a, err := c.head(ctx, r)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("the registry answered with status %d", a.status)
	}
	if err == nil {
		manifests, digest, err = c.shape(r, a.header)
	}
	if err != nil {
		return 0, "", fmt.Errorf("asking %s for the manifest of %s: %w", c.host, r.repository, err)
	}
	return manifests, digest, nil
}

// shape reads the headers of a manifest.
func (c *Client) shape(r reference, h http.Header) (manifests int, digest string, err error) {
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return 0, "", errors.New("the answer has no content type")
	}
	switch mediaType {
	case ociIndex, dockerList:
		manifests = 2
	case ociManifest, dockerManifest:
		manifests = 1
	default:
		return 0, "", fmt.Errorf("%q is not the content type of a manifest", c.foreign(mediaType))
	}
	digest = h.Get("Docker-Content-Digest")
	switch {
	case digest != "" && !digestPattern.MatchString(digest):
		return 0, "", fmt.Errorf("%q is not a digest", c.foreign(digest))
	case r.digest != "" && digest != "" && digest != r.digest:
		return 0, "", fmt.Errorf("the answer is for another digest, %s", digest)
	case digest == "":
		digest = r.digest
	}
	return manifests, digest, nil
}

// answer is what came back for a HEAD; status 0 if nothing did.
type answer struct {
	sent   time.Time
	status int
	header http.Header
}

// head sends HEAD of a manifest, and again after a 401 if there is a way to log
// in that can be taken.
func (c *Client) head(ctx context.Context, r reference) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	value := c.cached(r.repository)
	a, err := c.headOnce(ctx, r, bearer(value))
	if err != nil || a.status != http.StatusUnauthorized {
		return a, err
	}
	if value != "" {
		c.drop(r.repository, value)
	}
	authorization, err := c.logIn(ctx, r.repository, a.header.Values("WWW-Authenticate"))
	if err != nil {
		return answer{sent: a.sent}, err
	}
	a, err = c.headOnce(ctx, r, authorization)
	if err != nil || a.status != http.StatusUnauthorized {
		return a, err
	}
	if t, ok := strings.CutPrefix(authorization, "Bearer "); ok {
		c.drop(r.repository, t)
	}
	return a, c.unauthorized()
}

// unauthorized is the error for a 401 after the login.
func (c *Client) unauthorized() error {
	if c.user == "" {
		return errors.New("the registry refuses an anonymous client (status 401): name a public repository, or give credentials")
	}
	return errors.New("the registry does not accept the login (status 401): check username, password and whether they may pull")
}

// bearer is the authorization with a token, "" for none.
func bearer(value string) string {
	if value == "" {
		return ""
	}
	return "Bearer " + value
}

// logIn turns the challenges of a 401 into an authorization.
func (c *Client) logIn(ctx context.Context, repository string, fields []string) (string, error) {
	basic := false
	for _, ch := range parseChallenges(fields) {
		switch {
		case ch.scheme == "bearer" && ch.params["realm"] != "":
			value, err := c.fetch(ctx, ch, repository)
			return bearer(value), err
		case ch.scheme == "basic":
			basic = true
		}
	}
	switch {
	case !basic:
		return "", errors.New("the registry wants a login (status 401) and offers no way that is known, neither Bearer nor Basic")
	case c.override:
		return "", errors.New("the endpoint wants a password (status 401); credentials are not sent to an endpoint override")
	case c.user == "":
		return "", errors.New("the registry wants a password (status 401): give credentials")
	}
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(c.user, c.pass)
	return req.Header.Get("Authorization"), nil
}

// headOnce sends one HEAD.
func (c *Client) headOnce(ctx context.Context, r reference, authorization string) (answer, error) {
	u := *c.base
	u.Path = "/v2/" + r.repository + "/manifests/" + r.name
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), http.NoBody)
	if err != nil {
		return answer{}, c.failed(err)
	}
	req.Header.Set("Accept", strings.Join([]string{ociIndex, dockerList, ociManifest, dockerManifest}, ", "))
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	a := answer{sent: c.now()}
	resp, err := c.send(req)
	if err != nil {
		_, credential, _ := strings.Cut(authorization, " ")
		return a, fmt.Errorf("no answer from %s: %w", u.Host, c.failed(err, credential))
	}
	_ = resp.Body.Close()
	a.status, a.header = resp.StatusCode, resp.Header
	return a, nil
}

// send does one exchange. The transport is used without http.Client, which
// would follow redirects.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", c.agent)
	return c.transport.RoundTrip(req)
}

// joined reads headers for the parser: a field that was sent several times is
// one list.
func joined(h http.Header) func(name string) string {
	return func(name string) string { return strings.Join(h.Values(name), ", ") }
}
