package scenario_test

import (
	"encoding"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/simulate/scenario"
)

func TestQuantitiesAreReadWithTheirUnits(t *testing.T) {
	t.Parallel()
	sizes := map[string]scenario.Size{
		"30Mi": 30 << 20, "1.5Gi": 3 << 29, "90MB": 90e6, "2GB": 2e9, "64kB": 64e3, "1Ki": 1024, "31457281B": 31457281, "0": 0,
	}
	for text, want := range sizes {
		var got scenario.Size
		read(t, text, &got)
		if got != want {
			t.Errorf("%s is %d bytes, want %d", text, got, want)
		}
	}
	bandwidths := map[string]scenario.Bandwidth{
		"10Gbps": 10e9, "12.5Gbps": 12.5e9, "100MBps": 800e6, "56Kbps": 56e3, "9600bps": 9600, "100Mbps": 100e6, "0": 0,
	}
	for text, want := range bandwidths {
		var got scenario.Bandwidth
		read(t, text, &got)
		if got != want {
			t.Errorf("%s is %d bits/s, want %d", text, got, want)
		}
	}
	rates := map[string]scenario.Rate{
		"10/s": {Units: 10, Every: time.Second}, "0.5/s": {Units: 5, Every: 10 * time.Second}, "600/m": {Units: 600, Every: time.Minute},
		"100/6h": {Units: 100, Every: 6 * time.Hour}, "0": {}, "2.0/s": {Units: 2, Every: time.Second},
	}
	for text, want := range rates {
		var got scenario.Rate
		read(t, text, &got)
		if got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	values := map[string]scenario.Value{"25m": {Number: 1500, Duration: true}, "0": {}, "-3": {Number: -3}, "0.5": {Number: 0.5}}
	for text, want := range values {
		var got scenario.Value
		read(t, text, &got)
		if got != want {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}

func TestWhatIsNoQuantityIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		into  encoding.TextUnmarshaler
		texts []string
	}{
		"size":      {new(scenario.Size), []string{"30", "30Mib", "-1Mi", "Mi", "1e400GB", "NaNMi", "0x1Mi", "9e18kB", "10Gbps", ""}},
		"bandwidth": {new(scenario.Bandwidth), []string{"10", "10G", "10GB", "-1bps", "infGbps", "1_0bps"}},
		"rate":      {new(scenario.Rate), []string{"10", "10/", "10/x", "-1/s", "10/-1s", "10/0s", "/s", "1/s/s", "+1/s", "1e9/s", "0.0000000001/s", "0.000000001/2000h", "99999999999/s"}},
		"portion":   {new(scenario.Portion), []string{"", "-1", "10001%", "%", "25.5%", "a", "99999999999"}},
		"value":     {new(scenario.Value), []string{"", "much", "NaN", "Inf", "1x"}},
		"class":     {new(scenario.Class), []string{"", "urgent", "Serving"}},
	}
	for name, tc := range tests {
		for _, text := range tc.texts {
			if err := tc.into.UnmarshalText([]byte(text)); err == nil {
				t.Errorf("%q was read as a %s", text, name)
			}
		}
	}
}

func TestQuantitiesAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	written := map[string]encoding.TextMarshaler{
		"30Mi": scenario.Size(30 << 20), "90MB": scenario.Size(90e6), "31457281B": scenario.Size(31457281),
		"100MBps": scenario.Bandwidth(800e6), "10Gbps": scenario.Bandwidth(10e9),
		"10/s": scenario.Rate{Units: 10, Every: time.Second}, "100/6h0m0s": scenario.Rate{Units: 100, Every: 6 * time.Hour}, "1500s": scenario.Value{Number: 1500, Duration: true}, "25%": scenario.Portion{Number: 25, Percent: true}, "3": scenario.Portion{Number: 3},
	}
	for want, q := range written {
		got, err := q.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("written (-want +got):\n%s", diff)
		}
	}
}

// A percentage of surge is rounded up, of what may be unavailable down, as the
// Deployment controller does.
func TestPortions(t *testing.T) {
	t.Parallel()
	quarter := scenario.Portion{Number: 25, Percent: true}
	if up, down := quarter.OfUp(10), quarter.Of(10); up != 3 || down != 2 {
		t.Errorf("25%% of 10 is %d up and %d down, want 3 and 2", up, down)
	}
	if n := (scenario.Portion{Number: 7}).OfUp(3); n != 7 {
		t.Errorf("7 pods of 3 replicas are %d, want 7", n)
	}
}

func read(t *testing.T, text string, into encoding.TextUnmarshaler) {
	t.Helper()
	if err := into.UnmarshalText([]byte(text)); err != nil {
		t.Errorf("reading %q: %v", text, err)
	}
}
