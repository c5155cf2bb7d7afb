// Command workload is the only program in the images of the test cluster: it
// waits to be ended, as a sandbox does, and can behave like a service or a job.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "", "address to serve HTTP on; empty serves nothing")
	readyAfter := flag.Duration("ready-after", 0, "time before /readyz answers 200")
	exitAfter := flag.Duration("exit-after", 0, "time before the program ends by itself; 0 is never")
	status := flag.Int("status", 0, "exit status when it ends by itself")
	ask := flag.Bool("ask-api", false, "ask the API server for its version, as in-cluster clients do, and end")
	url := flag.String("ask", "", "URL to get, and end")
	flag.Parse()

	if *ask || *url != "" {
		if err := askOnce(*url); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	if *listen != "" {
		go serve(*listen, time.Now().Add(*readyAfter))
	}
	var timeout <-chan time.Time
	if *exitAfter > 0 {
		timeout = time.After(*exitAfter)
	}
	select {
	case <-ended:
	case <-timeout:
		os.Exit(*status)
	}
}

func serve(address string, ready time.Time) {
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if time.Now().Before(ready) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	if err := http.ListenAndServe(address, mux); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// askOnce gets the URL, or asks the API server where that is empty.
func askOnce(url string) error {
	if url == "" {
		return askAPI()
	}
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}

// askAPI uses what every pod is given: the Service's address in the
// environment, the CA and the token.
func askAPI() error {
	const account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	ca, caErr := os.ReadFile(account + "ca.crt")
	token, tokenErr := os.ReadFile(account + "token")
	if err := errors.Join(caErr, tokenErr); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	server := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	for _, host := range []string{server, "kubernetes.default.svc"} {
		request, err := http.NewRequest(http.MethodGet, "https://"+host+"/version", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+string(token))
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %s", host, response.Status)
		}
	}
	return nil
}
