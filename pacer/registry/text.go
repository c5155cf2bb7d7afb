package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is how many bytes of a foreign text get into an error.
const maxText = 200

const redacted = "[redacted]"

// printable makes a foreign text fit for a terminal, an Event and a log: what
// is not printable, controls of direction included, becomes "?".
func printable(s string) string {
	s = cut(s, 4*maxText) // whatever is beyond cannot be shown
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	return cut(s, maxText)
}

// cut shortens s to n bytes at most, at the start of a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const more = "..."
	n -= len(more)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + more
}

// hasControl reports whether a header could not carry s.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// foreign makes a text of a server fit for an error: printable, and without the
// secrets, which a server may echo.
func (c *Client) foreign(s string, secrets ...string) string {
	if c.pass != "" {
		secrets = append(secrets, c.pass, base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.pass)))
	}
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, redacted)
		}
	}
	s = printable(s)
	return s
}

// transportError is a failed exchange. Its cause is unwrapped only as far as
// the context is concerned, as its text is the server's.
type transportError struct {
	text  string
	cause error // of package context, or nil
}

func (e *transportError) Error() string { return e.text }
func (e *transportError) Unwrap() error { return e.cause }

// failed turns the error of an exchange into one that can be shown.
func (c *Client) failed(err error, secrets ...string) error {
	e := &transportError{text: c.foreign(err.Error(), secrets...)}
	for _, cause := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, cause) {
			e.cause = cause
			if cause == context.DeadlineExceeded {
				e.text = "no answer within " + c.timeout.String()
			}
		}
	}
	return e
}
