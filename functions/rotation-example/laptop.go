package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
)

// timeout is how long an invocation may take.
const timeout = time.Minute

// serve answers Invoke until it is interrupted.
func serve(addr string, function lambda.Handler, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return cannotListen(addr, err)
	}
	_, _ = fmt.Fprintf(out, "The rotation function answers on http://%s, under any name. Ctrl-C stops it.\n", listener.Addr())
	server := &http.Server{Handler: newInvoke(function), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stop() // a second interrupt ends the process
	patience, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return server.Shutdown(patience) // steps under way come to their end
}

func cannotListen(addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is taken by another program; stop it, or choose another address with --addr", addr)
	}
	return fmt.Errorf("cannot answer on %s: %w", addr, err)
}

// checkAddr refuses an address that other machines can reach: no signatures are
// checked here.
func checkAddr(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("--addr %s is not an address and a port, such as 127.0.0.1:9001", addr)
	}
	if !isLoopback(host) {
		return fmt.Errorf("--addr %s is not on loopback; the function answers this machine only", addr)
	}
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// newInvoke is Lambda's Invoke for one function, whatever it is called.
//
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func newInvoke(function lambda.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", func(w http.ResponseWriter, r *http.Request) {
		switch kind := r.Header.Get("X-Amz-Invocation-Type"); {
		case isFromPage(r):
			refuse(w, http.StatusForbidden, "AccessDeniedException", "The request comes from a web page.")
		case kind == "DryRun": // asks whether the function is there
			w.WriteHeader(http.StatusNoContent)
		case kind == "" || kind == "RequestResponse":
			invoke(w, r, function)
		default:
			refuse(w, http.StatusBadRequest, "InvalidParameterValueException", "The invocation type must be RequestResponse or DryRun.")
		}
	})
	return mux
}

// isFromPage says whether a browser sends a request. Every web page can make it do so;
// with a POST it says Origin, and a page that has a name of its own point to this machine
// keeps that name in Host.
func isFromPage(r *http.Request) bool {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return r.Header.Get("Origin") != "" || !isLoopback(strings.Trim(host, "[]"))
}

func invoke(w http.ResponseWriter, r *http.Request, function lambda.Handler) {
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 6<<20)) // Lambda's own limit
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequestContentException", "The payload could not be read.")
		return
	}
	// As in Lambda, a step comes to its end when nobody waits for it any more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeout)
	defer cancel()
	answer, err := function.Invoke(ctx, payload)
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		answer = failure(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // fails only when the caller is gone
}

// failure is the payload of a function that failed. Lambda names the error after its
// type in Go.
func failure(err error) []byte {
	name := fmt.Sprintf("%T", err)
	text, _ := json.Marshal(messages.InvokeResponse_Error{Message: err.Error(), Type: name[strings.LastIndex(name, ".")+1:]}) // two strings always can
	return text
}

func refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "{\"Message\":%q}\n", text)
}
