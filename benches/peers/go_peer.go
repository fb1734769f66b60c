// Go's net/http with GOMAXPROCS = N: the runtime that has always handed a
// blocked thread's work to another one.
//
//	go build -o go_peer go_peer.go && ./go_peer --listen 127.0.0.1:0 --lanes 2
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

var one sync.Mutex

func text(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte(body))
}

// job registers a route that ends in a number of milliseconds.
func job(prefix, body string, run func(time.Duration)) {
	http.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, prefix))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		run(time.Duration(ms) * time.Millisecond)
		text(w, body)
	})
}

func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

func locked(d time.Duration) {
	one.Lock()
	defer one.Unlock()
	time.Sleep(d)
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen")
	lanes := flag.Int("lanes", 2, "how many threads run Go code at once")
	flag.Parse()
	runtime.GOMAXPROCS(*lanes)
	http.HandleFunc("/plaintext", func(w http.ResponseWriter, r *http.Request) { text(w, "It works") })
	http.HandleFunc("/sync", func(w http.ResponseWriter, r *http.Request) {
		if err := exec.Command("ping", "-c", "2", "127.0.0.1").Run(); errors.Is(err, exec.ErrNotFound) {
			exec.Command("sleep", "1").Run()
		}
		text(w, "It works")
	})
	job("/block/", "blocked", time.Sleep)
	job("/spin/", "spun", spin)
	job("/lock/", "unlocked", locked)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	own := "http://" + listener.Addr().String() + "/plaintext"
	http.HandleFunc("/client/sync", func(w http.ResponseWriter, r *http.Request) {
		answer, err := http.Get(own)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		io.Copy(w, answer.Body)
	})
	fmt.Printf("go listening on http://%s\n", listener.Addr())
	http.Serve(listener, nil)
}
