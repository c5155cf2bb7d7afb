// Package registry is a container registry with pull limits, for tests: it counts as Docker Hub does (a HEAD of a
// manifest is free, a GET is charged to the account or to the source address), sends the rate-limit headers of several
// registries, asks for Bearer tokens, fails on command, and logs every request so that a test can prove what was sent.
//
// One Server holds several virtual hosts, told apart by Host header, then TLS server name, then the `ns` parameter that
// containerd adds for mirrors. A host has its own limiters, dialect, way to log in and faults, and its own or a shared
// Store. Images are pushed through Server.PushTransport or Store.Handler, which nothing limits or logs.
//
// Order of judgement for a request: scripted fault, then limiters that count requests, then authentication, then all
// limiters together. All limiters must allow before any charges; what is refused is not charged unless the limiter
// counts it. Limiters of kind Pull charge 1 for a manifest that was served by GET; a GET by digest of a manifest
// that an index names is free for ChildFree after the same identity got that index from the same repository.
// ManifestGET charges 1 for each manifest GET, found or not. Request charges each request to the host, also the leg
// that is answered 401, never the token service.
//
// The package is no part of the product, keeps everything in memory, and is no model of garbage collection, replication
// or quotas of storage.
package registry
