package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// answerLimit is how long an abuser waits for an answer: longer than the server lets a
// request wait for room.
const answerLimit = 40 * time.Second

func readerOf(body []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }

// dial opens a connection for what no HTTP client would send.
func (g *generator) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", g.address)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(answerLimit))
}

// bytesOf is a signed valid call as it is sent, and where its body begins.
func (g *generator) bytesOf(ctx context.Context) (text []byte, body int) {
	operation, content := g.valid()
	r, _ := g.request(ctx, operation, content)
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		panic(err) // to memory
	}
	return b.Bytes(), b.Len() - len(content)
}

// exchange sends bytes, and reads one answer.
func (g *generator) exchange(ctx context.Context, text []byte) outcome {
	conn, err := g.dial(ctx)
	if err != nil {
		return outcome{}
	}
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write(text) // the server may have answered, and closed, before all is sent
	if half, ok := conn.(*net.TCPConn); ok {
		_ = half.CloseWrite() // for a server that waits for more
	}
	return readAnswer(conn)
}

// readAnswer reads an answer, if there is one.
func readAnswer(conn io.Reader) outcome {
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return outcome{}
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body) // as much as there is
	return outcome{answer.StatusCode, body}
}

// notHTTP sends what is no request.
func notHTTP(ctx context.Context, g *generator) outcome {
	const head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	switch g.IntN(10) {
	case 0:
		garbage := make([]byte, 1+g.IntN(5000))
		for i := range garbage {
			garbage[i] = byte(g.IntN(256)) //nolint:gosec // fits
		}
		return g.exchange(ctx, garbage)
	case 1:
		return g.exchange(ctx, []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")) // TLS
	case 2:
		return g.exchange(ctx, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	case 3:
		return g.exchange(ctx, []byte(oneOf(g, "GET /\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", "POST  / HTTP/1.1\r\n\r\n", "\r\n\r\n\r\n")))
	case 4:
		return g.exchange(ctx, []byte(head+"Content-Length: "+oneOf(g, "-1", "x", "99999999999999999999", "1, 2", "+5")+"\r\n\r\n{}"))
	case 5: // a second request hidden in the body of the first
		return g.exchange(ctx, []byte(head+"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+head+"\r\n"))
	case 6:
		return g.exchange(ctx, []byte(head+"Transfer-Encoding: "+oneOf(g, "chunked, chunked", "gzip", "x")+"\r\n\r\n0\r\n\r\n"))
	case 7:
		return g.exchange(ctx, []byte(head+"Transfer-Encoding: chunked\r\n\r\n"+oneOf(g, "FFFFFFFFFFFFFFFFF\r\n", "-1\r\n", "zz\r\n", "5\r\nab\r\n", "1;"+strings.Repeat("x", 8000)+"\r\n")))
	case 8:
		return g.exchange(ctx, []byte(head+oneOf(g, "X Y: 1\r\n", ": 1\r\n", "X\x00: 1\r\n", " folded: 1\r\n", "Host: second\r\n", "X: \x01\r\n")+"Content-Length: 2\r\n\r\n{}"))
	}
	return g.exchange(ctx, []byte(head+"X-Long: "+strings.Repeat("x", 10_000+g.IntN(200_000))+"\r\n\r\n"))
}

// hangUp closes the connection in the middle of a request, or before the answer.
func hangUp(ctx context.Context, g *generator) outcome {
	conn, err := g.dial(ctx)
	if err != nil {
		return outcome{}
	}
	text, body := g.bytesOf(ctx)
	switch g.IntN(4) {
	case 0:
		text = text[:g.IntN(body)]
	case 1:
		text = text[:body+g.IntN(len(text)-body)]
	}
	_, _ = conn.Write(text) // nothing depends on it
	if tcp, ok := conn.(*net.TCPConn); ok && g.IntN(2) == 0 {
		_ = tcp.SetLinger(0) // a reset instead of an end
	}
	if g.IntN(2) == 0 {
		time.Sleep(time.Duration(g.IntN(5)) * time.Millisecond)
	}
	_ = conn.Close()
	return outcome{}
}

// slowBody sends a request byte by byte. In the end it has taken too long, or arrived.
func slowBody(ctx context.Context, g *generator) outcome {
	conn, err := g.dial(ctx)
	if err != nil {
		return outcome{}
	}
	defer func() { _ = conn.Close() }()
	text, body := g.bytesOf(ctx)
	if g.IntN(3) == 0 { // a body that never ends
		text = []byte(strings.Replace(string(text), fmt.Sprintf("Content-Length: %d\r\n", len(text)-body), "Content-Length: 400000\r\n", 1))
	}
	const steps = 20
	if _, err := conn.Write(text[:body]); err != nil {
		return outcome{}
	}
	text, pause := text[body:], time.Duration(g.Int64N(int64(g.slow)))/steps
	for i := range steps {
		if _, err := conn.Write(text[len(text)*i/steps : len(text)*(i+1)/steps]); err != nil {
			break // the server has had enough; its answer may be there
		}
		select {
		case <-ctx.Done():
			return outcome{}
		case <-time.After(pause):
		}
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
	return readAnswer(conn)
}
