package registry

import (
	"net/http"
	"time"
)

// writer is the response as the client gets it: slowed down where a fault says so.
func (x *exchange) writer() http.ResponseWriter {
	if pace := x.met.pace(); pace > 0 {
		return &slowWriter{ResponseWriter: x.w, r: x.r, pace: pace}
	}
	return x.w
}

// slowTick is how often a slow body gets its next part.
const slowTick = 20 * time.Millisecond

// slowWriter writes a body at a number of bytes per second.
type slowWriter struct {
	http.ResponseWriter
	r    *http.Request
	pace int64
}

func (s *slowWriter) Write(p []byte) (n int, err error) {
	part := int(max(1, s.pace*int64(slowTick)/int64(time.Second)))
	for len(p) > 0 {
		now := p[:min(part, len(p))]
		took := time.Duration(int64(len(now)) * int64(time.Second) / s.pace)
		if !sleep(s.r.Context(), took) {
			return n, s.r.Context().Err()
		}
		m, err := s.ResponseWriter.Write(now)
		n += m
		if err != nil {
			return n, err
		}
		_ = http.NewResponseController(s.ResponseWriter).Flush() // a writer that cannot flush sends later
		p = p[m:]
	}
	return n, nil
}

// headWriter calls back once before the header is sent.
type headWriter struct {
	http.ResponseWriter
	before func(status int)
	done   bool
}

func (h *headWriter) WriteHeader(status int) {
	if !h.done {
		h.done = true
		h.before(status)
	}
	h.ResponseWriter.WriteHeader(status)
}

func (h *headWriter) Write(p []byte) (int, error) {
	if !h.done {
		h.WriteHeader(http.StatusOK)
	}
	return h.ResponseWriter.Write(p)
}
