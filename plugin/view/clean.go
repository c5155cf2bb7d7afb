package view

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds one string of the cluster on a screen; longer ones are cut.
const maxText = 600

// Clean makes a string from the cluster safe to print: line breaks and tabs
// become spaces; control characters, terminal escapes, text direction marks and
// broken UTF-8 become '?'; what is longer than 600 bytes is cut.
func Clean(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return strings.Map(safeRune, s)
}

func safeRune(r rune) rune {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return ' '
	case r == utf8.RuneError || unicode.Is(unicode.Cf, r) || unicode.IsControl(r):
		return '?'
	case unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
		return ' '
	}
	return r
}

// cleanArg cleans what will be printed by a verb of fmt.
func (s Style) cleanArg(arg any) any {
	switch v := arg.(type) {
	case painted:
		return s.render(v)
	case string:
		return Clean(v)
	case error:
		return Clean(v.Error())
	case interface{ String() string }:
		return Clean(v.String())
	}
	return arg
}
