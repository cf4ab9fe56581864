// A client as people write it: net/http over crypto/tls. COUNT requests with bodies of SIZE bytes,
// CONCURRENCY at a time, over HTTP/2 when the server offers it (unless HTTP1 is set), with API_KEY
// as bearer token when it is set.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

func number(name string, otherwise int) int {
	value, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		return otherwise
	}
	return value
}

func main() {
	roots := x509.NewCertPool()
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		roots.AppendCertsFromPEM(pem)
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: os.Getenv("HTTP1") == "",
	}
	if os.Getenv("HTTP1") != "" {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	client := &http.Client{Transport: transport}
	filler := strings.Repeat("g", number("SIZE", 100))
	var group sync.WaitGroup
	turns := make(chan int)
	for worker := 0; worker < number("CONCURRENCY", 1); worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for range turns {
				body := `{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"` + filler + `"}]}`
				request, err := http.NewRequest("POST", os.Args[1]+"/v1/chat/completions", strings.NewReader(body))
				if err != nil {
					panic(err)
				}
				request.Header.Set("Content-Type", "application/json")
				if key := os.Getenv("API_KEY"); key != "" {
					request.Header.Set("Authorization", "Bearer "+key)
				}
				response, err := client.Do(request)
				if err != nil {
					panic(err)
				}
				if _, err := io.Copy(io.Discard, response.Body); err != nil {
					panic(err)
				}
				response.Body.Close()
				fmt.Println(response.Proto, response.StatusCode)
			}
		}()
	}
	for turn := 0; turn < number("COUNT", 1); turn++ {
		turns <- turn
	}
	close(turns)
	group.Wait()
	client.CloseIdleConnections()
}
