package kube

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/pullpace/pace/pacer/api/v1alpha1"
	"github.com/pullpace/pace/pacer/core"
	"github.com/pullpace/pace/pacer/core/plan"
	"github.com/pullpace/pace/pacer/core/quota"
)

// ToQuote is what a quote depends on beyond a price: the status of the PullBudgets
// tells what is free and what pulls were found to cost.
type ToQuote struct {
	ToPrice
	Budgets []v1alpha1.PullBudget
	// Manifests is how many manifests a cold pull of an image asks for; nil, or 0,
	// where nothing is known of it.
	Manifests func(core.Image) int
	// Class is that of the pods.
	Class core.Class
	Now   time.Time
	// Turning says that turns are completed, so that what is free is kept up to date.
	Turning bool
}

// maxQuoted bounds the accounts of a quote: where each node has one, only the
// scarcest matter.
const maxQuoted = 32

// Quote prices the start of pods and says whether they would wait. The controller
// and the plugin both quote by it.
func Quote(in ToQuote) v1alpha1.PodQuote {
	in.PerPull = perPull(in.Budgets, in.Manifests)
	rows, nodes := price(in.ToPrice)
	q := quoting{in: in, quote: v1alpha1.PodQuote{
		At: in.Now.UTC().Truncate(time.Second), Pods: int32(in.Replicas), Nodes: int32(nodes),
		Class: in.Class.String(), Verdict: v1alpha1.QuoteUnknown, Images: []v1alpha1.QuotedImage{},
	}}
	if len(rows) == 0 {
		q.unknown("where the pods go: no node fits them now")
	}
	for _, row := range rows {
		q.add(row)
	}
	q.decide()
	q.shorten()
	return q.quote
}

// quoting is a quote in the making.
type quoting struct {
	in    ToQuote
	quote v1alpha1.PodQuote
}

func (q *quoting) unknown(text string) { q.quote.Unknown = append(q.quote.Unknown, text) }

// add takes the price of an image over.
func (q *quoting) add(row PriceRow) {
	image := v1alpha1.QuotedImage{
		Image: string(row.Image), Account: string(row.Account), Budget: row.Budget,
		Cold: int32(row.Cold), Unsure: int32(row.Unknown), Warm: int32(row.Warm),
		Units: v1alpha1.Range{Min: int64(row.Units.Min), Max: int64(row.Units.Max)}, Why: row.Why,
	}
	if q.in.Manifests != nil {
		image.Manifests = q.in.Manifests(row.Image)
	}
	q.quote.Images = append(q.quote.Images, image)
	if row.Account == "" {
		return
	}
	account := q.account(row)
	account.Needs = plus(account.Needs, image.Units)
	q.quote.Needs = plus(q.quote.Needs, image.Units)
}

func plus(a, b v1alpha1.Range) v1alpha1.Range {
	return v1alpha1.Range{Min: a.Min + b.Min, Max: a.Max + b.Max}
}

// account returns an account of the quote, with what is known of it.
func (q *quoting) account(row PriceRow) *v1alpha1.QuotedAccount {
	i := slices.IndexFunc(q.quote.Accounts, func(a v1alpha1.QuotedAccount) bool { return a.Account == string(row.Account) })
	if i >= 0 {
		return &q.quote.Accounts[i]
	}
	account := v1alpha1.QuotedAccount{Account: string(row.Account), Budget: row.Budget}
	if status := statusOfAccount(q.in.Budgets, row.Account); status != nil {
		q.know(&account, status)
	} else {
		q.unknown("what is free of " + account.Account + ": PullBudget " + row.Budget + " has no reading of it yet")
	}
	q.quote.Accounts = append(q.quote.Accounts, account)
	return &q.quote.Accounts[len(q.quote.Accounts)-1]
}

// know fills in what the books say of an account.
func (q *quoting) know(a *v1alpha1.QuotedAccount, status *v1alpha1.AccountStatus) {
	a.Unlimited, a.SeenAs, a.Waiting = status.Unlimited, status.Source, status.Demand
	if status.SentAt != nil {
		a.ReadAt = status.SentAt.Time
	}
	if status.Forecast != nil {
		a.More = *status.Forecast
	}
	if status.Limit <= 0 {
		return
	}
	a.Limit, a.Window = status.Limit, &metav1.Duration{Duration: status.Window.Duration}
	for _, class := range status.Available {
		if class.Class == q.in.Class.String() && q.in.Turning {
			a.Free = new(class.Units)
		}
	}
}

// statusOfAccount is the books of an account; nil where there are none yet.
func statusOfAccount(budgets []v1alpha1.PullBudget, id core.AccountID) *v1alpha1.AccountStatus {
	for i := range budgets {
		for j := range budgets[i].Status.Accounts {
			if a := &budgets[i].Status.Accounts[j]; a.Account == string(id) {
				return a
			}
		}
	}
	return nil
}

// perPull answers what one cold pull is charged on an account: what its headers
// showed pulls of so many manifests to cost, or else one unit for each manifest at
// most.
func perPull(budgets []v1alpha1.PullBudget, manifests func(core.Image) int) func(core.Image, core.AccountID) (plan.Span, bool) {
	return func(image core.Image, account core.AccountID) (plan.Span, bool) {
		if manifests == nil || manifests(image) < 1 {
			return plan.Span{}, false
		}
		n := manifests(image)
		if status := statusOfAccount(budgets, account); status != nil {
			for _, c := range status.ChargePerPull {
				if int(c.Manifests) == n && c.Host == image.Host() && quota.Certain(int(c.Batches), int(c.Samples)) {
					return plan.Span{Min: core.Units(c.Most), Max: core.Units(c.Most)}, true
				}
			}
		}
		return plan.Span{Min: 1, Max: core.Units(n)}, true
	}
}

// decide compares what is needed with what is free.
func (q *quoting) decide() {
	if !q.in.Turning {
		q.unknown("what is free now: no controller reads what the registry allows")
		return
	}
	q.quote.Verdict = v1alpha1.QuoteAllow
	for _, a := range q.quote.Accounts {
		switch {
		case a.Unlimited || a.Needs.Max == 0:
		case a.Free == nil:
			q.quote.Verdict, q.quote.Reason = v1alpha1.QuoteHold, string(core.WaitingForReading)
		case *a.Free < a.Needs.Max:
			q.quote.Verdict, q.quote.Reason = v1alpha1.QuoteHold, string(core.WaitingForBudget)
			q.late(a)
		}
	}
}

// late widens the time at which the last pod may go. Whatever the limiter does, a
// whole window brings the whole limit back; what waits already may go before.
func (q *quoting) late(a v1alpha1.QuotedAccount) {
	if a.Limit <= 0 || a.Window == nil || a.Window.Duration <= 0 {
		q.unknown("when " + a.Account + " has more: its limit or window is not known")
		return
	}
	missing := a.Needs.Max + a.Waiting - *a.Free
	windows := float64((missing + a.Limit - 1) / a.Limit)
	finish := v1alpha1.Forecast{
		From: metav1.NewTime(q.in.Now),
		To:   metav1.NewTime(q.in.Now.Add(time.Duration(min(windows*float64(a.Window.Duration), float64(maxWait))))),
	}
	if a.More.From.After(finish.From.Time) && a.More.From.Before(&finish.To) {
		finish.From = a.More.From
	}
	if finish.To.After(q.quote.Finish.To.Time) {
		q.quote.Finish = finish
	}
}

// maxWait bounds a wait that nobody can mean; it keeps times within what an
// annotation can say.
const maxWait = 10 * 365 * 24 * time.Hour

// shorten leaves out all but the scarcest accounts and their images.
func (q *quoting) shorten() {
	accounts := q.quote.Accounts
	if len(accounts) <= maxQuoted {
		return
	}
	slices.SortStableFunc(accounts, func(a, b v1alpha1.QuotedAccount) int { return cmp.Compare(lacks(b), lacks(a)) })
	q.quote.LeftOut, q.quote.Accounts = len(accounts)-maxQuoted, accounts[:maxQuoted]
	q.unknown(fmt.Sprintf("%d further accounts are not listed", q.quote.LeftOut))
	q.quote.Images = slices.DeleteFunc(q.quote.Images, func(i v1alpha1.QuotedImage) bool {
		return i.Account != "" && !slices.ContainsFunc(q.quote.Accounts, func(a v1alpha1.QuotedAccount) bool { return a.Account == i.Account })
	})
}

// lacks is how many units an account lacks; where that is not known, very many.
func lacks(a v1alpha1.QuotedAccount) int64 {
	switch {
	case a.Unlimited || a.Needs.Max == 0:
		return math.MinInt64
	case a.Free == nil:
		return math.MaxInt64
	}
	return a.Needs.Max - *a.Free
}
