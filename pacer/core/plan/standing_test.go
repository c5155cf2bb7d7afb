package plan

import "testing"

func TestHoldsLeaveACluster(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		standing Standing
		want     bool
	}{
		"the tenth of a pool":                 {Standing{Pool: 10, Held: 0, Others: 9}, true},
		"the last of half a pool":             {Standing{Pool: 10, Held: 4, Others: 5}, true},
		"more than half of a pool":            {Standing{Pool: 10, Held: 5, Others: 4}, false},
		"half of an odd pool":                 {Standing{Pool: 5, Held: 2, Others: 9}, false},
		"the only one of its pool":            {Standing{Pool: 1, Held: 0, Others: 50}, false},
		"the second of its pool":              {Standing{Pool: 2, Held: 0, Others: 50}, true},
		"one of two that take pods besides":   {Standing{Pool: 10, Held: 0, Others: 1}, false},
		"all nodes of a cluster new at once":  {Standing{Pool: 100, Held: 0, Others: 0}, false},
		"two that take pods besides, no more": {Standing{Pool: 100, Held: 10, Others: 2}, true},
	}
	for name, tc := range tests {
		if got := tc.standing.MayHold(); got != tc.want {
			t.Errorf("%s: %+v may hold: %v, want %v", name, tc.standing, got, tc.want)
		}
	}
}
