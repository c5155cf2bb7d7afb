package registry

import "strings"

// challenge is one way to log in that a server offers.
type challenge struct {
	scheme string            // in lower case
	params map[string]string // by name in lower case; of repeated ones the first
}

// Bounds on what is looked at; servers offer one or two ways of three parameters.
const (
	maxChallenges = 8
	maxParams     = 16
)

// parseChallenges reads WWW-Authenticate fields as RFC 9110 has them, several
// challenges in one field included. It stops at what it cannot read and keeps
// what came before; it never fails.
func parseChallenges(fields []string) []challenge {
	var out []challenge
	for _, f := range fields {
		p := challengeParser{rest: f}
		for len(out) < maxChallenges {
			ch, ok := p.challenge()
			if !ok {
				break
			}
			out = append(out, ch)
		}
	}
	return out
}

// challengeParser eats one field from the front.
type challengeParser struct{ rest string }

// challenge reads a scheme and its parameters.
func (p *challengeParser) challenge() (challenge, bool) {
	p.skip(" \t,")
	scheme := p.token()
	if scheme == "" {
		return challenge{}, false
	}
	ch := challenge{scheme: strings.ToLower(scheme), params: map[string]string{}}
	for range maxParams {
		name, value, ok := p.param()
		if !ok {
			break
		}
		if _, seen := ch.params[name]; !seen {
			ch.params[name] = value
		}
	}
	return ch, true
}

// param reads name=value, or leaves everything in place if a new scheme or
// something else follows.
func (p *challengeParser) param() (name, value string, ok bool) {
	was := p.rest
	p.skip(" \t,")
	name = strings.ToLower(p.token())
	p.skip(" \t")
	if name == "" || !strings.HasPrefix(p.rest, "=") {
		p.rest = was
		return "", "", false
	}
	p.rest = p.rest[1:]
	p.skip(" \t")
	if !strings.HasPrefix(p.rest, `"`) {
		return name, p.unquoted(), true
	}
	if value, ok = p.quoted(); !ok {
		p.rest = ""
		return "", "", false
	}
	return name, value, true
}

// skip drops leading bytes of the set.
func (p *challengeParser) skip(set string) { p.rest = strings.TrimLeft(p.rest, set) }

// token reads a token of RFC 9110.
func (p *challengeParser) token() string {
	return p.take(func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
	})
}

// unquoted reads a value without quotes, URLs included, which some servers send.
func (p *challengeParser) unquoted() string {
	return p.take(func(c byte) bool { return c > ' ' && c != 0x7f && c != ',' && c != '"' })
}

// take reads bytes as long as they are wanted.
func (p *challengeParser) take(wanted func(byte) bool) string {
	n := 0
	for n < len(p.rest) && wanted(p.rest[n]) {
		n++
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

// quoted reads a quoted string; one without an end is none.
func (p *challengeParser) quoted() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}
