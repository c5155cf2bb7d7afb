//go:build linux

package cluster

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// asker is where the queries come from.
var asker = &net.UDPAddr{IP: net.ParseIP("198.19.1.7"), Port: 4711}

func TestNameServerAnswers(t *testing.T) {
	t.Parallel()
	s := &nameServer{hosts: map[string]netip.Addr{}, broken: map[netip.Prefix]map[string]bool{}}
	s.setServices(func(namespace, name string) (netip.Addr, bool, error) {
		if namespace == "silent" {
			return netip.Addr{}, false, errors.New("the API server does not answer")
		}
		return netip.MustParseAddr("198.19.0.2"), namespace == "shop" && name == "web", nil
	})
	s.set("Hub.Test.", netip.MustParseAddr("198.18.0.1"))
	for _, name := range []string{"broken.test", "elsewhere.test", "mended.test"} {
		s.set(name, netip.MustParseAddr("198.18.0.1"))
	}
	s.spoil(netip.MustParsePrefix("198.19.1.0/24"), "Broken.test", true)
	s.spoil(netip.MustParsePrefix("198.19.2.0/24"), "elsewhere.test", true)
	s.spoil(netip.MustParsePrefix("198.19.1.0/24"), "mended.test", true)
	s.spoil(netip.MustParsePrefix("198.19.1.0/24"), "mended.test", false)
	for name, tc := range map[string]struct {
		question    string
		kind        dnsmessage.Type
		wantRCode   dnsmessage.RCode
		wantAnswers int
	}{
		"an address of a known name":          {"hub.test.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		"any case of letters":                 {"HUB.test.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		"a known name has no other addresses": {"hub.test.", dnsmessage.TypeAAAA, dnsmessage.RCodeSuccess, 0},
		"a Service by its full name":          {"web.shop.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		"a Service that nobody can tell of":   {"web.silent.svc.", dnsmessage.TypeA, dnsmessage.RCodeServerFailure, 0},
		"a Service by a short name":           {"web.shop.svc.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		"an unknown Service":                  {"web.other.svc.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
		"a name that is broken for who asks":  {"broken.test.", dnsmessage.TypeA, dnsmessage.RCodeServerFailure, 0},
		"a name that is broken for others":    {"elsewhere.test.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		"a name that is broken no more":       {"mended.test.", dnsmessage.TypeA, dnsmessage.RCodeSuccess, 1},
		"not quite a Service":                 {"web.shop.s.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
		"an unknown name":                     {"hub.test.default.svc.cluster.local.", dnsmessage.TypeA, dnsmessage.RCodeNameError, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			query := dnsmessage.Message{
				Header:    dnsmessage.Header{ID: 7, RecursionDesired: true},
				Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(tc.question), Type: tc.kind, Class: dnsmessage.ClassINET}},
			}
			packed, err := query.Pack()
			if err != nil {
				t.Fatal(err)
			}
			raw, err := s.answer(packed, asker)
			if err != nil {
				t.Fatal(err)
			}
			var got dnsmessage.Message
			if err := got.Unpack(raw); err != nil {
				t.Fatal(err)
			}
			if got.ID != 7 || got.RCode != tc.wantRCode || len(got.Answers) != tc.wantAnswers {
				t.Errorf("got id %d, %v, %d answers; want id 7, %v, %d answers", got.ID, got.RCode, len(got.Answers), tc.wantRCode, tc.wantAnswers)
			}
		})
	}
}

func TestNameServerRefusesJunk(t *testing.T) {
	t.Parallel()
	s := &nameServer{}
	for _, query := range []string{"", "x", "\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"} {
		if _, err := s.answer([]byte(query), asker); err == nil {
			t.Errorf("query %q was answered", query)
		}
	}
}

func TestNameServerIgnoresDeafNetworks(t *testing.T) {
	t.Parallel()
	s := &nameServer{deaf: map[netip.Prefix]bool{}}
	s.ignore(netip.MustParsePrefix("198.19.1.0/24"), true)
	if s.hears(asker) {
		t.Error("a query from an ignored network was heard")
	}
	s.ignore(netip.MustParsePrefix("198.19.1.0/24"), false)
	if !s.hears(asker) {
		t.Error("a query from a network that is no longer ignored was not heard")
	}
}
