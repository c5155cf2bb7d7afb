package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Serve answers TLS connections until the context ends, then closes all of them and waits for their handlers.
// It takes over the listener. The error is nil if the context ended it.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	config := s.CA().TLSConfig()
	config.NextProtos = []string{"http/1.1"}
	if s.options.HTTP2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return serve(ctx, tls.NewListener(listener, config), s)
}

// ServePlain is Serve without TLS.
func (s *Server) ServePlain(ctx context.Context, listener net.Listener) error {
	return serve(ctx, listener, s)
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	d := &door{handler: handler}
	srv := &http.Server{
		Handler:           d,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          discard(),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	err := srv.Serve(listener)
	if ctx.Err() == nil {
		return fmt.Errorf("serving the test registry: %w", err)
	}
	d.close()
	return nil
}

// door lets requests in until it is closed, and knows when the last has left.
type door struct {
	handler http.Handler
	mu      sync.Mutex
	shut    bool
	inside  sync.WaitGroup
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	if d.shut {
		d.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	d.inside.Add(1)
	d.mu.Unlock()
	defer d.inside.Done()
	d.handler.ServeHTTP(w, r)
}

func (d *door) close() {
	d.mu.Lock()
	d.shut = true
	d.mu.Unlock()
	d.inside.Wait()
}
