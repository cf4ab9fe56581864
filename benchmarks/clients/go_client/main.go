// Round trips over one connection of net/http: go_client URL CA_FILE. For each line of input, a
// number, it makes so many and prints the nanoseconds they took.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(os.Args[2])
	if err != nil {
		panic(err)
	}
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	body := `{"text":"` + strings.Repeat("q", 53) + `"}`
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		times, err := strconv.Atoi(lines.Text())
		if err != nil {
			panic(err)
		}
		began := time.Now()
		for turn := 0; turn < times; turn++ {
			response, err := client.Post(os.Args[1], "application/json", strings.NewReader(body))
			if err != nil {
				panic(err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				panic(err)
			}
			response.Body.Close()
		}
		fmt.Println(time.Since(began).Nanoseconds())
	}
}
