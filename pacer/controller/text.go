package controller

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// cut makes a text fit for an Event, a condition or an annotation: one printable line
// of n bytes at most. Parts of it may be of somebody else, whom nobody vouches for: a
// registry, a kubelet, another admission webhook, whoever wrote an object.
func cut(s string, n int) string {
	more := ""
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s, more = s[:n], "..."
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s) + more
}
