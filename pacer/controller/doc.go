// Package controller is where everything meets: it watches the cluster, asks
// registries, lets the engine decide, and carries out what it decided.
//
// One replica leads and takes turns; see [Turn]. Every replica answers admission
// and honours the bound of holds. A replica that dies at any moment leaves a
// cluster behind that the next one can go on with: the books are in the status of
// PullBudgets and the releases are marks on pods.
//
// What it does not do: it decides on no hold or release by itself, apart from
// ending holds that nobody may keep any more, and it never touches a pod that is
// bound to a node.
package controller
