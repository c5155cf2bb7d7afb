// Command pacer is what runs in a cluster: `pacer controller`, and beside it `pacer
// failsafe`.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "pacer"
	}
	env := environment{stdout: os.Stdout, stderr: os.Stderr, lookup: os.LookupEnv, hostname: hostname}
	root := newRoot(env)
	root.SetArgs(os.Args[1:])
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "pacer:", err)
		stop()
		os.Exit(1)
	}
}

// environment is what the program has of the machine.
type environment struct {
	stdout, stderr io.Writer
	lookup         func(name string) (string, bool)
	hostname       string
}

// get is an environment variable, or fallback.
func (e environment) get(name, fallback string) string {
	if value, ok := e.lookup(name); ok && value != "" {
		return value
	}
	return fallback
}
