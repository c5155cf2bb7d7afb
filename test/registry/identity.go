package registry

import (
	"net/http"
	"net/netip"
)

// An Identity is whom a registry meters: an account if the request is authenticated, else a source address.
type Identity struct {
	// Address is an IPv4 address or the /64 prefix of an IPv6 address, as in 192.0.2.1 and 2001:db8:1:2::.
	Address string
	// Account is empty for an anonymous request.
	Account string
}

// String is the account, or the address of an anonymous identity.
func (i Identity) String() string {
	if i.Account != "" {
		return i.Account
	}
	return i.Address
}

// Anonymous is the identity of a request without an account from the given address, with or without a port.
func Anonymous(address string) Identity { return Identity{Address: metered(address)} }

// Account is the identity of an authenticated request from the given address, with or without a port.
func Account(name, address string) Identity {
	return Identity{Address: metered(address), Account: name}
}

// metered is the part of an address that registries meter; what is not an address is metered as it stands.
func metered(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return address
		}
		a = ap.Addr()
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().Addr().String()
}

// sourceHeader names the source of a request where the server was told to trust it.
const sourceHeader = "X-Test-Source"

func (s *Server) source(r *http.Request) string {
	if from := r.Header.Get(sourceHeader); s.options.TrustSourceHeader && from != "" {
		return from
	}
	return r.RemoteAddr
}
