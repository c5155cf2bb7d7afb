package registry

import (
	"errors"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// Proxy says through which proxy a request goes; nil, or a nil URL, is none.
type Proxy func(*url.URL) (*url.URL, error)

// ParseProxy reads the settings that are customary in the variables HTTPS_PROXY and
// NO_PROXY. An empty address is no proxy.
//
// Everything here goes by https, and so through a tunnel: a proxy learns the names
// of hosts, never what is said to them. An address with a password is refused, for it
// would have to be kept where everybody who sees a Deployment reads it.
func ParseProxy(address, except string) (Proxy, error) {
	if address == "" {
		return nil, nil
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	// What is wrong with it is not repeated: it may contain a password.
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" || !hostPattern.MatchString(strings.ToLower(u.Host)) {
		return nil, errors.New("the proxy must be of the form http://host:port or https://host:port")
	}
	if u.User != nil {
		return nil, errors.New("the proxy must not need a password: everybody who may see the Deployment would read it")
	}
	if hasControl(except) {
		return nil, errors.New("the hosts without a proxy must not contain control characters")
	}
	config := httpproxy.Config{HTTPSProxy: u.String(), NoProxy: except}
	return config.ProxyFunc(), nil
}
