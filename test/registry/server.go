package registry

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options are what all hosts of a server share. Its zero value is usable.
type Options struct {
	// Clock is what limiters, tokens and the log read; nil is time.Now. Delays and slow bodies use real timers
	// (those of the bubble in testing/synctest).
	Clock func() time.Time
	// CA issues the certificates; nil makes a new one.
	CA *CA
	// TrustSourceHeader takes the source address from the header X-Test-Source where a request has it.
	TrustSourceHeader bool
	// HTTP2 offers HTTP/2 to TLS clients. Without it a DropReset is a TCP reset, with it only the stream is reset.
	HTTP2 bool
	// DefaultHost serves requests that name no known host.
	DefaultHost string
}

// A Server is a set of virtual registry hosts and token services with one log. It is safe for concurrent use.
type Server struct {
	options Options
	start   time.Time
	log     *Log

	mu     sync.RWMutex
	hosts  map[string]*Host // by name and alias
	tokens map[string]*TokenService
}

// New returns a server without hosts. Its clock's present time is the start of all window phases.
func New(o Options) (*Server, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.CA == nil {
		ca, err := NewCA()
		if err != nil {
			return nil, err
		}
		o.CA = ca
	}
	return &Server{options: o, start: o.Clock(), log: newLog(), hosts: map[string]*Host{}, tokens: map[string]*TokenService{}}, nil
}

// Log returns the log of all hosts and token services.
func (s *Server) Log() *Log { return s.log }

// CA returns the authority that signs the server's certificates.
func (s *Server) CA() *CA { return s.options.CA }

// Start is time zero of the limiters' phases.
func (s *Server) Start() time.Time { return s.start }

// Host returns the host of that name or alias, nil if there is none.
func (s *Server) Host(name string) *Host {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.hosts[name]
}

// AddHost adds a registry host. It may be called while the server serves.
func (s *Server) AddHost(c HostConfig) (*Host, error) {
	h, err := newHost(s, c)
	if err != nil {
		return nil, fmt.Errorf("adding host %q: %w", c.Name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	names := append([]string{c.Name}, c.Aliases...)
	for _, name := range names {
		if s.hosts[name] != nil {
			return nil, fmt.Errorf("adding host %q: the name %q is taken", c.Name, name)
		}
	}
	for _, name := range names {
		s.hosts[name] = h
	}
	return h, nil
}

// AddTokenService adds a token service. Hosts refer to it.
func (s *Server) AddTokenService(c TokenConfig) (*TokenService, error) {
	t, err := newTokenService(s, c)
	if err != nil {
		return nil, fmt.Errorf("adding token service %q: %w", c.Host, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens[c.Host] != nil {
		return nil, fmt.Errorf("adding token service %q: the name is taken", c.Host)
	}
	s.tokens[c.Host] = t
	return t, nil
}

// Handler serves all hosts.
func (s *Server) Handler() http.Handler { return s }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := s.options.Clock()
	x := &exchange{w: w, r: r, now: now, remote: s.source(r)}
	x.id = Anonymous(x.remote)
	for _, name := range s.names(r) {
		s.mu.RLock()
		host, token := s.hosts[name], s.tokens[name]
		s.mu.RUnlock()
		switch {
		case token != nil && r.URL.Path == token.config.Path:
			token.serve(x)
			return
		case host != nil:
			host.serve(x)
			return
		}
	}
	s.log.add(Entry{Time: now, Host: r.Host, Identity: x.id, Remote: x.remote, Method: r.Method, Path: r.URL.Path,
		Kind: Other, Status: http.StatusMisdirectedRequest, UserAgent: r.UserAgent()})
	http.Error(w, fmt.Sprintf("no host %q here", r.Host), http.StatusMisdirectedRequest)
}

// names are the names under which the request may mean a host, best first.
func (s *Server) names(r *http.Request) []string {
	out := []string{r.Host}
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		out = append(out, host)
	}
	if r.TLS != nil {
		out = append(out, r.TLS.ServerName)
	}
	if strings.HasPrefix(r.URL.Path, "/v2/") {
		out = append(out, r.URL.Query().Get("ns"))
	}
	return append(out, s.options.DefaultHost)
}
