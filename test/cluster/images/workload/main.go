// Command workload is the only program in the images of the test cluster: it
// waits to be ended, as a sandbox does, and can behave like a service or a job.
package main

import (
	"flag"
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
	flag.Parse()

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
		println(err.Error())
		os.Exit(1)
	}
}
