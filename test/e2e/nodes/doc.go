// Package nodes is the suite of nodes that come: a real autoscaler adds nodes that have no
// kubelet, and real kubelets join. Pods on the former are started by test/puller, which
// asks the throttled registry as kubelets do. What is proved is counted in the registry's
// own log and among the autoscaler's own objects.
package nodes
