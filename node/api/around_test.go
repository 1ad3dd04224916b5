package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// However a request is written, what needs a signature is not to be had without.
func TestNoWayAroundTheSignature(t *testing.T) {
	f := &fake{ready: true}
	_, srv := publicServer(t, f)
	at := srv.Listener.Addr().String()
	for _, line := range []string{
		"GET //v1/jobs", "GET /v1//jobs", "GET /./v1/jobs", "GET /v1/id/../jobs", "GET /v1/id/..%2fjobs", "GET /v1/id%2f..%2fjobs", "GET /v1/%6aobs", "GET /v1/jobs/",
		"GET /v1/id/%2e%2e/jobs", "GET /v1/jobs?", "GET /v1/jobs?x=/v1/id", "GET /v1/jobs;/v1/id", "GET /v1/jobs#/v1/id", "GET /V1/JOBS", "get /v1/jobs",
		"HEAD /v1/jobs", "OPTIONS /v1/jobs", "TRACE /v1/jobs", "CONNECT /v1/jobs", "CONNECT v1:80", "PROPFIND /v1/jobs",
		"GET http://" + at + "/v1/jobs", "GET http://" + at + "//v1/jobs", "GET http://x/v1/id/../jobs", "POST /v1/join/../tokens", "POST //v1/tokens", "POST /v1/id/../joins", "DELETE /v1/pins/bafy",
	} {
		for _, more := range []string{
			"", "X-HTTP-Method-Override: GET\r\nX-Original-URL: /v1/jobs\r\nX-Forwarded-For: 127.0.0.1\r\n",
			"Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n", "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
			"Signature: shoal=::\r\nSignature-Input: shoal=()\r\n", "Authorization: Basic eDp5\r\n",
		} {
			body := map[string]string{"Content-Length: 2\r\n": "{}", "Transfer-Encoding: chunked\r\n": "2\r\n{}\r\n0\r\n\r\n"}[more]
			conn, err := net.Dial("tcp", at)
			wantNo(t, err)
			_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n%s", line, more, body)
			wantNo(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: strings.Fields(line)[0]})
			if err == nil && resp.StatusCode < 300 {
				b, _ := io.ReadAll(resp.Body)
				t.Errorf("%s with %q: %s: %s", line, more, resp.Status, b)
			}
			_ = conn.Close()
		}
	}
	// The same over HTTP/2 without TLS, which no node speaks.
	conn, err := net.Dial("tcp", at)
	wantNo(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	wantNo(t, err)
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && resp.StatusCode < 400 {
		t.Errorf("HTTP/2: %s", resp.Status)
	}
	if len(f.got) != 0 {
		t.Errorf("the backend was asked %q", f.got)
	}
}
