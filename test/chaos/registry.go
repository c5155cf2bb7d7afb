//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/pullpace/pace/test/registry"
)

// registryFaults are wrong or missing answers of one account's registry.
func registryFaults() []fault {
	probes := registry.ManifestHEAD
	lasting := func(name string, weight int, excuse bool, f registry.Fault, least, most time.Duration) fault {
		return fault{kind: "registry", name: name, weight: weight, do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			s, d := one(dice, r.stages), between(dice, least, most)
			if excuse {
				defer r.excuse(s.Name, name)()
			}
			lift := s.Host.Inject(f)
			defer lift()
			wait(ctx, d)
			return fmt.Sprintf("%s for %s", s.Name, d.Round(time.Millisecond)), nil
		}}
	}
	short, long := time.Second, 7*time.Second
	return []fault{
		lasting("probes get 503", 3, false, registry.Failing(http.StatusServiceUnavailable, probes), short, long),
		lasting("probes get 429", 3, false, registry.HeadThrottled(), short, long),
		lasting("probes are reset", 2, false, registry.Fault{Kinds: []registry.Kind{probes}, Drop: registry.DropReset}, short, long),
		lasting("probes get no answer", 2, false, registry.Fault{Kinds: []registry.Kind{probes}, Drop: registry.DropTimeout}, short, long),
		lasting("probes are slow", 2, false, registry.Fault{Kinds: []registry.Kind{probes}, Delay: 2 * time.Second}, short, long),
		lasting("headers missing", 3, false, registry.Fault{Headers: registry.HeadersMissing}, short, long),
		lasting("headers garbage", 2, false, registry.Fault{Headers: registry.HeadersGarbage, Garbage: "9999999999999999999;w=\x1b[31m-1"}, short, long),
		// What a lie makes Pace spend too much is the registry's doing.
		lasting("headers stuck", 2, true, registry.Fault{Headers: registry.HeadersStuck}, short, long),
		lasting("blobs are slow", 2, false, registry.Fault{Kinds: []registry.Kind{registry.Blob}, BytesPerSecond: 16 << 10}, short, long),
		{kind: "registry", name: "pulls get 503", weight: 2, do: func(_ context.Context, r *round, dice *rand.Rand) (string, error) {
			s := one(dice, r.stages)
			f := registry.Failing(http.StatusServiceUnavailable, registry.ManifestGET)
			f.Times = 1 + dice.IntN(3)
			s.Host.Inject(f)
			return fmt.Sprintf("%s, %d times", s.Name, f.Times), nil
		}},
		{kind: "registry", name: "others on the account", weight: 2, do: func(_ context.Context, r *round, dice *rand.Rand) (string, error) {
			s := one(dice, r.stages)
			n := 1 + dice.Int64N(s.Options.Limit/2)
			defer r.excuse(s.Name, "others on the account")()
			return fmt.Sprintf("%s took %d", s.Name, s.Host.Spend(s.Identity(), n)), nil
		}},
		{kind: "registry", name: "limit cut", weight: 1, do: func(ctx context.Context, r *round, dice *rand.Rand) (string, error) {
			s, d := one(dice, r.stages), between(dice, 2*time.Second, 10*time.Second)
			defer r.excuse(s.Name, "limit cut")()
			s.Host.SetLimit(0, s.Options.Limit/2)
			defer s.Host.SetLimit(0, s.Options.Limit)
			wait(ctx, d)
			return fmt.Sprintf("%s halved for %s", s.Name, d.Round(time.Millisecond)), nil
		}},
	}
}
