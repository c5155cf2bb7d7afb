// Package follow watches one Deployment and says how its rollout stands, as a
// model of plugin/view.
//
// What it does not do: it prints nothing, and it does not decide; the state is a
// pure function of what the API server holds.
package follow
