package local

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/secret"
)

// maxBody is more than any operation needs: Encrypt takes 4 KB.
const maxBody = 64 << 10

// kmsHandler speaks the wire protocol of AWS KMS over a keyring.
//
// It holds the keys, so it answers only who signs with the credential of this
// run. It sends no CORS headers: no web page has business here.
type kmsHandler struct {
	ring       *keyring
	credential aws.Credentials
	now        func() time.Time
	log        *slog.Logger
}

// refuse makes an error that the caller sees, with AWS's code for it.
func refuse(code, format string, args ...any) error {
	return secret.Errorf(secret.Code(code), format, args...)
}

// ServeHTTP answers one call. The order matters: nothing of a request is
// looked at in earnest before its signature is.
func (h *kmsHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/" || r.URL.RawQuery != "" {
		writeRefusal(w, http.StatusNotFound, "UnknownOperationException", "KMS takes POST requests for / only.")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			writeRefusal(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", fmt.Sprintf("The request is larger than %d bytes.", maxBody))
		} else {
			writeRefusal(w, http.StatusBadRequest, "SerializationException", "The request could not be read to its end.")
		}
		return
	}
	if err := h.authenticate(r, body); err != nil {
		h.answerError(w, r, err)
		return
	}
	name, _ := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	operation, ok := operations[name]
	if !ok {
		writeRefusal(w, http.StatusBadRequest, "UnknownOperationException", "The local KMS does not have this operation.")
		return
	}
	out, err := operation(h, body)
	if err != nil {
		h.answerError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// authenticate refuses who has not the credential of this run.
func (h *kmsHandler) authenticate(r *http.Request, body []byte) error {
	s, err := readSignature(r, body, h.now(), "kms")
	if err != nil {
		return err
	}
	signed, err := s.isBy(h.credential.SecretAccessKey, r, body)
	if err != nil {
		return err
	}
	if sameKey := subtle.ConstantTimeCompare([]byte(h.credential.AccessKeyID), []byte(s.accessKey)) == 1; !sameKey || !signed {
		return refuse(unrecognizedClient, "The request is not signed with the credential of this run of Strongroom.")
	}
	return nil
}

func (h *kmsHandler) answerError(w http.ResponseWriter, r *http.Request, err error) {
	if refused, ok := errors.AsType[secret.Error](err); ok {
		writeRefusal(w, http.StatusBadRequest, string(refused.Code), refused.Message)
		return
	}
	h.log.ErrorContext(r.Context(), "KMS failed", "error", err)
	writeRefusal(w, http.StatusInternalServerError, "KMSInternalException", "The local KMS failed; its log says why.")
}

func writeRefusal(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{code, message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	w.WriteHeader(status)
	if v != nil {
		_ = json.NewEncoder(w).Encode(v) // the caller has gone, if this fails
	}
}

// decode reads the body of a call. Members that this KMS does not know are
// refused: a DryRun or a Recipient must not be passed over in silence.
func decode(body []byte, into any) error {
	// Invalid UTF-8 would be replaced by the decoder, and two different
	// encryption contexts would become one.
	if !utf8.Valid(body) {
		return refuse("SerializationException", "The request is not UTF-8.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("more than one value")
		}
	}
	if err != nil {
		// The decoder's error may quote the request, and with it a plaintext.
		return refuse("SerializationException", "The request is not JSON of this operation, or has a member that the local KMS does not support.")
	}
	return nil
}

// kmsServer serves a kmsHandler on a loopback port.
type kmsServer struct {
	url    string
	server *http.Server
	done   chan error
}

func serveKMS(ring *keyring, credential aws.Credentials, log *slog.Logger) (*kmsServer, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a port for KMS: %w", err)
	}
	s := &kmsServer{
		url: "http://" + l.Addr().String(),
		server: &http.Server{
			Handler:           LoopbackOnly(&kmsHandler{ring: ring, credential: credential, now: time.Now, log: log}),
			ReadHeaderTimeout: 10 * time.Second,
			ReadTimeout:       30 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    32 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
		done: make(chan error, 1),
	}
	go func() { s.done <- s.server.Serve(l) }()
	return s, nil
}

func (s *kmsServer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
