package docs_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/core/quota"
)

// table reads the rows of the table that follows a marker in concepts.md; `-` is
// read as -1.
func table(t *testing.T, marker string) [][]core.Units {
	t.Helper()
	text, err := os.ReadFile("concepts.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- "+marker+": checked by docs/concepts_test.go -->\n")
	if !found {
		t.Fatalf("concepts.md has no table %q", marker)
	}
	var rows [][]core.Units
	for _, line := range strings.Split(rest, "\n")[2:] {
		if !strings.HasPrefix(line, "|") {
			break
		}
		rows = append(rows, row(t, line))
	}
	if len(rows) == 0 {
		t.Fatalf("table %q is empty", marker)
	}
	return rows
}

func row(t *testing.T, line string) []core.Units {
	t.Helper()
	var out []core.Units
	for _, cell := range strings.Split(strings.Trim(line, "| "), "|") {
		cell = strings.TrimSpace(cell)
		if cell == "-" {
			cell = "-1"
		}
		n, err := strconv.ParseInt(cell, 10, 64)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, core.Units(n))
	}
	return out
}

func TestBudgetsOfTheConcepts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, r := range table(t, "budgets") {
		l := quota.New(now, quota.Settings{ReservePercent: 5, RollbackReserve: true}, false)
		l.Read(now, quota.Observation{SentAt: now, Status: 200, Header: quota.Header{
			Limit: r[0], HasLimit: true, Remaining: r[1], HasRemaining: true, Window: 6 * time.Hour,
		}})
		l.Set(now, "reserved", quota.Claim{Units: r[2]})
		l.Set(now, "ungated", quota.Claim{Units: r[3], Ungated: true})
		demand := quota.Demand{Rollback: r[4], Held: r[5]}
		var got []core.Units
		for _, c := range []core.Class{core.ClassNodeCritical, core.ClassServing, core.ClassRollout, core.ClassBatch} {
			got = append(got, max(0, l.Available(now, c, demand)))
		}
		if diff := cmp.Diff(r[6:], got); diff != "" {
			t.Errorf("row %v (-page +books):\n%s", r, diff)
		}
	}
}

func TestGrowthOfTheConcepts(t *testing.T) {
	t.Parallel()
	for _, r := range table(t, "growth") {
		asks := []plan.Ask{{Account: "hub", Image: "app", Price: 1, Cold: int(r[2]), Grows: true, Room: int(r[1])}}
		for i := range r[3] {
			asks = append(asks, plan.Ask{Account: "hub", Image: core.Image(fmt.Sprint("agent", i)), Price: 1, Grows: true, Room: int(r[1])})
		}
		if got := plan.Marginal(asks, 0, int(r[0]))["hub"]; got != r[4] {
			t.Errorf("row %v: the price is %d", r, got)
		}
	}
}

func TestPricesOfTheConcepts(t *testing.T) {
	t.Parallel()
	for _, r := range table(t, "prices") {
		spans := plan.Price(plan.Order{
			Pods: int(r[0]), PerPull: plan.Span{Min: 1, Max: r[3]},
			Nodes: []plan.NodeCount{{Account: "hub", Cold: int(r[1]), Warm: int(r[2])}},
		})
		// The page prices one account.
		if len(spans) != 1 || spans[0].Max != r[4] {
			t.Errorf("row %v: the prices are %v", r, spans)
		}
	}
}
