package enginetest

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cockroachdb/datadriven"
)

// args reads the arguments of a command; a malformed one ends the test.
type args struct {
	pos  string
	list []datadriven.CmdArg
}

func (a args) has(key string) bool {
	return slices.ContainsFunc(a.list, func(arg datadriven.CmdArg) bool { return arg.Key == key })
}

func (a args) values(key string) []string {
	for _, arg := range a.list {
		if arg.Key == key {
			return arg.Vals
		}
	}
	return nil
}

func (a args) text(key, fallback string) string {
	if vals := a.values(key); len(vals) > 0 {
		return vals[0]
	}
	return fallback
}

func (a args) int(key string, fallback int) int {
	s := a.text(key, "")
	if s == "" {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("%s: %s=%q is no number", a.pos, key, s))
	}
	return n
}

func (a args) span(key string, fallback time.Duration) time.Duration {
	s := a.text(key, "")
	if s == "" {
		return fallback
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(fmt.Sprintf("%s: %s=%q is no span", a.pos, key, s))
	}
	return d
}

func argument(key string, values []string) datadriven.CmdArg {
	return datadriven.CmdArg{Key: key, Vals: values}
}
