package local

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"github.com/strongroom/strongroom/pkg/secret"
)

// refuse makes an error that the caller sees, with AWS's code for it.
func refuse(code, format string, args ...any) error {
	return secret.Errorf(secret.Code(code), format, args...)
}

// writeRefusal answers with an error of the framework, whose message has a small m.
func writeRefusal(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", uuid.NewString())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // the caller has gone, if this fails
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{code, message})
}
