package scenario

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Error is one thing that is wrong with a file.
type Error struct {
	// Path of the field, as spec.nodePools[1].egress; empty: the file as a whole.
	Path string
	// Line of the file, from 1; 0: it has none.
	Line int
	// Problem in words.
	Problem string
}

// Error is the line that is shown.
func (e Error) Error() string {
	var parts []string
	if e.Line > 0 {
		parts = append(parts, "line "+strconv.Itoa(e.Line))
	}
	if e.Path != "" {
		parts = append(parts, e.Path)
	}
	return strings.Join(append(parts, e.Problem), ": ")
}

// Errors is everything that is wrong with a file, in the order of its lines.
type Errors []Error

// maxErrors bounds what a file that is no scenario at all is answered with.
const maxErrors = 1000

// Error is all of them, a line each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted is the list as it is returned; nil without any.
func (e Errors) sorted() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b Error) int { return cmp.Compare(a.Line, b.Line) })
	if len(e) > maxErrors {
		e = append(e[:maxErrors:maxErrors], Error{Problem: "and more errors, which are not looked for"})
	}
	return e
}
