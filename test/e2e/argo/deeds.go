//go:build linux

package argo

import (
	"context"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
)

// A deed is one thing that a case does or waits for.
type deed func(ctx context.Context) error

// inTurn does one after the other until one fails.
func inTurn(ctx context.Context, deeds ...deed) error {
	for _, do := range deeds {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begins is begin as a deed; so are those below of what they call.
func (a act) begins(o options, containers int) deed {
	return func(ctx context.Context) error { return a.begin(ctx, o, containers) }
}

func (a act) updates(images ...string) deed {
	return func(ctx context.Context) error { return a.update(ctx, images...) }
}

func (a act) comesTo(what string, ok func(state) bool) deed {
	return func(ctx context.Context) error { return a.await(ctx, what, ok) }
}

func (a act) hears(words ...string) deed {
	return func(ctx context.Context) error { return a.awaitAnswer(ctx, words...) }
}

func (a act) waitsAt(step int64) deed {
	return func(ctx context.Context) error {
		_, err := a.awaitHeld(ctx, step)
		return err
	}
}

func (a act) accounts(what string, ok func(v1alpha1.AccountStatus) bool) deed {
	return func(ctx context.Context) error { return a.AwaitAccount(ctx, what, ok) }
}

// sets writes the status of the Rollout, as Argo's own commands do.
func (a act) sets(fields map[string]any) deed {
	return func(ctx context.Context) error { return a.patch(ctx, map[string]any{"status": fields}, "status") }
}

// reads waits until a command of the plugin that only reads ends with the code and has
// said all of the words.
func (a act) reads(code int, words []string, args ...string) deed {
	return func(ctx context.Context) error {
		return a.Says(ctx, code, words, append(append([]string{"pace"}, args...), "-n", a.Name)...)
	}
}

// says runs the plugin on the namespace and complains unless it ends with the code and
// has said all of the words.
func (a act) says(code int, words []string, args ...string) deed {
	return func(ctx context.Context) error {
		return a.Kubectl(ctx, append(append([]string{"pace"}, args...), "-n", a.Name)...).Tells(code, words...)
	}
}
