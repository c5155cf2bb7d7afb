package registry_test

import (
	"fmt"
	"time"

	"github.com/pullpace/pace/test/registry"
)

// A probe from one address, after somebody else behind it has pulled 80 times.
func Example() {
	s, err := registry.New(registry.Options{})
	if err != nil {
		panic(err)
	}
	hub, err := s.AddHost(registry.DockerHub(nil, 100, 200, 6*time.Hour))
	if err != nil {
		panic(err)
	}
	hub.Spend(registry.Anonymous("192.0.2.7"), 80)

	res, err := s.Client("192.0.2.7").Head("https://registry-1.docker.io/v2/ratelimitpreview/test/manifests/latest")
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	fmt.Println(res.Header.Get("RateLimit-Remaining"), "as", res.Header.Get("Docker-RateLimit-Source"))
	fmt.Println(s.Log().Count(registry.Filter{Kind: registry.ManifestHEAD}), "probe,", s.Log().Charged(registry.Filter{}), "charged")
	// Output:
	// 20;w=21600 as 192.0.2.7
	// 1 probe, 0 charged
}
