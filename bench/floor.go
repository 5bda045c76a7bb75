package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// floorCommand makes this program the floor.
const floorCommand = "floor"

// maxAnswer bounds the answers that the floor can be asked for.
const maxAnswer = 1 << 20

// A floor does the least that a server of secrets can do. For a write it appends the
// body to a file and syncs it; for a read it answers from memory.
//
//	POST /write?answer=200   an answer of 200 bytes, after the sync
//	POST /read?answer=1500   an answer of 1,500 bytes
type floor struct {
	file   *os.File
	memory []byte
}

// runFloor serves until it is interrupted. Its process competes for the processor as
// the server's does.
func runFloor(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // the file is the caller's choice
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // each write is synced
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := &floor{file: f, memory: bytes.Repeat([]byte{'x'}, maxAnswer)}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Printf("The floor answers on http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP answers one request.
func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.URL.Path == "/write" {
		err = f.write(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	size, err := strconv.Atoi(r.URL.Query().Get("answer"))
	if err != nil || size < 0 || size > maxAnswer {
		http.Error(w, "answer must be a size in bytes", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(f.memory[:size]) // a caller that has gone needs no answer
}

// write appends a body in one write, so bodies do not mix. Each body has its own sync.
func (f *floor) write(body []byte) error {
	if _, err := f.file.Write(body); err != nil {
		return err
	}
	return f.file.Sync()
}
