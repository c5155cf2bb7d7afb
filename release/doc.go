// Package release makes what is published of Pace: the controller's image for
// every platform, the plugin's archives with their krew manifest, and the
// manifests of an installation. Everything is made by the go command and this
// package from the source alone, without Docker and without a base image, and
// equal sources give equal bytes. It publishes nothing.
package release
