// A server that answers every request with 64 bytes: go_peer CERTIFICATE_AND_KEY. Prints the
// addresses that it listens on, plain and with TLS, and serves until its input ends. It shares no
// library with any client, so probes in a client's TLS library are not in it.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	certificate, err := tls.LoadX509KeyPair(os.Args[1], os.Args[1])
	if err != nil {
		panic(err)
	}
	answer := []byte(`{"answer":"` + strings.Repeat("a", 51) + `"}`)
	handler := http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		writer.Header().Set("Content-Type", "application/json")
		writer.Write(answer)
	})
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	configuration := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
	go http.Serve(plain, handler)
	go http.Serve(tls.NewListener(secure, configuration), handler)
	fmt.Printf("http://%s https://%s\n", plain.Addr(), secure.Addr())
	io.Copy(io.Discard, os.Stdin)
}
