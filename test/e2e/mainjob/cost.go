//go:build linux

package mainjob

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pullpace/pace/pacer/kube"
	"github.com/pullpace/pace/plugin/view"
	"github.com/pullpace/pace/test/e2e/stage"
	"github.com/pullpace/pace/test/e2e/suite"
)

// cost prices three rollouts before they start and compares with what the
// registry then charges.
func cost(ctx context.Context, s *stage.Stage, r *suite.Report) error {
	// One pod on every node, none of which has the image: 4, and not "4 to 8".
	exact, err := priced(ctx, s, "exact", true)
	if err != nil {
		return err
	}
	if exact.Min != stage.Nodes || exact.Max != stage.Nodes {
		return fmt.Errorf("one cold pod on each of %d nodes was priced at %s, want a single number", stage.Nodes, exact)
	}
	r.Note("exact", exact)
	// Where 4 pods land is not known before: 1 to 4 nodes pull.
	free, err := priced(ctx, s, "free", false)
	if err != nil {
		return err
	}
	r.Note("free", free)
	if free.Min == free.Max {
		return fmt.Errorf("4 pods that may share nodes were priced at %s, want a range", free)
	}
	// An index and a manifest are asked for on every node; of those the registry
	// counts each, but that is not known before it was seen.
	if err := s.Push(ctx, s.Image("multi"), "linux/amd64", "linux/arm64"); err != nil {
		return err
	}
	multi, err := priced(ctx, s, "multi", true)
	r.Note("multi", multi)
	return all(err, noOwn429(s))
}

// priced prices a rollout of the app, rolls it out, and complains if the charge is
// not within the price.
func priced(ctx context.Context, s *stage.Stage, app string, spread bool) (view.Units, error) {
	var none view.Units
	if app != "multi" {
		if err := s.Push(ctx, s.Image(app)); err != nil {
			return none, err
		}
	}
	d := deploymentOf(s.Name, app, stage.Unmetered)
	if !spread {
		d.Spec.Template.Spec.TopologySpreadConstraints = nil
	}
	if err := s.Create(ctx, d); err != nil {
		return none, err
	}
	if err := s.Await(ctx, app); err != nil {
		return none, err
	}
	image := "app=" + s.Image(app)
	price, err := whole(ctx, s, "deploy/"+app, image, app != "multi")
	if err != nil {
		return none, err
	}
	if out := s.Kubectl(ctx, "set", "image", "deploy/"+app, image, "-n", s.Name); out.Code != 0 {
		return none, fmt.Errorf("rolling out: %s", out)
	}
	if err := s.Await(ctx, app); err != nil {
		return none, err
	}
	total := price.Total()
	if charged := s.Charges(app); charged < total.Min || charged > total.Max {
		return total, fmt.Errorf("%s was priced at %s units and charged %d: %+v", app, total, charged, price)
	}
	return total, nil
}

// whole prices a change that may start at once. Where one look at the image is enough to
// know what each pull of it costs, it asks until the controller has looked.
func whole(ctx context.Context, s *stage.Stage, workload, image string, known bool) (price view.Cost, err error) {
	err = stage.Poll(ctx, "a price by the controller", func(ctx context.Context) (bool, string, error) {
		out := s.Kubectl(ctx, "pace", "cost", workload, "-n", s.Name, "--image", image, "-o", "json")
		price = view.Cost{}
		if err := json.Unmarshal([]byte(out.Stdout), &price); err != nil || out.Code != 0 {
			return false, "", fmt.Errorf("pricing %s, which may start at once: %s (%w)", workload, out, err)
		}
		guessed := slices.ContainsFunc(price.Images, func(i view.Image) bool { return known && i.Why == kube.WhyManifests })
		return price.Source == "controller" && !guessed, out.Stdout, nil
	})
	return price, err
}
