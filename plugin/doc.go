// Package plugin is the command line of Pace: `kubectl pace`, also called `pace`.
//
// A command is one file: it parses, completes and validates its arguments, calls
// into the cluster, fills a model of plugin/view and prints it. [New] builds a
// fresh tree of commands for an [Env]; nothing is global.
//
// What it does not do: it decides nothing about budgets. Prices come from the
// controller or from pacer/kube, holds and releases are the controller's; the
// plugin asks for them with annotations.
package plugin
