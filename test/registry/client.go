package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
)

// Client returns a client in the same process whose requests come from the given address (192.0.2.1 or 192.0.2.1:4711).
// It opens no socket and works inside a testing/synctest bubble. Close the bodies of its responses.
func (s *Server) Client(source string) *http.Client {
	return &http.Client{Transport: s.Transport(source)}
}

// Transport is the transport of Client.
func (s *Server) Transport(source string) http.RoundTripper {
	if _, _, err := net.SplitHostPort(source); err != nil {
		source = net.JoinHostPort(source, "40000")
	}
	return &inProcess{source: source, handler: func(*http.Request) (http.Handler, error) { return s, nil }}
}

// PushTransport reaches the stores of all hosts by name or alias, in process: without limit, log, login or fault.
func (s *Server) PushTransport() http.RoundTripper {
	return &inProcess{source: "127.0.0.1:40000", handler: func(r *http.Request) (http.Handler, error) {
		for _, name := range s.names(r) {
			if h := s.Host(name); h != nil {
				return h.Store().Handler(), nil
			}
		}
		return nil, fmt.Errorf("the test registry has no host %q", r.Host)
	}}
}

// ClientAt returns a client that reaches every host at the TCP address where Serve listens and trusts the server's CA.
// The source is the local IP address to dial from, such as 127.0.0.2; empty is the system's choice.
func (s *Server) ClientAt(addr net.Addr, source string) (*http.Client, error) {
	dialer := &net.Dialer{}
	if source != "" {
		ip := net.ParseIP(source)
		if ip == nil {
			return nil, fmt.Errorf("source %q is not an IP address", source)
		}
		dialer.LocalAddr = &net.TCPAddr{IP: ip}
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr.String())
		},
		TLSClientConfig:   &tls.Config{RootCAs: s.CA().Pool(), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: s.options.HTTP2,
	}}, nil
}

// inProcess is a transport that calls a handler.
type inProcess struct {
	source  string
	handler func(*http.Request) (http.Handler, error)
}

// RoundTrip implements http.RoundTripper.
func (t *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	in := t.inbound(r)
	handler, err := t.handler(in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	body, out := io.Pipe()
	w := &pipeWriter{header: http.Header{}, ready: make(chan struct{}), body: out}
	go w.run(handler, in.WithContext(ctx))
	select {
	case <-r.Context().Done():
		cancel()
		_ = body.Close()
		return nil, context.Cause(r.Context())
	case <-w.ready:
	}
	if w.failed != nil {
		cancel()
		return nil, w.failed
	}
	return w.response(r, &cancelBody{body, cancel}), nil
}

// inbound is the request as a server sees it.
func (t *inProcess) inbound(r *http.Request) *http.Request {
	in := r.Clone(r.Context())
	in.RemoteAddr, in.RequestURI = t.source, r.URL.RequestURI()
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{ServerName: r.URL.Hostname()}
	}
	in.URL.Scheme, in.URL.Host = "", "" // as servers see it
	return in
}

// pipeWriter carries an answer from a handler to a client in the same process.
type pipeWriter struct {
	header http.Header
	sent   http.Header
	status int
	failed error
	ready  chan struct{} // closed once status or failed is set
	body   *io.PipeWriter
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	}
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// run calls the handler; one that aborts looks to the client like a connection that was reset.
func (w *pipeWriter) run(handler http.Handler, r *http.Request) {
	defer r.Body.Close()
	defer func() {
		err := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
		p := recover()
		switch e, _ := p.(error); {
		case p == nil:
			w.WriteHeader(http.StatusOK)
			_ = w.body.Close()
		case !errors.Is(e, http.ErrAbortHandler):
			panic(p)
		case w.status == 0:
			w.failed = err
			close(w.ready)
		default:
			_ = w.body.CloseWithError(err)
		}
	}()
	handler.ServeHTTP(w, r)
}

func (w *pipeWriter) response(r *http.Request, body io.ReadCloser) *http.Response {
	res := &http.Response{
		Status:     fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: -1, Request: r,
	}
	if n, err := strconv.ParseInt(w.sent.Get("Content-Length"), 10, 64); err == nil {
		res.ContentLength = n
	}
	if r.Method == http.MethodHead || w.status == http.StatusNoContent {
		_ = body.Close()
		res.Body = http.NoBody
	}
	return res
}

// cancelBody ends the handler's context with the body, as a closed connection would.
type cancelBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *cancelBody) Close() error {
	err := b.PipeReader.Close()
	b.cancel()
	return err
}
