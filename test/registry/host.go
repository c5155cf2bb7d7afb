package registry

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/pullpace/pace/test/registry/dialect"
	"github.com/pullpace/pace/test/registry/limit"
)

// ChildFree is how long the manifests that an index names are free by digest for the identity that got the index.
const ChildFree = 5 * time.Minute

// Auth is how a host wants clients to log in.
type Auth string

// The ways. Bearer needs a token service.
const (
	NoAuth     Auth = ""
	BearerAuth Auth = "Bearer"
	BasicAuth  Auth = "Basic"
)

// A HostConfig describes a registry host.
type HostConfig struct {
	// Name and Aliases are host names as in the Host header, with a port only if it is to matter.
	Name    string
	Aliases []string
	// Store is nil for one of its own.
	Store    *Store
	Limiters []Limiter
	Dialect  dialect.Dialect
	Denial   Denial
	Auth     Auth
	Token    *TokenService
	// Accounts are the passwords for BasicAuth, by user.
	Accounts map[string]string
	// Private are patterns (as of path.Match) of repositories that need an account.
	Private []string
}

// DockerHub is a host that behaves as Docker Hub does: the given limits per window, anonymous by address and per
// account; 0 lets nobody pull. The token service may be nil for a hub that asks for no token.
func DockerHub(token *TokenService, anonymous, account int64, window time.Duration) HostConfig {
	rolling := func(n int64) limit.Spec { return limit.Spec{Kind: limit.RollingLog, Limit: n, Window: window} }
	c := HostConfig{
		Name:    "registry-1.docker.io",
		Aliases: []string{"docker.io", "index.docker.io"},
		Limiters: []Limiter{
			{Spec: rolling(anonymous), Per: PerEgressIP, For: OnlyAnonymous},
			{Spec: rolling(account), Per: PerAccount, For: OnlyAuthenticated},
		},
		Dialect: dialect.DockerHub,
		Denial:  HubDenial(),
		Token:   token,
	}
	if token != nil {
		c.Auth = BearerAuth
	}
	return c
}

// A Host is one registry of a server. Its methods may be called while it serves.
type Host struct {
	*front
	config HostConfig
	// children holds until when a manifest is free for an identity; the lock of front guards it.
	children map[child]time.Time
}

type child struct{ identity, repo, digest string }

func newHost(s *Server, c HostConfig) (*Host, error) {
	switch {
	case c.Name == "":
		return nil, errors.New("it has no name")
	case c.Auth == BearerAuth && c.Token == nil:
		return nil, errors.New("login by Bearer needs a token service")
	}
	for _, p := range c.Private {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("private pattern %q: %w", p, err)
		}
	}
	if c.Store == nil {
		c.Store = NewStore("")
	}
	f, err := newFront(s, c.Name, c.Limiters)
	if err != nil {
		return nil, err
	}
	f.dialect, f.denial = c.Dialect, c.Denial
	return &Host{front: f, config: c, children: map[child]time.Time{}}, nil
}

// Name is the host's first name.
func (h *Host) Name() string { return h.name }

// Store is where the host's images are.
func (h *Host) Store() *Store { return h.config.Store }

func (h *Host) serve(x *exchange) {
	x.call = read(x.r)
	id, challenge := h.authenticate(x)
	x.id = id
	switch {
	case h.endedByFault(x, challenge != nil):
	case challenge != nil:
		h.challenge(x, challenge)
	case x.r.Method != http.MethodGet && x.r.Method != http.MethodHead:
		res := &answer{status: http.StatusMethodNotAllowed, header: http.Header{}}
		res.protocolError("UNSUPPORTED", "images are pushed through the store of the test registry")
		h.judge(x, ask{id: id, kind: x.call.kind, early: true}, res)
	case x.call.kind == ManifestGET || x.call.kind == ManifestHEAD:
		h.manifest(x)
	default:
		h.stream(x)
	}
}

func (h *Host) challenge(x *exchange, res *answer) {
	h.mu.Lock()
	h.dialect.WriteSource(res.header, x.id.String())
	h.mu.Unlock()
	h.judge(x, ask{id: x.id, kind: x.call.kind, early: true}, res)
}

// manifest answers with what the store has, if the limiters allow it.
func (h *Host) manifest(x *exchange) {
	res := h.config.Store.fetch(x.r)
	a := ask{id: x.id, kind: x.call.kind, missing: res.status != http.StatusOK}
	h.mu.Lock()
	until, ok := h.children[child{x.id.String(), x.call.repo, x.call.reference}]
	h.mu.Unlock()
	a.child = ok && x.call.byDigest() && !x.now.After(until)
	h.judge(x, a, res)
}

// judge sends res if the limiters allow the request, else their refusal.
func (h *Host) judge(x *exchange, a ask, res *answer) {
	h.mu.Lock()
	x.spent = h.meter.judge(x.now, a)
	if x.spent.denied {
		h.refused(x)
		return
	}
	if x.call.kind == ManifestGET && !a.early {
		for _, digest := range res.children() {
			h.children[child{x.id.String(), x.call.repo, digest}] = x.now.Add(ChildFree)
		}
	}
	if !a.early || !h.dialect.ManifestsOnly() {
		h.addHeaders(x, res.header)
	}
	h.record(x, res.status)
	h.mu.Unlock()
	defer h.release(x)
	h.send(x, res)
}

// stream answers anything but a manifest straight from the store.
func (h *Host) stream(x *exchange) {
	h.mu.Lock()
	x.spent = h.meter.judge(x.now, ask{id: x.id, kind: x.call.kind})
	if x.spent.denied {
		h.refused(x)
		return
	}
	h.mu.Unlock()
	defer h.release(x)
	w := x.writer()
	h.config.Store.stream(&headWriter{ResponseWriter: w, before: func(status int) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.addHeaders(x, w.Header())
		h.record(x, status)
	}}, x.r)
}

func (h *Host) release(x *exchange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x.spent.release()
}

// authenticate says who sends the request, and with what to answer if that is not enough.
func (h *Host) authenticate(x *exchange) (Identity, *answer) {
	id := x.id
	switch h.config.Auth {
	case BearerAuth:
		token, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
		account, valid := h.config.Token.holder(token, x.now)
		if !ok || !valid {
			return id, h.unauthorized(x, "")
		}
		id.Account = account
	case BasicAuth:
		user, password, ok := x.r.BasicAuth()
		if want, known := h.config.Accounts[user]; !ok || !known || want != password {
			return id, h.unauthorized(x, "")
		}
		id.Account = user
	}
	if id.Account == "" && h.private(x.call.repo) {
		return id, h.unauthorized(x, `,error="insufficient_scope"`)
	}
	return id, nil
}

func (h *Host) private(repo string) bool {
	for _, p := range h.config.Private {
		if ok, _ := path.Match(p, repo); ok { // patterns are checked by newHost
			return true
		}
	}
	return false
}

func (h *Host) unauthorized(x *exchange, extra string) *answer {
	res := &answer{status: http.StatusUnauthorized, header: http.Header{}}
	value := fmt.Sprintf("Basic realm=%q", h.name)
	if t := h.config.Token; t != nil && h.config.Auth == BearerAuth {
		value = fmt.Sprintf("Bearer realm=%q,service=%q", t.config.Realm, t.config.Service)
		if x.call.repo != "" {
			value += fmt.Sprintf(",scope=%q", "repository:"+x.call.repo+":pull")
		}
		value += extra
	}
	res.header.Set("WWW-Authenticate", value)
	res.header.Set("Docker-Distribution-API-Version", "registry/2.0")
	res.protocolError("UNAUTHORIZED", "authentication required")
	return res
}
