// Package core names what every decision of Pace is made of: accounts, units,
// classes and the closed list of Reasons.
//
// The packages below it decide and nothing else: [quota] keeps the books of one
// account, [plan] prices and shares, [feedback] tells what a failed pull means, and
// [engine] composes them. None of them does I/O, reads a clock, starts a
// goroutine or logs; the current time is always an argument. The controller, the
// simulator and a dry run share this code, so a rule exists once.
//
// What it does not do: it knows no Kubernetes type and no HTTP; pacer/kube and
// pacer/registry translate.
//
// [quota]: https://pkg.go.dev/github.com/pullpace/pace/pacer/core/quota
// [plan]: https://pkg.go.dev/github.com/pullpace/pace/pacer/core/plan
// [feedback]: https://pkg.go.dev/github.com/pullpace/pace/pacer/core/feedback
// [engine]: https://pkg.go.dev/github.com/pullpace/pace/pacer/core/engine
package core
