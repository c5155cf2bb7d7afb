package registry

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pullpace/pace/test/registry/dialect"
)

// A TokenConfig describes a token service.
type TokenConfig struct {
	// Host is the name it is reached by; a registry host of the same server may bear the same name.
	Host string
	// Path is /token unless set. Realm is the URL that challenges name: https, Host and Path unless set.
	Path, Realm string
	// Service is Host unless set.
	Service string
	// Accounts are passwords by user; SetPasswords changes them.
	Accounts map[string]string
	// Downgrade answers a bad password with an anonymous token rather than 401.
	Downgrade bool
	// NoOAuth answers POST with 404, as services do that know GET only.
	NoOAuth bool
	// TTL is 5 minutes unless set.
	TTL time.Duration
	// Limiters judge logins and count requests, whatever Counts says.
	Limiters []Limiter
	Dialect  dialect.Dialect
	Denial   Denial
}

// DockerHubToken is the token service of Docker Hub, which hands an anonymous token to who fails to log in.
func DockerHubToken(accounts map[string]string) TokenConfig {
	return TokenConfig{Host: "auth.docker.io", Service: "registry.docker.io", Accounts: accounts, Downgrade: true}
}

// A TokenService gives out Bearer tokens, by GET with basic authentication and by POST of an OAuth form. Its methods
// may be called while it serves.
type TokenService struct {
	*front
	config TokenConfig
	// grants holds access tokens, logins refresh tokens, passwords those of each user; the lock of front guards all.
	grants    map[string]grant
	logins    map[string]string
	passwords map[string][]string
}

type grant struct {
	account string
	until   time.Time
}

const defaultTTL = 5 * time.Minute

func newTokenService(s *Server, c TokenConfig) (*TokenService, error) {
	if c.Host == "" {
		return nil, errors.New("it has no host")
	}
	if c.Path == "" {
		c.Path = "/token"
	}
	if c.Realm == "" {
		c.Realm = "https://" + c.Host + c.Path
	}
	if c.Service == "" {
		c.Service = c.Host
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	limiters := append([]Limiter(nil), c.Limiters...)
	for i := range limiters {
		limiters[i].Counts = CountsRequest
	}
	f, err := newFront(s, c.Host, limiters)
	if err != nil {
		return nil, err
	}
	f.dialect, f.denial = c.Dialect, c.Denial
	t := &TokenService{front: f, config: c, grants: map[string]grant{}, logins: map[string]string{}, passwords: map[string][]string{}}
	for user, password := range c.Accounts {
		t.passwords[user] = []string{password}
	}
	return t, nil
}

// SetPasswords makes these the passwords of a user, as with tokens that a user makes for several machines; with none
// the user cannot log in. What was given out before stays valid until it ends, or until Revoke.
func (t *TokenService) SetPasswords(user string, passwords ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passwords[user] = slices.Clone(passwords)
}

// Revoke makes all tokens invalid, refresh tokens too.
func (t *TokenService) Revoke() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.grants)
	clear(t.logins)
}

// holder says whose token it is; the account is empty for an anonymous token.
func (t *TokenService) holder(token string, now time.Time) (account string, valid bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, ok := t.grants[token]
	return g.account, ok && now.Before(g.until)
}

// login is what a request for a token presents.
type login struct {
	user, password, refresh string
	presented, offline      bool
}

func (t *TokenService) read(r *http.Request) (login, error) {
	if r.Method == http.MethodGet {
		var l login
		l.user, l.password, l.presented = r.BasicAuth()
		l.offline = r.URL.Query().Get("offline_token") == "true"
		return l, nil
	}
	if r.Method != http.MethodPost || t.config.NoOAuth {
		return login{}, errors.New("only GET is known here")
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		return login{}, err
	}
	return login{
		user: r.PostForm.Get("username"), password: r.PostForm.Get("password"), refresh: r.PostForm.Get("refresh_token"),
		presented: true, offline: r.PostForm.Get("access_type") == "offline",
	}, nil
}

// account checks a login; an anonymous one is fine.
func (t *TokenService) account(l login) (account string, ok bool) {
	if !l.presented {
		return "", true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.refresh != "" {
		account, ok = t.logins[l.refresh]
		return account, ok
	}
	if slices.Contains(t.passwords[l.user], l.password) {
		return l.user, true
	}
	return "", false
}

func (t *TokenService) serve(x *exchange) {
	x.call.kind = Token
	l, err := t.read(x.r)
	x.call.repo = scopedRepo(x.r)
	account, ok := t.account(l)
	x.id.Account = account
	if t.endedByFault(x, false) {
		return
	}
	t.mu.Lock()
	x.spent = t.meter.judge(x.now, ask{id: x.id, kind: Token})
	if x.spent.denied {
		t.refused(x)
		return
	}
	res := &answer{status: http.StatusOK, header: http.Header{}}
	switch {
	case err != nil:
		res.status = http.StatusNotFound
		res.protocolError("UNSUPPORTED", err.Error())
	case !ok && !t.config.Downgrade:
		res.status = http.StatusUnauthorized
		res.protocolError("UNAUTHORIZED", "incorrect username or password")
	default:
		t.grant(x, l, res)
	}
	t.addHeaders(x, res.header)
	t.record(x, res.status)
	t.mu.Unlock()
	t.send(x, res)
	t.mu.Lock()
	defer t.mu.Unlock()
	x.spent.release()
}

// grant fills in a token. The caller holds the lock.
func (t *TokenService) grant(x *exchange, l login, res *answer) {
	token := rand.Text()
	t.grants[token] = grant{account: x.id.Account, until: x.now.Add(t.config.TTL)}
	out := map[string]any{
		"token": token, "access_token": token, "expires_in": int64(t.config.TTL / time.Second),
		"issued_at": x.now.UTC().Format(time.RFC3339),
	}
	if l.offline && x.id.Account != "" {
		refresh := rand.Text()
		t.logins[refresh] = x.id.Account
		out["refresh_token"] = refresh
	}
	res.header.Set("Content-Type", "application/json")
	if err := json.NewEncoder(&res.body).Encode(out); err != nil {
		res.status = http.StatusInternalServerError
	}
}

// scopedRepo is the repository of the first scope, for the log.
func scopedRepo(r *http.Request) string {
	scope := r.PostForm.Get("scope") // read has parsed it
	if r.Method == http.MethodGet {
		scope = r.URL.Query().Get("scope")
	}
	parts := strings.Split(scope, ":")
	if len(parts) < 3 || parts[0] != "repository" {
		return ""
	}
	return strings.Join(parts[1:len(parts)-1], ":")
}
