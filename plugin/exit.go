package plugin

import (
	"errors"
	"fmt"
)

// The exit codes of every command.
const (
	ExitOK     = 0 // done, or allowed
	ExitError  = 1 // something went wrong; nothing was changed unless it says so
	ExitUsage  = 2 // the command line is wrong
	ExitHold   = 3 // it would be held, there are findings, or a goal was missed
	ExitPaused = 4 // paused, or timed out
)

// exitError ends a command with a code. Err is printed unless nil: a verdict was
// printed already where there is none.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// verdict ends a command whose result was printed with a code of its own.
func verdict(code int) error {
	if code == ExitOK {
		return nil
	}
	return &exitError{code: code}
}

// usagef ends a command with a complaint about its command line.
func usagef(format string, args ...any) error {
	return &exitError{code: ExitUsage, err: fmt.Errorf(format, args...)}
}

// exitCode returns the code for what a command returned.
func exitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if exit, ok := errors.AsType[*exitError](err); ok {
		return exit.code
	}
	return ExitError
}
