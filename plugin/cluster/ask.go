package cluster

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// maxAnswer bounds what a pod may answer.
const maxAnswer = 1 << 30

// asking returns a function that asks a pod by HTTP on a port of its own loopback
// address, the way of `kubectl port-forward`: through the API server and the kubelet,
// for those who may forward ports of the pod.
func asking(config *rest.Config) func(ctx context.Context, pod types.NamespacedName, port int, path string) ([]byte, error) {
	return func(ctx context.Context, pod types.NamespacedName, port int, path string) ([]byte, error) {
		conn, err := forward(config, pod)
		if err != nil {
			return nil, fmt.Errorf("forwarding a port of pod %s: %w", pod, err)
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		defer func() { _ = conn.Close() }()
		body, err := ask(conn, port, path)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("asking pod %s on port %d: %w", pod, port, err)
		}
		return body, nil
	}
}

// forward opens a connection to a pod, by websockets and, where something in between
// does not know them, as it was done before.
func forward(config *rest.Config, pod types.NamespacedName) (httpstream.Connection, error) {
	base, versioned, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	url := *base.JoinPath(versioned, "api/v1/namespaces", pod.Namespace, "pods", pod.Name, "portforward")
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(&url, config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	before := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, &url)
	dialer := portforward.NewFallbackDialerForStreaming(tunnel, before, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	return conn, err
}

// ask sends one request and reads its answer.
func ask(conn httpstream.Connection, port int, path string) ([]byte, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	errors, err := conn.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = errors.Close() // nothing is written to it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	body, err := get(data, path)
	_ = data.Close()
	if err == nil {
		return body, nil
	}
	// What the kubelet says of the port tells more than that the answer ended.
	if text, _ := io.ReadAll(io.LimitReader(errors, 4<<10)); len(text) > 0 {
		return nil, fmt.Errorf("%s", text)
	}
	return nil, err
}

// get is one exchange of HTTP.
func get(stream io.ReadWriter, path string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	if err := request.Write(stream); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(stream), request)
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	var text io.Reader = answer.Body
	if answer.Header.Get("Content-Encoding") == "gzip" {
		if text, err = gzip.NewReader(answer.Body); err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
	}
	body, err := io.ReadAll(io.LimitReader(text, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, &AnswerError{Code: answer.StatusCode, Text: string(body[:min(len(body), 200)])}
	}
	return body, nil
}

// AnswerError is an answer that is not what was asked for.
type AnswerError struct {
	Code int
	Text string
}

func (e *AnswerError) Error() string { return fmt.Sprintf("answer %d: %s", e.Code, e.Text) }
