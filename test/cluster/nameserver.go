//go:build linux

package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// nameServer answers for the names of one cluster. It runs in this process but
// its sockets are in the world, so it needs no port of the machine.
type nameServer struct {
	packets net.PacketConn
	streams net.Listener
	done    sync.WaitGroup

	mu    sync.Mutex
	hosts map[string]netip.Addr
	deaf  map[netip.Prefix]bool // queries from there get no answer
	// broken are names that queries from there are told that something failed.
	broken map[netip.Prefix]map[string]bool
	// services finds an address of a Service; nil until there is an API server.
	services func(namespace, name string) (netip.Addr, bool, error)
}

// newNameServer listens in the network namespace of the process pid.
func newNameServer(pid int, at netip.Addr) (*nameServer, error) {
	s := &nameServer{hosts: map[string]netip.Addr{}, deaf: map[netip.Prefix]bool{}, broken: map[netip.Prefix]map[string]bool{}}
	address := netip.AddrPortFrom(at, 53).String()
	err := inNetwork(pid, func() (err error) {
		if s.packets, err = net.ListenPacket("udp4", address); err != nil {
			return err
		}
		s.streams, err = net.Listen("tcp4", address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listening for DNS queries: %w", err)
	}
	for _, name := range []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"} {
		s.set(name, apiService())
	}
	s.done.Go(s.servePackets)
	s.done.Go(s.serveStreams)
	return s, nil
}

// inNetwork runs f on a thread that is in the network namespace of pid. Sockets
// stay in the namespace that they were made in.
func inNetwork(pid int, f func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the runtime ends the thread with the goroutine, since
		// its namespace must not leak to another one.
		runtime.LockOSThread()
		result <- func() error {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("entering network namespace: %w", err)
			}
			return f()
		}()
	}()
	return <-result
}

func (s *nameServer) close() error {
	err := errors.Join(s.packets.Close(), s.streams.Close())
	s.done.Wait()
	return err
}

// set makes name resolve to the address; the zero address makes it unknown.
func (s *nameServer) set(name string, to netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name = canonical(name); to.IsValid() {
		s.hosts[name] = to
	} else {
		delete(s.hosts, name)
	}
}

// ignore decides whether queries from the network get answers.
func (s *nameServer) ignore(from netip.Prefix, ignored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ignored {
		s.deaf[from] = true
	} else {
		delete(s.deaf, from)
	}
}

// spoil decides whether queries for the name from the network end in a failure of the
// server.
func (s *nameServer) spoil(from netip.Prefix, name string, spoiled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := s.broken[from]
	switch name = canonical(name); {
	case !spoiled:
		delete(names, name)
	case names == nil:
		s.broken[from] = map[string]bool{name: true}
	default:
		names[name] = true
	}
}

// fails says whether a query for the name from there ends in a failure.
func (s *nameServer) fails(from net.Addr, name string) bool {
	source, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for network, names := range s.broken {
		if network.Contains(source.Addr().Unmap()) && names[canonical(name)] {
			return true
		}
	}
	return false
}

func (s *nameServer) lookup(name string) (netip.Addr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.hosts[canonical(name)]
	return found, ok
}

// resolve looks a name up among the hosts, then among Services, of which it may not be
// known now whether there is one.
func (s *nameServer) resolve(name string) (address netip.Addr, known bool, err error) {
	if address, ok := s.lookup(name); ok {
		return address, true, nil
	}
	s.mu.Lock()
	find := s.services
	s.mu.Unlock()
	service := strings.TrimSuffix(canonical(name), ".cluster.local")
	labels := strings.Split(service, ".")
	if find == nil || len(labels) != 3 || labels[2] != "svc" {
		return netip.Addr{}, false, nil
	}
	return find(labels[1], labels[0])
}

// setServices says how addresses of Services are found.
func (s *nameServer) setServices(find func(namespace, name string) (netip.Addr, bool, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services = find
}

func (s *nameServer) hears(from net.Addr) bool {
	source, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for network := range s.deaf {
		if network.Contains(source.Addr().Unmap()) {
			return false
		}
	}
	return true
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

func (s *nameServer) servePackets() {
	query := make([]byte, 4096)
	for {
		n, from, err := s.packets.ReadFrom(query)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !s.hears(from) {
			continue
		}
		one := slices.Clone(query[:n])
		s.done.Go(func() {
			if answer, err := s.answer(one, from); err == nil {
				// A client that has gone asks again or does not care.
				_, _ = s.packets.WriteTo(answer, from)
			}
		})
	}
}

func (s *nameServer) serveStreams() {
	for {
		conn, err := s.streams.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go s.serveStream(conn)
		}
	}
}

// serveStream answers one query; each has its length before it (RFC 1035,
// 4.2.2).
func (s *nameServer) serveStream(conn net.Conn) {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(5*time.Second)) != nil || !s.hears(conn.RemoteAddr()) {
		return
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	if answer, err := s.answer(query, conn.RemoteAddr()); err == nil {
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}

// answer makes the reply to one query: an address for a known name, no data
// for other questions about it, and NXDOMAIN for unknown names. Of what is not known now
// it says so: resolvers ask again.
func (s *nameServer) answer(query []byte, from net.Addr) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, fmt.Errorf("reading query: %w", err)
	}
	question, err := parser.Question()
	if err != nil {
		return nil, fmt.Errorf("reading question: %w", err)
	}
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	address, known, err := s.resolve(question.Name.String())
	switch {
	case err != nil || s.fails(from, question.Name.String()):
		reply.RCode = dnsmessage.RCodeServerFailure
	case !known:
		reply.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: address.As4()},
		}}
	}
	return reply.Pack()
}
