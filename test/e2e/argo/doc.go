// Package argo holds the cases of the suite on Argo Rollouts: steps of real Rollouts,
// driven by Argo's own controller, that ask Pace before they make pods.
//
// Cases assert counts and order, which the registry's log, the AnalysisRuns and the
// status of Rollouts prove, and that a hold lasts; not how soon it ends.
package argo
