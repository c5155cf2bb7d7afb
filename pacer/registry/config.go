package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The bounds of an exchange. A probe is a few hundred bytes each way: whatever
// is larger or slower is a fault or an attack.
const (
	defaultTimeout   = 10 * time.Second
	maxHeaderBytes   = 32 << 10
	maxTokenResponse = 64 << 10
	defaultUserAgent = "pace"
)

// The names of Docker Hub: in image references, of its registry, and of its
// token service.
const (
	hubName     = "docker.io"
	hubRegistry = "registry-1.docker.io"
	hubTokens   = "auth.docker.io"
	hubProbe    = "ratelimitpreview/test" // source: docs.docker.com/docker-hub/usage/pulls
)

// Config says which registry to ask, and as whom.
type Config struct {
	// Host is the registry as in image references, such as "docker.io" or
	// "registry.example.com:5000".
	Host string
	// Endpoint, if set, is the https URL of a host to ask instead, without path.
	// No credentials are ever sent for it, neither there nor to a token service.
	Endpoint string
	// Username and Password are both set, or both empty for an anonymous client.
	Username, Password string
	// CABundle is PEM of certificate authorities trusted besides the system's.
	CABundle []byte
	// RealmHosts are hosts, with a port unless it is 443, whose token services
	// may be asked, with the credentials, besides the registry's own.
	RealmHosts []string
	// UserAgent is "pace" unless set.
	UserAgent string
	// Timeout bounds a whole probe; 10 s unless set.
	Timeout time.Duration
	// Proxy is the proxy to go through; none unless set. Nothing is read from the
	// environment.
	Proxy Proxy
	// Dial replaces the dialer, and a proxy with it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Clock is time.Now unless set.
	Clock func() time.Time
}

// A Client asks one registry as one identity. It is safe for concurrent use.
// It keeps no connection open between requests.
type Client struct {
	host       string   // as in image references
	base       *url.URL // where requests go
	user, pass string   // empty with an endpoint override
	realms     []string // host:port of allowed token services
	override   bool
	agent      string
	timeout    time.Duration
	now        func() time.Time
	transport  http.RoundTripper

	mu     sync.Mutex
	tokens map[string]token // by repository
	// refused is what a token service said last when it turned us away, valid
	// until the time given.
	refused      error
	refusedUntil time.Time
}

// DefaultRepository is the repository to probe on a registry where one is made
// for it, else "".
func DefaultRepository(host string) string {
	if isHub(strings.ToLower(host)) {
		return hubProbe
	}
	return ""
}

// isHub reports whether a host is one of the names of Docker Hub.
func isHub(host string) bool {
	switch host {
	case hubName, "index.docker.io", hubRegistry:
		return true
	}
	return false
}

// New checks the configuration and returns a client; it sends nothing. The
// error names all that is wrong and never contains the password.
func New(cfg Config) (*Client, error) {
	host := strings.ToLower(cfg.Host)
	base, baseErr := baseURL(host, cfg.Endpoint)
	realms, realmErr := realmHosts(host, base, cfg.RealmHosts)
	tr, trErr := newTransport(cfg)
	if err := errors.Join(baseErr, realmErr, trErr, checkRest(cfg)); err != nil {
		return nil, fmt.Errorf("configuring the registry client: %w", err)
	}
	c := &Client{
		host: host, base: base, realms: realms, override: cfg.Endpoint != "",
		user: cfg.Username, pass: cfg.Password,
		agent: cfg.UserAgent, timeout: cfg.Timeout, now: cfg.Clock,
		transport: tr, tokens: map[string]token{},
	}
	if c.override {
		c.user, c.pass = "", ""
	}
	if c.agent == "" {
		c.agent = defaultUserAgent
	}
	if c.timeout == 0 {
		c.timeout = defaultTimeout
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}

// checkRest checks the fields that need no translation.
func checkRest(cfg Config) error {
	var errs []error
	if (cfg.Username == "") != (cfg.Password == "") {
		errs = append(errs, errors.New("username and password must be given together"))
	}
	if strings.Contains(cfg.Username, ":") {
		errs = append(errs, errors.New("the username must not contain a colon"))
	}
	if hasControl(cfg.Username) || hasControl(cfg.Password) {
		errs = append(errs, errors.New("username and password must not contain control characters (a trailing newline?)"))
	}
	if hasControl(cfg.UserAgent) {
		errs = append(errs, errors.New("the user agent must not contain control characters"))
	}
	if cfg.Timeout < 0 {
		errs = append(errs, fmt.Errorf("the timeout must not be negative, is %s", cfg.Timeout))
	}
	return errors.Join(errs...)
}

var hostPattern = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)

// baseURL is where requests for a host go.
func baseURL(host, endpoint string) (*url.URL, error) {
	if !hostPattern.MatchString(host) {
		return nil, fmt.Errorf("%q is not a registry host such as docker.io or registry.example.com:5000", printable(host))
	}
	if endpoint == "" {
		if isHub(host) {
			host = hubRegistry
		}
		return &url.URL{Scheme: "https", Host: host}, nil
	}
	// What is wrong with it is not repeated: it may contain a password.
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		strings.Trim(u.Path, "/") != "" || !hostPattern.MatchString(strings.ToLower(u.Host)) {
		return nil, errors.New("the endpoint must be of the form https://host or https://host:port, without user, path or query")
	}
	return &url.URL{Scheme: "https", Host: strings.ToLower(u.Host)}, nil
}

// realmHosts lists the token services that may be asked, with their ports.
func realmHosts(host string, base *url.URL, more []string) ([]string, error) {
	var out []string
	if base != nil {
		out = append(out, withPort(base.Host))
	}
	switch {
	case isHub(host):
		out = append(out, withPort(hubRegistry), withPort(hubTokens))
	case host == "registry.gitlab.com":
		out = append(out, withPort(host), withPort("gitlab.com"))
	default:
		out = append(out, withPort(host))
	}
	for _, h := range more {
		h = strings.ToLower(h)
		if !hostPattern.MatchString(h) {
			return nil, fmt.Errorf("%q is not a host of a token service such as auth.example.com", printable(h))
		}
		out = append(out, withPort(h))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// withPort writes the port of https where a host has none.
func withPort(host string) string {
	if i := strings.LastIndexByte(host, ':'); i < 0 || strings.HasSuffix(host, "]") {
		return host + ":443"
	}
	return host
}

// newTransport makes a transport that sends each request once, on a connection
// of its own: one that is reused would be retried when it turns out dead, and
// would hide that the address we come from has changed.
func newTransport(cfg Config) (*http.Transport, error) {
	tr := &http.Transport{
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
	switch {
	case cfg.Dial != nil:
		tr.DialContext = cfg.Dial
	case cfg.Proxy != nil:
		tr.Proxy = func(r *http.Request) (*url.URL, error) { return cfg.Proxy(r.URL) }
	}
	if len(cfg.CABundle) == 0 {
		return tr, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(cfg.CABundle) {
		return nil, errors.New("the CA bundle holds no certificate in PEM form")
	}
	tr.TLSClientConfig.RootCAs = pool
	return tr, nil
}
