package model

import (
	"testing"

	"github.com/pullpace/pace/simulate/scenario"
)

// count is so many pods.
func count(n int) scenario.Portion { return scenario.Portion{Number: n} }

// TestPodsAreSharedByTheWeight: source of the numbers is
// TestApproximateWeightedNewStableReplicaCounts of Argo Rollouts 1.10.1.
func TestPodsAreSharedByTheWeight(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ replicas, weight, surge, fresh, stable int32 }{
		{0, 0, 0, 0, 0}, {0, 50, 0, 0, 0}, {0, 100, 0, 0, 0}, {0, 0, 1, 0, 0}, {0, 50, 1, 0, 0}, {0, 100, 1, 0, 0},
		{1, 0, 0, 0, 1}, {1, 1, 0, 0, 1}, {1, 49, 0, 0, 1}, {1, 50, 0, 1, 0}, {1, 99, 0, 1, 0}, {1, 100, 0, 1, 0},
		{1, 0, 1, 0, 1}, {1, 1, 1, 1, 1}, {1, 49, 1, 1, 1}, {1, 50, 1, 1, 1}, {1, 99, 1, 1, 1}, {1, 100, 1, 1, 0},
		{2, 0, 0, 0, 2}, {2, 1, 0, 1, 1}, {2, 50, 0, 1, 1}, {2, 99, 0, 1, 1}, {2, 100, 0, 2, 0}, {2, 0, 1, 0, 2},
		{2, 1, 1, 1, 2}, {2, 50, 1, 1, 1}, {2, 99, 1, 2, 1}, {2, 100, 1, 2, 0}, {3, 10, 0, 1, 2}, {3, 25, 0, 1, 2},
		{3, 33, 0, 1, 2}, {3, 34, 0, 1, 2}, {3, 49, 0, 1, 2}, {3, 50, 0, 2, 1}, {3, 10, 1, 1, 3}, {3, 25, 1, 1, 3},
		{3, 33, 1, 1, 2}, {3, 34, 1, 1, 2}, {3, 49, 1, 2, 2}, {3, 50, 1, 2, 2}, {10, 0, 1, 0, 10}, {10, 1, 0, 1, 9},
		{10, 14, 0, 1, 9}, {10, 15, 0, 2, 8}, {10, 16, 0, 2, 8}, {10, 99, 0, 9, 1}, {10, 100, 1, 10, 0}, {10, 1, 1, 1, 10},
		{10, 18, 1, 2, 9}, {10, 19, 1, 2, 9}, {10, 20, 1, 2, 8}, {10, 23, 1, 2, 8}, {10, 24, 1, 3, 8}, {10, 25, 1, 3, 8},
		{10, 99, 1, 10, 1},
	} {
		if got := approximate(tc.replicas, tc.weight, tc.surge > 0); got != (shares{tc.fresh, tc.stable}) {
			t.Errorf("%d pods at weight %d with surge %d are shared %+v, want %d and %d", tc.replicas, tc.weight, tc.surge, got, tc.fresh, tc.stable)
		}
	}
}

// TestSetsKeepBetweenTheBounds: source of the numbers is
// TestCalculateReplicaCountsForCanary of Argo Rollouts 1.10.1, of the cases without
// traffic routing.
func TestSetsKeepBetweenTheBounds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		replicas, weight   int32
		surge, unavailable scenario.Portion
		fresh, stable      standing
		want               shares
	}{
		"Do not add extra RSs in scaleDownCount when .Spec.Replica < AvailableReplicas":               {10, 100, count(3), count(0), standing{6, 3}, standing{7, 8}, shares{6, 7}},
		"Use max surge int to scale up canary":                                                        {10, 20, count(2), count(0), standing{0, 0}, standing{10, 10}, shares{2, 10}},
		"Use max surge percentage to scale up canary":                                                 {10, 20, percent(20), count(0), standing{0, 0}, standing{10, 10}, shares{2, 10}},
		"Scale down extra stable replicas":                                                            {10, 20, percent(20), count(0), standing{2, 2}, standing{10, 10}, shares{2, 8}},
		"Do not go past max surge":                                                                    {10, 30, count(2), count(0), standing{0, 0}, standing{10, 10}, shares{2, 10}},
		"Use max unavailable int to scale down stableRS":                                              {10, 20, count(0), count(2), standing{0, 0}, standing{10, 10}, shares{0, 8}},
		"Use max surge percentage to scale down stableRS":                                             {10, 20, count(0), percent(20), standing{0, 0}, standing{10, 10}, shares{0, 8}},
		"Do not go past max unavailable":                                                              {10, 30, count(0), count(2), standing{0, 0}, standing{10, 10}, shares{0, 8}},
		"Use Max Surge and Max Unavailable":                                                           {10, 50, count(2), count(1), standing{0, 0}, standing{10, 10}, shares{2, 9}},
		"Scale canaryRS to zero on setWeight of 0%":                                                   {10, 0, count(1), count(1), standing{1, 1}, standing{10, 10}, shares{0, 10}},
		"Scale stable to zero on setWeight of 100%":                                                   {10, 100, count(1), count(1), standing{10, 10}, standing{1, 1}, shares{10, 0}},
		"Do not scale canaryRS down to zero on non-zero weight":                                       {1, 20, count(1), count(0), standing{0, 0}, standing{1, 1}, shares{1, 1}},
		"Do not scale canaryRS down to zero on non-100 weight":                                        {1, 90, count(1), count(0), standing{0, 0}, standing{1, 1}, shares{1, 1}},
		"Scale canaryRS to zero on <50 weight without surge":                                          {1, 49, count(0), count(1), standing{0, 0}, standing{1, 1}, shares{0, 1}},
		"Scale stableRS down to zero on >=50 weight without surge":                                    {1, 51, count(0), count(1), standing{0, 0}, standing{1, 1}, shares{0, 0}},
		"Scale canaryRS to one on >=50 weight without surge and stable replicas":                      {1, 51, count(0), count(1), standing{0, 0}, standing{0, 0}, shares{1, 0}},
		"Scale down canaryRS and stable":                                                              {10, 30, count(0), count(3), standing{4, 4}, standing{8, 5}, shares{3, 7}},
		"Scale down stable and canary available":                                                      {10, 100, count(1), count(0), standing{10, 8}, standing{10, 2}, shares{9, 2}},
		"Do not round past maxSurge with uneven setWeight divisor":                                    {10, 5, count(0), count(1), standing{0, 0}, standing{10, 10}, shares{0, 9}},
		"Do not round past maxSurge with uneven setWeight divisor (part 2)":                           {10, 5, count(0), count(1), standing{0, 0}, standing{9, 9}, shares{1, 9}},
		"Use maxUnavailable of 1 when percentage of maxUnavailable and maxSurge result in 0 replicas": {10, 10, percent(0), percent(0), standing{0, 0}, standing{10, 10}, shares{0, 9}},
		"honor maxSurge during scale up when stableRS unavailable":                                    {4, 100, count(1), count(0), standing{0, 0}, standing{4, 1}, shares{1, 4}},
		"scale down to maxunavailable without exceeding maxSurge":                                     {3, 99, count(0), count(2), standing{0, 0}, standing{3, 3}, shares{0, 1}},
		"scale down to maxunavailable without exceeding maxSurge (part 2)":                            {3, 99, count(0), count(2), standing{0, 0}, standing{1, 1}, shares{2, 1}},
		"honor maxUnavailable when aborting or reducing weight part 1":                                {4, 0, count(1), count(0), standing{4, 4}, standing{0, 0}, shares{4, 1}},
		"honor maxUnavailable when aborting or reducing weight part 2":                                {4, 0, count(1), count(0), standing{4, 4}, standing{1, 0}, shares{4, 1}},
		"honor maxUnavailable when aborting or reducing weight part 3":                                {4, 0, count(1), count(0), standing{4, 4}, standing{1, 1}, shares{3, 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &workload{replicas: tc.replicas, surge: tc.surge, missing: tc.unavailable}
			most, least := l.bounds()
			got := basicShares(tc.replicas, tc.weight, tc.fresh, &tc.stable, bounded{most: most, least: least, surge: most > tc.replicas})
			if got != tc.want {
				t.Errorf("the sets are to have %+v, want %+v", got, tc.want)
			}
		})
	}
}
